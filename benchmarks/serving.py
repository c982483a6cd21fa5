"""What the service adds to the engine's own time, as ratios in one run: `python -m benchmarks.serving`.

The service with every default limit on, and beside it, turn about: the same journey in this process, one picture at a
time and in threads; and a plain FastAPI server (`benchmarks.plain`) on the same weights. Clients are a process of their
own. Where they share the machine's cores with the server, seconds of CPU tell more than requests a second: both are
told.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import torch

from benchmarks.load import Clients, Load, Told, run
from models import checkpoints, images, inference, sampling
from models.catalog import SHIPPED, Catalog
from models.evaluation import as_markdown
from models.images import Picture
from models.sessions import Session
from service.settings import Settings, cores_given
from tests.serving import Server, cpu_seconds, started

ROOT = Path(__file__).parent.parent
SIGMA, SIDE, THUMBNAIL, LARGE = 25.0, 256, 64, (4000, 5000)
DENOISE = f"/denoise?model=photo&sigma={SIGMA:g}"
PHASES = 8
"""Moments, over the time that a request takes, at which clients hang up."""
SAMPLES, DRAW = 16, "/sample?model=digits-vae&n=16&seed=7"
SERVE = "from service import cli; cli.main()"


def main() -> None:
    """Prints the tables."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=6.0, help="of each measurement in a round")
    asked.add_argument("--rounds", type=int, default=3)
    given = asked.parse_args()
    torch.set_num_threads(cores_given())
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as bench:
        bench.seconds = given.seconds
        bench.memory()  # before anything else has left its traces
        for _ in range(given.rounds):
            bench.throughput()
            bench.drawing()
            bench.vanished()
            bench.health()
        bench.mixed()
        print(f"{cores_given()} cores, {given.rounds} rounds of {given.seconds:g} s; medians\n")
        print(as_markdown(bench.ratios()))
        print(as_markdown(bench.rates()))


@dataclass
class Rate:
    """Pieces done, in how many seconds, of which so many of CPU on either side."""

    done: float
    seconds: float
    cpu: float
    clients: float = 0.0


