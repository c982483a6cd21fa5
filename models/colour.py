"""Lightness and chroma: linear, so that lightness can be kept exactly while the rest changes.

Source: ITU-T T.871 (JFIF), 7: Y'CbCr of ITU-R BT.601 in full range. Lightness (luma) Y is in [0, 1], chroma (Cb, Cr) in
[-0.5, 0.5] and nothing where a pixel is grey.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from models.letterbox import resampled, stretched
from models.types import Batch, Chroma, Lightness, Pixels

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue add to lightness."""
BAND = 1 << 16
"""Pixels that are painted at a time: few enough for what is computed of them to stay in a core's cache, where it takes
a third of the time."""


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


def joined(lightness: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Lightness `h 1 w` in [0, 1] with what chroma adds to it (`offsets_of`), `h 3 w` -> RGB `h 3 w` in [0, 1].

    Chroma that leads out of the RGB cube is scaled towards grey until it is within, so that lightness stays exactly
    what it was: rounded to whole grey levels, each channel errs by half of one at most, and so does their lightness.
    """
    return lightness + offsets * room(lightness, offsets)


def offsets_of(colour: Chroma) -> Tensor:
    """What chroma adds to lightness in each of red, green and blue; in lightness it adds up to nothing."""
    cb, cr = colour.split(1, 1)
    red, blue = (2 - 2 * LUMA[0]) * cr, (2 - 2 * LUMA[2]) * cb
    return torch.cat([red, -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1], blue], 1)


def room(lightness: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The share of the offsets, at most all, that keeps every channel in [0, 1]: `h 1 w`."""
    limit = np.where(offsets > 0, 1 - lightness, lightness)
    shares = limit / np.maximum(np.abs(offsets), 1e-6)
    return np.minimum(shares.min(1, keepdims=True), 1)


def painted(pixels: Pixels, tint: np.ndarray) -> Pixels:
    """A picture `h w 1`, or `h w 3` whose lightness alone counts, with the chroma `H W 2` of a smaller one spread over
    it: `h w 3`, the same type."""
    canvas = canvas_for(pixels)
    for _ in painting(canvas, pixels, tint):
        pass
    return canvas


def canvas_for(pixels: Pixels) -> Pixels:
    """Room for a picture in colour."""
    return np.empty((*pixels.shape[:2], 3), pixels.dtype)


def painting(canvas: Pixels, pixels: Pixels, tint: np.ndarray) -> Iterator[int]:
    """Does so on a canvas, a band of rows at a time, and tells how many of them are done. One thread computes: on cores
    that others want as well, several would wait for one another."""
    height, width = pixels.shape[:2]
    peak = np.float32(np.iinfo(pixels.dtype).max)
    offsets = offsets_of(torch.from_numpy(tint).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    wide = np.ascontiguousarray(resampled(offsets, (len(offsets), width)).swapaxes(1, 2))
    step = max(1, BAND // width)
    for at in range(0, height, step):
        rows = lightness_of(pixels[at : at + step]).swapaxes(1, 2) / peak
        colours = joined(rows, stretched(wide, height, at, at + len(rows)))
        canvas[at : at + step] = (colours * peak).round().clip(0, peak).swapaxes(1, 2)
        yield at + len(rows)


def lightness_of(pixels: np.ndarray) -> np.ndarray:
    """`h w 1` or `h w 3` of any type -> its lightness `h w 1`, as it is or float32."""
    return pixels if pixels.shape[2] == 1 else (pixels @ np.array(LUMA, np.float32))[..., None]
