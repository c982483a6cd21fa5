"""Lightness and chroma: linear, so that lightness can be kept exactly while the rest changes.

Source: ITU-T T.871 (JFIF), 7: Y'CbCr of ITU-R BT.601 in full range. Lightness (luma) Y is in [0, 1], chroma (Cb, Cr) in
[-0.5, 0.5] and nothing where a pixel is grey.
"""

import numpy as np
import torch
from torch import Tensor

from models.letterbox import ROWS, resampled, stretched
from models.types import Batch, Chroma, Lightness, Pixels

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue add to lightness."""


def luma(pixels: Batch) -> Lightness:
    """Lightness: `b 3 h w` -> `b 1 h w`; a grey picture is its own."""
    if pixels.shape[1] == 1:
        return pixels
    red, green, blue = pixels.split(1, 1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def chroma(pixels: Batch) -> Chroma:
    """Colour apart from lightness: `b 3 h w` -> Cb and Cr, `b 2 h w`."""
    y = luma(pixels)
    red, _, blue = pixels.split(1, 1)
    return torch.cat([(blue - y) / (2 - 2 * LUMA[2]), (red - y) / (2 - 2 * LUMA[0])], 1)


def joined(lightness: Lightness, colour: Chroma) -> Tensor:
    """Lightness `b 1 h w` in [0, 1] with chroma `b 2 h w` -> RGB `b 3 h w` in [0, 1].

    Chroma that leads out of the RGB cube is scaled towards grey until it is within, so that lightness stays exactly
    what it was: rounded to whole grey levels, each channel errs by half of one at most, and so does their lightness.
    """
    offsets = offsets_of(colour)
    return lightness + offsets * room(lightness, offsets)


def offsets_of(colour: Chroma) -> Tensor:
    """What chroma adds to lightness in each of red, green and blue; in lightness it adds up to nothing."""
    cb, cr = colour.split(1, 1)
    red, blue = (2 - 2 * LUMA[0]) * cr, (2 - 2 * LUMA[2]) * cb
    return torch.cat([red, -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1], blue], 1)


def room(lightness: Lightness, offsets: Tensor) -> Tensor:
    """The share of the offsets, at most all, that keeps every channel in [0, 1]: `b 1 h w`."""
    limit = torch.where(offsets > 0, 1 - lightness, lightness)
    shares = limit / offsets.abs().clamp(min=1e-6)
    return shares.amin(1, keepdim=True).clamp(max=1)


def painted(pixels: Pixels, tint: np.ndarray) -> Pixels:
    """A picture `h w 1`, or `h w 3` whose lightness alone counts, with the chroma `H W 2` of a smaller one spread over
    it: `h w 3`, the same type. Some rows at a time, whatever its height."""
    canvas = np.empty((*pixels.shape[:2], 3), pixels.dtype)
    peak = np.iinfo(pixels.dtype).max
    wide = resampled(tint, (tint.shape[0], pixels.shape[1]))
    for at in range(0, len(pixels), ROWS):
        rows = pixels[at : at + ROWS]
        lightness = luma(batch_of(rows.astype(np.float32) / peak))
        colours = joined(lightness, batch_of(stretched(wide, len(pixels), at, at + len(rows))))
        canvas[at : at + ROWS] = (colours[0].permute(1, 2, 0) * peak).round().clamp(0, peak).numpy()
    return canvas


def batch_of(rows: np.ndarray) -> Batch:
    """`h w c` float32 -> `1 c h w`."""
    return torch.from_numpy(rows).permute(2, 0, 1)[None]