@dataclass
class Bench:
    """The servers, the same journeys in this process, and what was measured of both."""

    server: Server
    plain: Server
    empty: Server
    folder: Path
    photo: Session
    digits: Session
    seconds: float = 6.0
    found: dict[str, list[Rate]] = field(default_factory=dict)
    ratio: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.body = self.noisy("256.png", SIDE, SIDE, "png")
        self.thumbnail = self.noisy("64.png", THUMBNAIL, THUMBNAIL, "png")
        self.large = self.noisy("20mp.jpg", *LARGE, "jpeg")

    def noisy(self, name: str, height: int, width: int, form: str) -> Path:
        """A photograph with noise, repeated as often as is needed."""
        pixels = images.read((ROOT / "samples" / "bridge-noisy.png").read_bytes()).pixels
        down, across = -(-height // pixels.shape[0]), -(-width // pixels.shape[1])
        path = self.folder / name
        path.write_bytes(images.write(Picture(np.tile(pixels, (down, across, 1))[:height, :width].copy()), form))
        return path

    # What is timed in this process

    def journey(self) -> None:
        """Decode, model, encode; the model by one caller at a time, as it takes no more."""
        picture = images.read(self.body.read_bytes())
        tiling = inference.tiling_for(self.photo.needs, Settings().tile)
        with self.lock:
            pixels = inference.restored(self.photo, picture.pixels, SIGMA, tiling)
        images.write(replace(picture, pixels=pixels), "png")

    def drawn(self) -> None:
        codes = self.digits.draw(7, 0, SAMPLES)
        images.write(Picture.of(sampling.grid(inference.decode_codes(self.digits, codes))), "png")

    def here(self, name: str, work: Callable[[], None], threads: int = 1) -> Rate:
        """The work over and over, for as long as a load takes."""
        began, cpu, end = time.monotonic(), time.process_time(), time.monotonic() + self.seconds

        def over_and_over(_: int) -> int:
            done = 0
            while time.monotonic() < end:
                work()
                done += 1
            return done

        with ThreadPoolExecutor(threads) as pool:
            done = sum(pool.map(over_and_over, range(threads)))
        rate = Rate(done, time.monotonic() - began, time.process_time() - cpu)
        self.found.setdefault(name, []).append(rate)
        return rate

    def asked(self, name: str, server: Server, path: str, clients: int, body: Path | None = None) -> tuple[Rate, Told]:
        """A load on a server."""
        cpu = cpu_seconds(server.process.pid)
        told = run(Load(server.port, path, str(body or ""), clients, self.seconds))
        self.note(f"refused, {name}", sum(told.statuses.values()) - told.done)
        rate = Rate(told.done, told.seconds, cpu_seconds(server.process.pid) - cpu, told.cpu)
        self.found.setdefault(name, []).append(rate)
        return rate, told

    def note(self, name: str, value: float) -> None:
        self.ratio.setdefault(name, []).append(value)

    # One round of each

    def throughput(self) -> None:
        loop = self.here("in process, one at a time", self.journey)
        threads = self.here("in process, 4 threads", self.journey, 4)
        best = max((loop, threads), key=per_second)
        for clients in (16, 64):
            rate, _ = self.asked(f"service, {clients} clients", self.server, DENOISE, clients, self.body)
            self.note(f"throughput, {clients} clients / in process", per_second(rate) / per_second(best))
            self.note(f"the same per CPU second, {clients} clients", per_cpu(rate) / per_cpu(best))
            if clients == 16:
                plain, _ = self.asked("plain FastAPI, 16 clients", self.plain, DENOISE, clients, self.body)
                self.note("throughput, 16 clients / plain FastAPI", per_second(rate) / per_second(plain))
        _, alone = self.asked("service, 1 client", self.server, DENOISE, 1, self.body)
        self.note("latency of 1 client / in process", alone.median * per_second(loop))

    def drawing(self) -> None:
        loop = self.here("in process, /sample of 16", self.drawn)
        rate, _ = self.asked("service, /sample of 16, 16 clients", self.server, DRAW, 16)
        self.note("GET /sample, 16 clients / in process", per_second(rate) / per_second(loop))
        self.note("the same per CPU second, GET /sample", per_cpu(rate) / per_cpu(loop))

    def vanished(self) -> None:
        """16 hang up early or late in the piece that is then being done; then one asks."""
        one = Load(self.server.port, DENOISE, str(self.body), 1, 0.0)
        usual = statistics.median(run(one).median for _ in range(5))
        phases = [0.1 + usual * phase / PHASES for phase in range(PHASES)]
        after = [run(replace(one, clients=16, gone_after=phase)).median for phase in phases]
        self.note("after 16 hang-ups: next request / usual", statistics.mean(after) / usual)
        self.note("the same, at the worst moment", max(after) / usual)

    def health(self) -> None:
        """Beside 16 clients of the service: its health, and that of an empty application."""
        load = Clients(Load(self.server.port, DENOISE, str(self.body), 16, 2 * self.seconds + 2))
        time.sleep(1.0)
        watch = Load(self.server.port, "/healthz", seconds=self.seconds, pause=0.02)
        ours = run(watch)
        beside = run(replace(watch, port=self.empty.port))
        load.told()
        self.note("health p95 / an empty FastAPI application's", ours.p95 / beside.p95)
        self.note("health p95, ms", 1000 * ours.p95)

    # Once

    def mixed(self) -> None:
        """Thumbnails, one after another, while a picture of 20 megapixels is being done."""
        tile = np.full((1, Settings().tile, Settings().tile, 3), 128, np.uint8)
        began = time.monotonic()
        for _ in range(5):
            self.photo.restore(tile, np.array([SIGMA]))
        seconds = (time.monotonic() - began) / 5
        alone = run(Load(self.server.port, DENOISE, str(self.thumbnail), 1, 1.0)).median
        large = Clients(Load(self.server.port, DENOISE, str(self.large), 1, 0.0))
        time.sleep(2.0)  # decoded by then
        small = run(Load(self.server.port, DENOISE, str(self.thumbnail), 1, 2.0))
        assert large.process.poll() is None, "the large one was done too soon to tell"
        self.note("a thumbnail alone, in tiles' times", alone / seconds)
        self.note("a thumbnail beside 20 MP, in tiles' times", small.median / seconds)
        self.note("the slowest of them, in tiles' times", max(small.times) / seconds)
        self.note("20 MP beside thumbnails, s", large.told().median)

    def memory(self) -> None:
        """The most that 64 clients make the service take, beyond what it takes at rest."""
        idle = self.server.usage.memory
        load = Clients(Load(self.server.port, DENOISE, str(self.body), 64, max(10.0, self.seconds)))
        peak = max(self.server.usage.memory for _ in load.meanwhile(0.3))
        load.told()
        self.note("memory at rest, MB", idle / 1e6)
        self.note("memory above that, 64 clients, MB", (peak - idle) / 1e6)

    # What is told

    def ratios(self) -> list[dict[str, Any]]:
        return [
            {"measure": name, "value": statistics.median(values), "least": min(values), "most": max(values)}
            for name, values in self.ratio.items()
            if any(values) or not name.startswith("refused")
        ]

    def rates(self) -> list[dict[str, Any]]:
        return [
            {
                "work": name,
                "a second": statistics.median(map(per_second, rates)),
                "CPU ms each": 1000 * statistics.median(1 / per_cpu(rate) for rate in rates),
                "clients' CPU ms each": 1000 * statistics.median(rate.clients / rate.done for rate in rates),
            }
            for name, rates in self.found.items()
        ]


def per_second(rate: Rate) -> float:
    return rate.done / rate.seconds


def per_cpu(rate: Rate) -> float:
    """Pieces done in a second of CPU."""
    return rate.done / rate.cpu


@contextmanager
def serving(folder: Path) -> Iterator[Bench]:
    """The servers, started and warm, and sessions of the same models here."""
    catalog = Catalog.of(SHIPPED)
    os.environ["DENOIR_QUIET"] = "1"  # a line a request is written all the same, but not shown
    with (
        started(folder / "nothing", SERVE, DENOIR_METRICS_PORT="0") as server,
        plain("app") as beside,
        plain("empty") as empty,
    ):
        photo, digits = (session_of(catalog, name) for name in ("photo", "digits-vae"))
        bench = Bench(server, beside, empty, folder, photo, digits)
        bench.journey()
        bench.drawn()
        for one in (server, beside):
            run(Load(one.port, DENOISE, str(bench.body), 1, 1.0))
        yield bench


def session_of(catalog: Catalog, name: str) -> Session:
    model = checkpoints.load(catalog.find(name).folder)
    return Session(model.network, torch.device("cpu"), name, model.description.sha256, Settings().cache)


@contextmanager
def plain(name: str) -> Iterator[Server]:
    """One of the applications of `benchmarks.plain`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--log-level",
        "warning",
        "--port",
        str(port),
        f"benchmarks.plain:{name}",
    ]
    process = subprocess.Popen(command)
    try:
        wait_for(port)
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int, patience: float = 60.0) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("a plain server did not start")


if __name__ == "__main__":
    main()
