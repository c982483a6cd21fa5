"""Seconds per megapixel of `photo`, beside FFDNet's architecture, in one run: `python -m benchmarks.speed`.

FFDNet (Zhang et al. 2018) has random weights here, which cost the same: its colour network, 12 convolutions of 96
channels behind a pixel-unshuffle of 2, in fp32 eager mode. `photo` is timed as a user meets it: 8-bit pixels in and
out, tiles and halo included; with decoding and encoding in a column of its own. The picture is a sample, mirrored until
it is as large, with noise.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from models import checkpoints, images, inference
from models.catalog import SHIPPED, Catalog
from models.evaluation import as_markdown
from models.images import Picture
from models.sessions import Session
from service.settings import cores_given

SAMPLES = Path(__file__).parent.parent / "samples"
SIGMA = 25.0
SIZES = ((512, 512), (1024, 1024), (2000, 2000))


def ffdnet() -> nn.Module:
    """FFDNet for colour, fp32, eager: `b 15 h/2 w/2` -> `b 12 h/2 w/2`."""
    layers: list[nn.Module] = [nn.Conv2d(15, 96, 3, padding=1), nn.ReLU()]
    for _ in range(10):
        layers += [nn.Conv2d(96, 96, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(96, 12, 3, padding=1)).eval()


def timed(*runs: Callable[[], Any], rounds: int) -> list[float]:
    """Median seconds of each, run turn about after one round to warm up."""
    seconds: list[list[float]] = [[] for _ in runs]
    for turn in range(rounds + 1):
        for number, run in enumerate(runs):
            began = time.perf_counter()
            run()
            if turn:
                seconds[number].append(time.perf_counter() - began)
    return [median(one) for one in seconds]


def photograph(height: int, width: int) -> np.ndarray:
    """A noisy one, `h w 3`."""
    sample = images.read((SAMPLES / "bridge.jpg").read_bytes()).pixels
    missing = (height - sample.shape[0], width - sample.shape[1])
    whole = np.pad(sample, [(0, max(0, more)) for more in missing] + [(0, 0)], "symmetric")[:height, :width]
    noise = np.random.default_rng(0).normal(0, SIGMA, whole.shape)
    return (whole + noise).round().clip(0, 255).astype(np.uint8)


def row(session: Session, other: nn.Module, height: int, width: int, rounds: int) -> dict[str, float | str]:
    """One size of picture."""
    pixels = photograph(height, width)
    halves = torch.rand(1, 15, height // 2, width // 2)
    tiling = inference.tiling_for(session.needs)
    data = images.write(Picture(pixels), "jpeg")

    def journey() -> bytes:
        picture = images.read(data)
        return images.write(replace(picture, pixels=inference.restored(session, picture.pixels, SIGMA, tiling)), "jpeg")

    with torch.inference_mode():
        model, whole, beside = timed(
            lambda: inference.restored(session, pixels, SIGMA, tiling), journey, lambda: other(halves), rounds=rounds
        )
    megapixels = height * width / 1e6
    return {
        "picture": f"{width}x{height}",
        "photo, s/MP": model / megapixels,
        "with JPEG in and out, s/MP": whole / megapixels,
        "FFDNet, s/MP": beside / megapixels,
        "ratio": whole / beside,
    }


def main() -> None:
    """Prints the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    rounds = asked.parse_args().rounds
    torch.set_num_threads(cores_given())
    loaded = checkpoints.load(Catalog.of(SHIPPED).find("photo").folder)
    session = Session(loaded.network, torch.device("cpu"))
    other = ffdnet()
    rows = [row(session, other, *size, rounds) for size in tqdm(SIZES, leave=False)]
    print(f"{torch.get_num_threads()} threads; {session.made}")
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
