"""The service on a GPU: `python -m benchmarks.gpu --data PHOTOGRAPHS`, or `make bench-gpu`.

The real service, with its defaults, is posted photographs by more and more clients, and draws samples. Told are
megapixels a second, what share that is of the rate that the card was measured to multiply matrices at in bf16, and the
most requests a second at which none was refused. With `--device cpu` it runs where there is no GPU, to be tried out.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.load import Load, run
from benchmarks.serving import DENOISE, SERVE
from models import checkpoints, data, images, sessions
from models.catalog import SHIPPED, Catalog
from models.evaluation.cards import as_markdown
from tests.serving import Server, started

CLIENTS = (1, 4, 16, 64)
SIDE = 8192
"""Of the matrices; a CPU gets smaller ones, or it would take minutes."""
SAMPLES = 64


def main() -> None:
    """Prints the tables."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, default=Path("samples"), help="folder of photographs (default: samples)")
    asked.add_argument("--device", default="cuda")
    asked.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    given = asked.parse_args()
    device = sessions.chosen_device(given.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    rate, work = multiplications(device), operations_a_pixel("photo")
    print(f"{name}: {rate / 1e12:.1f} TFLOP/s in bf16; photo takes {work / 2000:.0f} kMAC a pixel\n")
    os.environ["DENOIR_QUIET"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with started(Path(folder), SERVE, DENOIR_DEVICE=given.device, DENOIR_METRICS_PORT="0") as server:
            print(f"ready after {time.monotonic() - began:.1f} s\n")
            rows = [row for path in photographs(given.data) for row in posted(server, path, given.seconds)]
            for row in rows:
                row["share of the card"] = float(row["megapixels/s"]) * 1e6 * work / rate
            print(as_markdown(rows))
            unrefused = [row for row in rows if not row["refused"]]
            print(f"\nmost a second, none refused: {max(float(row['requests/s']) for row in unrefused):.1f}\n")
            print(as_markdown([drawn(server, clients, given.seconds) for clients in CLIENTS]))


def photographs(folder: Path) -> list[Path]:
    """The smallest, the middle one and the largest file."""
    known = (path for path in folder.iterdir() if path.suffix.lower() in data.SUFFIXES)
    found = sorted(known, key=lambda path: path.stat().st_size)
    if not found:
        raise SystemExit(f"there are no photographs in {folder}")
    return list(dict.fromkeys((found[0], found[len(found) // 2], found[-1])))


def multiplications(device: torch.device) -> float:
    """Operations a second that the device multiplies matrices with in bf16, an addition counted as one too."""
    side = SIDE if device.type == "cuda" else SIDE // 8
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    times = []
    for _ in range(10):
        synchronize(device)
        began = time.monotonic()
        a @ b
        synchronize(device)
        times.append(time.monotonic() - began)
    return 2 * side**3 / sorted(times)[len(times) // 2]


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def operations_a_pixel(name: str) -> float:
    """Of a network for pictures of any size; halo and padding don't count."""
    network: Any = checkpoints.load(Catalog.of(SHIPPED).find(name).folder).network
    side = 256
    with FlopCounterMode(display=False) as counted, torch.inference_mode():
        network(torch.zeros(1, network.needs.channels, side, side), torch.zeros(1))
    return counted.get_total_flops() / side**2


def posted(server: Server, path: Path, seconds: float) -> list[dict[str, Any]]:
    """A row for each number of clients that post a photograph."""
    header = images.inspect(path.read_bytes())
    megapixels = header.width * header.height / 1e6
    ask = f"{DENOISE}&format=jpeg"
    run(Load(server.port, ask, str(path), max(CLIENTS), 1.0))  # shapes of its tiles are met, and captured
    rows = []
    for clients in CLIENTS:
        told = run(Load(server.port, ask, str(path), clients, seconds))
        rows.append(
            {
                "photograph": f"{header.width}x{header.height}",
                "clients": str(clients),
                "requests/s": told.rate,
                "megapixels/s": told.rate * megapixels,
                "p95, s": told.p95 if len(told.times) > 1 else told.median,
                "refused": str(sum(told.statuses.values()) - told.done or ""),
            }
        )
    return rows


def drawn(server: Server, clients: int, seconds: float) -> dict[str, Any]:
    """Samples of digits a second."""
    told = run(Load(server.port, f"/sample?model=digits-vae&n={SAMPLES}&seed=1", "", clients, seconds))
    return {"clients": str(clients), "samples/s": told.rate * SAMPLES, "p95, s": told.p95}


if __name__ == "__main__":
    main()
