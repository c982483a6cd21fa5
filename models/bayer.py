"""A sensor that sees one colour a pixel (Bayer 1976), and the colours computed back from it, in tensors, on any device.

The mosaic is R G over G B. Its phase is the row and the column of the first red, each 0 or 1. Sides from 4 px up.
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
corners. Finer ways are left to the resolution: reduced, even this is drawn as sharply as the picture can be."""
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


def filters(mosaic: Tensor) -> Tensor:
    """For each colour and each of two by two pixels, on the mosaic's device: `12 1 4 4`."""
    chosen = mosaic.new_tensor(BILINEAR)[torch.tensor(SITES)] / 4
    placed = mosaic.new_zeros(3, 2, 2, 4, 4)
    for y in range(2):
        for x in range(2):
            placed[:, y, x, y : y + 3, x : x + 3] = chosen[:, 2 * y + x]
    return placed.view(12, 1, 4, 4)
