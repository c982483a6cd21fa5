"""A sensor that sees one colour a pixel (Bayer 1976), and the colours computed back from it, in tensors, on any device.

The mosaic is R G over G B. Its phase is the row and the column of the first red, each 0 or 1. Sides from 4 px up.

Source: Hamilton and Adams 1997, "Adaptive color plan interpolation in single sensor color electronic camera" (US patent
5,629,734, expired): the way that follows edges.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.types import Batch, Mosaic

Phase = tuple[int, int]

BILINEAR = (
    ((0, 0, 0), (0, 4, 0), (0, 0, 0)),
    ((0, 1, 0), (1, 0, 1), (0, 1, 0)),
    ((0, 0, 0), (2, 0, 2), (0, 0, 0)),
    ((0, 2, 0), (0, 0, 0), (0, 2, 0)),
    ((1, 0, 1), (0, 0, 0), (1, 0, 1)),
)
"""In quarters: the colour that is seen; from all four neighbours, from left and right, from above and below, from the
corners."""
SITES = (
    (0, 2, 3, 4),
    (1, 0, 0, 1),
    (4, 3, 2, 0),
)
"""Which of the filters gives red, green, blue at a red, at a green beside it, at a green below it, at a blue."""


def mosaicked(pixels: Batch, phase: Phase) -> Mosaic:
    """Of each pixel of pictures with three channels the one colour that the sensor sees."""
    y, x = phase
    red, green, blue = pixels.split(1, 1)
    mosaic = green.clone(memory_format=torch.contiguous_format)
    mosaic[..., y::2, x::2] = red[..., y::2, x::2]
    mosaic[..., 1 - y :: 2, 1 - x :: 2] = blue[..., 1 - y :: 2, 1 - x :: 2]
    return mosaic


def demosaicked(mosaic: Mosaic, phase: Phase) -> Batch:
    """All three colours, `b 3 h w`, the missing ones bilinear.

    Two by two pixels are computed at a time. The edge is mirrored, which keeps the mosaic's order.
    """
    (y, x), (height, width) = phase, mosaic.shape[2:]
    margins = (1 + x, 1 + (width + x) % 2, 1 + y, 1 + (height + y) % 2)
    colours = F.conv2d(F.pad(mosaic, margins, "reflect"), filters(mosaic), stride=2)
    return F.pixel_shuffle(colours, 2)[..., y : y + height, x : x + width]


def demosaicked_along_edges(mosaic: Mosaic, phase: Phase) -> Batch:
    """All three colours, `b 3 h w`: green first, and of red and blue how they differ from it, bilinear.

    Noise comes out of it otherwise than of the bilinear way: sharp and in short lines in green, coarser in what red and
    blue differ by.
    """
    green = greens(mosaic, phase)
    return green + demosaicked(mosaic - green, phase)


def greens(mosaic: Mosaic, phase: Phase) -> Mosaic:
    """Green where it is not seen: along the axis, of the two, along which the mosaic changes less, or of both where it
    changes as much."""
    guesses, changes = zip(*(along(mosaic, axis) for axis in (2, 3)), strict=True)
    difference = changes[0] - changes[1]
    guess = torch.lerp(guesses[0], guesses[1], (difference.sign() + 1) / 2)
    seen = mosaicked(mosaic.new_tensor((0, 1, 0)).view(1, 3, 1, 1).expand(1, 3, *mosaic.shape[2:]), phase)
    return torch.where(seen > 0, mosaic, guess)


def along(mosaic: Mosaic, axis: int) -> tuple[Mosaic, Mosaic]:
    """From the neighbours along an axis, corrected by how the pixel's own colour bends there; and how much changes."""
    margins = (2, 2, 0, 0) if axis == 3 else (0, 0, 2, 2)
    wider = F.pad(mosaic, margins, "reflect")
    far, near, own, next_, last = (wider.narrow(axis, step, mosaic.shape[axis]) for step in range(5))
    bend = 2 * own - far - last
    return (near + next_) / 2 + bend / 4, (near - next_).abs() + bend.abs()


def filters(mosaic: Tensor) -> Tensor:
    """For each colour and each of two by two pixels, on the mosaic's device: `12 1 4 4`."""
    chosen = mosaic.new_tensor(BILINEAR)[torch.tensor(SITES)] / 4
    placed = mosaic.new_zeros(3, 2, 2, 4, 4)
    for y in range(2):
        for x in range(2):
            placed[:, y, x, y : y + 3, x : x + 3] = chosen[:, 2 * y + x]
    return placed.view(12, 1, 4, 4)
