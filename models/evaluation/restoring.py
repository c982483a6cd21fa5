"""Restorers: those told the level by level of noise, the others by kind of damage; and the seams of tiles."""

import time

import numpy as np
import torch
from torch import Generator
from torchmetrics.functional.image import structural_similarity_index_measure
from tqdm import tqdm

from models import denoisers, inference
from models.camera import Camera
from models.checkpoints import Model
from models.corruptions import Corruption, Dropout, Gaussian, Nothing, SaltPepper
from models.data import DataError, as_floats, short_side
from models.evaluation.pixels import (
    CHUNK,
    batched,
    chunks,
    contact,
    decibels,
    floats_of,
    floats_of_many,
    middle,
    photographed,
    spoilt_pixels,
    to_pixels,
    whole,
)
from models.evaluation.protocol import Report, Row, Trial
from models.restore import Tiling
from models.scores import losses, mean_squared_error, psnr
from models.sessions import Session
from models.types import Picture8, Pixels

LEVELS = (5.0, 15.0, 25.0, 50.0, 75.0)
"""Noise levels that a restorer of photographs is measured at, in grey levels."""

SPOILT: dict[str, Corruption] = {
    "10 % dropped": Dropout(0.10, 0.10),
    "25 % dropped": Dropout(0.25, 0.25),
    "50 % dropped": Dropout(0.50, 0.50),
    "75 % dropped": Dropout(0.75, 0.75),
    "Gaussian 25": Gaussian(25, 25),
    "Gaussian 50": Gaussian(50, 50),
    "Gaussian 100": Gaussian(100, 100),
    "salt and pepper, up to 40 %": SaltPepper(0.4),
}
"""What a restorer that is told nothing is measured on; it was trained on pixels dropped and on Gaussian noise alone."""


CAMERAS: dict[str, Corruption] = {
    "a camera's": Camera(),
    "a camera's, calmed in it": Camera(calmed=1.0, retouched=0.8),
}
"""What one that is told the level is measured on with nothing told."""
WINDOW = 11
"""Side in pixels of what SSIM looks at around a pixel; near the edges it sees the picture mirrored."""
MOST = 100.0
"""Decibels: no more are told of a picture, as of equal ones they would be infinite."""


def by_level(model: Model, session: Session, trial: Trial) -> Report:
    """PSNR and SSIM at each level of Gaussian noise, clipped and rounded to 8 bits; noise of picture i from seed i.

    Raises DataError, before it measures any, for pictures too small for SSIM.
    """
    check_sizes(trial.pictures)
    tiling = inference.tiling_for(session.needs, trial.tile)
    table: list[Row] = []
    seconds = megapixels = 0.0
    for sigma in LEVELS:
        scores: dict[str, list[float]] = {}
        for number, picture in enumerate(tqdm(trial.pictures, desc=f"noise {sigma:g}", leave=False)):
            noisy = spoilt_pixels(picture, Gaussian(sigma, sigma), number)
            began = time.monotonic()
            told = inference.restored(session, noisy, sigma, tiling)
            seconds, megapixels = seconds + time.monotonic() - began, megapixels + noisy[..., 0].size / 1e6
            level = denoisers.found(noisy).level
            estimated = inference.restored(session, noisy, level, tiling)
            compared = {"noisy": noisy, "told": told, "estimated": estimated}
            for name, value in compare(picture, compared).items():
                scores.setdefault(name, []).append(value)
            scores.setdefault("level estimated", []).append(level)
        row: Row = {"sigma": sigma}
        table.append(row | {name: float(np.mean(values)) for name, values in scores.items()})
    figures = {"seconds_per_megapixel": seconds / megapixels, "threads": torch.get_num_threads()}
    more = {"Noise as cameras make it (made), nothing told": untold(session, trial.pictures, tiling)}
    sheet = before_after(session, (trial.sheet or trial.pictures)[:3], tiling)
    return Report(table, figures | {"device": str(session.device)}, sheet, more)


def check_sizes(pictures: list[Picture8]) -> None:
    """Raises DataError for pictures that SSIM's window doesn't fit into."""
    if small := sum(short_side(picture) < WINDOW for picture in pictures):
        raise DataError(
            f"{small} of {len(pictures)} pictures have less than {WINDOW} px on their short side, which SSIM needs; "
            "leave them out"
        )


