"""Pictures as they are measured: fitted to a model, spoilt, between 8 bits and floats, laid out on a sheet."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from models import data, letterbox, sampling
from models.checkpoints import Model
from models.corruptions import Corruption
from models.data import Wholes, as_floats
from models.types import GREY_LEVELS, Batch, Picture8, Pixels

CHUNK = 500
"""Small pictures are measured so many at a time."""


def whole(model: Model, pictures: list[Picture8]) -> Tensor:
    """Pictures brought to the size and channels that the model takes, `n c h w` uint8."""
    needs = model.network.needs
    fitted = [data.in_channels(p, needs.channels) for p in pictures]
    return Wholes.of(data.Pictures(fitted, fitted[:1]), needs.size).train


def transparent(model: Model) -> bool:
    """Whether the model knows what transparency is."""
    return model.network.needs.channels == 4


def spoilt_pixels(picture: Picture8, corruption: Corruption, seed: int) -> Pixels:
    """One picture spoilt, as an upload has it: `h w c` uint8."""
    spoilt = corruption(as_floats(picture[None]), Generator().manual_seed(seed)).pixels
    return to_pixels(spoilt)[0]


def photographed(picture: Picture8, camera: Corruption, seed: int) -> tuple[Pixels, Pixels]:
    """One picture as a camera took it and as it would have been without noise, `h w c` uint8 each."""
    clean = as_floats(picture[None])
    taken = camera(clean, Generator().manual_seed(seed))
    return to_pixels(taken.pixels)[0], to_pixels(taken.target(clean))[0]


def batched(pictures: Tensor, change: Callable[[Tensor, int], Tensor]) -> Tensor:
    """`change(part, where it starts)` over parts of CHUNK pictures."""
    return torch.cat([change(pictures[at : at + CHUNK], at) for at in chunks(pictures)])


def chunks(pictures: Any) -> Iterator[int]:
    """Where the parts of CHUNK pictures start."""
    return iter(range(0, len(pictures), CHUNK))


def to_pixels(batch: Batch) -> Pixels:
    """`b c h w` in [0, 1] -> `b h w c` uint8."""
    return batch.clamp(0, 1).mul(GREY_LEVELS).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def floats_of(pixels: Pixels) -> Batch:
    """`h w c` uint8 -> `1 c h w` in [0, 1]."""
    return floats_of_many(pixels[None])


def floats_of_many(pixels: Pixels) -> Batch:
    """`b h w c` uint8 -> `b c h w` in [0, 1]."""
    return as_floats(torch.from_numpy(pixels).permute(0, 3, 1, 2))


def contact(pictures: list[Pixels], columns: int = 0) -> Pixels:
    """Pictures on one sheet, each cut to the smallest among them."""
    height, width = (min(p.shape[axis] for p in pictures) for axis in (0, 1))
    return sampling.grid(np.stack([p[:height, :width] for p in pictures]), columns=columns)


def middle(pixels: Pixels, side: int) -> Pixels:
    """The middle of a picture `h w c`, of so many pixels each way where it has them."""
    top, left = (max(0, (size - side) // 2) for size in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def thumbnail(pixels: Pixels, side: int = 160) -> Pixels:
    """The picture in a square."""
    return letterbox.fitted(pixels, (side, side))[0]


def decibels(errors: Tensor) -> float:
    """PSNR of the mean of the errors: pictures that come back exactly would make the mean of PSNRs infinite."""
    return float(-10 * torch.log10(errors.mean().clamp(min=1e-10)))
