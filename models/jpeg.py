"""JPEG as a corruption: what its blocks, quantisation and halved colours do to a picture, in tensors, on any device.

Source: ITU-T T.81 (1992) for the transform and tables, JFIF 1.02 for the colours, libjpeg for what the standards leave
open: how quality scales the tables, how colours are halved and doubled. Planes are in 8-bit grey levels, as all three
have them; pictures are in [0, 1].
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models.colour import chroma, luma, offsets_of
from models.corruptions import Spoilt, uniform
from models.layers import up_to_multiple
from models.types import GREY_LEVELS, Batch

LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Quantisation steps of the luma at quality 50, by vertical and horizontal frequency, in grey levels (T.81, K.1)."""
CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
"""Of the colour differences (T.81, K.2)."""
MIDDLE = 128
"""What is taken from the luma before its transform; the colour differences are around 0 already."""


@dataclass(frozen=True)
class Jpeg:
    """Each picture is compressed at a quality drawn between `low` and `high`, its colours halved (4:2:0) by chance.

    The blocks begin anywhere, at one place for the batch, as in a crop out of a larger picture.
    """

    low: int = 60
    high: int = 98
    halved: float = 0.5

    def __call__(self, clean: Batch, generator: Generator) -> Spoilt:
        quality = torch.floor(self.low + (self.high + 1 - self.low) * uniform(generator, len(clean)))
        halved = uniform(generator, len(clean)) < self.halved
        top, left = torch.randint(16, (2,), generator=generator, device=generator.device).tolist()
        shifted = F.pad(clean, (left, 0, top, 0), mode="replicate")
        return Spoilt(compressed(shifted, quality, halved)[..., top:, left:], clean.new_zeros(len(clean)))


def compressed(pixels: Batch, quality: Tensor, halved: Tensor) -> Batch:
    """Pictures of one or three channels as they come back from libjpeg.

    quality: `b`, 1 to 100. halved: `b`, whether the colours have half the width and height (4:2:0) or all (4:4:4).
    """
    height, width = pixels.shape[2:]
    planes = to_ycc(torch.round(pixels.clamp(0, 1) * GREY_LEVELS).expand(-1, 3, -1, -1)).round_()
    finer, coarser = tables(quality)
    brightness = quantised(planes[:, :1] - MIDDLE, finer) + MIDDLE
    fine = quantised(planes[:, 1:], coarser)
    coarse = quantised(half(planes[:, 1:]), coarser)[..., : -(-width // 2)]
    colours = torch.where(halved.view(-1, 1, 1, 1), doubled(coarse)[..., :height, :width].round(), fine)
    levels = to_rgb(torch.cat([brightness, colours], 1))[:, : pixels.shape[1]]
    return levels.round_().clamp_(0, GREY_LEVELS) / GREY_LEVELS


def quantised(planes: Tensor, steps: Tensor) -> Tensor:
    """Planes around 0, `b c h w`, through the transform, rounding to steps, `b 64`, and back."""
    height, width = planes.shape[2:]
    both = basis(planes.device)
    eighths = torch.round(blocks(padded(planes, 8, 8)) @ (8 * both.mT))  # as libjpeg hands them on
    steps = 8 * steps.view(-1, 1, 1, 1, 64)
    counts = torch.floor(eighths.abs() / steps + 0.5).copysign(eighths)
    restored = unblocked((counts * steps / 8) @ both)[..., :height, :width]
    return restored.round_().clamp_(-MIDDLE, MIDDLE - 1)


def half(planes: Tensor) -> Tensor:
    """Means of two by two, `b c h w` -> `b c ceil(h/2) w'`; what is a half is rounded down and up by turns.

    The width stays that of whole blocks: libjpeg widens before the colours are halved, and heightens after.
    """
    means = F.avg_pool2d(padded(planes, 2, 16), 2)
    bias = torch.tensor([0.25, 0.5], device=planes.device).repeat(means.shape[3] // 2)
    return torch.floor(means + bias)


def blocks(planes: Tensor) -> Tensor:
    """`b c h w` -> `b c h/8 w/8 64`."""
    return planes.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4).flatten(4)


def unblocked(rows: Tensor) -> Tensor:
    """The other way round."""
    return rows.unflatten(4, (8, 8)).transpose(3, 4).flatten(4, 5).flatten(2, 3)


def basis(device: torch.device) -> Tensor:
    """The orthonormal 8x8 cosine transform (T.81, A.3.3) of blocks as rows of 64: `frequency pixel`."""
    k, x = torch.arange(8.0, device=device)[:, None], torch.arange(8.0, device=device)
    one = torch.cos((2 * x + 1) * k * math.pi / 16) * torch.where(k == 0, math.sqrt(1 / 8), 0.5)
    return torch.kron(one, one)


def tables(quality: Tensor) -> tuple[Tensor, Tensor]:
    """Steps of luma and colour differences, each `b 64`, at qualities `b` (libjpeg's jpeg_quality_scaling)."""
    percent = torch.where(quality < 50, torch.floor(5000 / quality), 200 - 2 * quality)[:, None]
    bases = (percent.new_tensor(table).flatten() for table in (LUMA_TABLE, CHROMA_TABLE))
    finer, coarser = (torch.floor((base * percent + 50) / 100).clamp(1, 255) for base in bases)
    return finer, coarser


def doubled(planes: Tensor) -> Tensor:
    """`b c h w` -> `b c 2h 2w` by the triangle filter that libjpeg calls fancy upsampling: 3/4 of the nearer, 1/4."""
    return F.interpolate(planes, scale_factor=2, mode="bilinear", align_corners=False)


def padded(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Up to multiples of so many rows and columns, by the edge."""
    height, width = planes.shape[2:]
    bottom, right = up_to_multiple(height, rows) - height, up_to_multiple(width, columns) - width
    return F.pad(planes, (0, right, 0, bottom), "replicate")


def to_ycc(pixels: Tensor) -> Tensor:
    """`b 3 h w` -> luma and the two colour differences around 0, `b 3 h w`."""
    return torch.cat([luma(pixels), chroma(pixels)], 1)


def to_rgb(planes: Tensor) -> Tensor:
    """The other way round; what leads out of the colours there are is left so."""
    return planes[:, :1] + offsets_of(planes[:, 1:])