def before_after(session: Session, pictures: list[Picture8], tiling: Tiling) -> Pixels:
    """A sheet of the pictures' middles, with noise of 25 grey levels, and what becomes of each, the level told."""
    shown: list[Pixels] = []
    for number, picture in enumerate(pictures):
        noisy = spoilt_pixels(picture, Gaussian(25, 25), number)
        shown += [middle(one, 256) for one in (noisy, inference.restored(session, noisy, 25.0, tiling))]
    return contact(shown)


def untold(session: Session, pictures: list[Picture8], tiling: Tiling) -> list[Row]:
    """PSNR of each kind of a camera's noise before and after, the level found; how many pictures come back worse, and
    by how much at most. Noise of picture i from seed i."""
    table: list[Row] = []
    for name, camera in CAMERAS.items():
        scores = []
        for number, picture in enumerate(tqdm(pictures, desc=name, leave=False)):
            noisy, clean = photographed(picture, camera, number)
            answer = inference.restored(session, noisy, denoisers.found(noisy).level, tiling)
            scores.append([min(MOST, float(psnr(floats_of(one), floats_of(clean)))) for one in (noisy, answer)])
        before, after = np.array(scores).T
        row: Row = {"noise": name, "PSNR before": float(before.mean()), "PSNR after": float(after.mean())}
        worse, lost = losses(before, after)
        table.append(row | {"pictures worse": worse, "most lost, dB": lost})
    return table


def compare(clean: Picture8, restored: dict[str, Pixels]) -> dict[str, float]:
    """PSNR in dB and SSIM of each picture against the clean one."""
    scores = {}
    reference = as_floats(clean[None])
    for name, pixels in restored.items():
        batch = floats_of(pixels)
        scores[f"{name} PSNR"] = float(psnr(batch, reference))
        scores[f"{name} SSIM"] = float(
            torch.as_tensor(structural_similarity_index_measure(batch, reference, data_range=1.0))
        )
    return scores


def by_corruption(model: Model, session: Session, trial: Trial) -> Report:
    """Mean squared error (of pixels in [0, 1]) and PSNR, before and after, for each kind of damage; seed 0."""
    clean = whole(model, trial.pictures)
    table: list[Row] = []
    shown: list[Pixels] = []
    for name, corruption in (SPOILT | {"nothing": Nothing()}).items():
        noisy = batched(
            clean, lambda part, at, how=corruption: how(as_floats(part), Generator().manual_seed(at)).pixels
        )
        pixels = to_pixels(noisy)
        restored = np.concatenate([restore_chunk(session, pixels[at : at + CHUNK]) for at in chunks(pixels)])
        before, after = (mean_squared_error(batch, as_floats(clean)) for batch in (noisy, floats_of_many(restored)))
        row: Row = {"damage": name, "MSE in": float(before.mean()), "MSE out": float(after.mean())}
        table.append(row | {"PSNR in": decibels(before), "PSNR out": decibels(after)})
        shown += [*pixels[:5], *restored[:5]]
    return Report(table, {"score": "PSNR of the mean squared error over the set"}, contact(shown, columns=10))


def restore_chunk(session: Session, pixels: Pixels) -> Pixels:
    """Small whole pictures `b h w c` through a network that is told no level."""
    return inference.restore_tiles(session, pixels, np.zeros(len(pixels)))


def seam(session: Session, picture: Picture8, sigma: float, seed: int, tiling: Tiling) -> float:
    """The largest difference, in grey levels, between a picture's tiled answer and its whole one, before rounding."""
    noisy = spoilt_pixels(picture, Gaussian(sigma, sigma), seed).astype(np.uint16) * 257
    longest = -(-max(noisy.shape[:2]) // tiling.multiple) * tiling.multiple
    together = inference.restored(session, noisy, sigma, Tiling(longest, 0, tiling.multiple))
    tiled = inference.restored(session, noisy, sigma, tiling)
    return float(np.abs(together.astype(np.int32) - tiled.astype(np.int32)).max()) / 257
