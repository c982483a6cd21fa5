"""Samples where numpy and Pillow both see them, so that a large picture stands in memory once.

Pillow keeps a pixel of several samples in four bytes. Where it decodes into memory of ours, a picture's colours and its
alpha are views of `h w 4`; where those are encoded, Pillow looks at the same memory. Without that a picture of 50
megapixels would take 200 MB beside its own 150, twice.
"""

import sys
from typing import Any

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from models.images.picture import Pixels

_WORDS = {"LA": slice(0, 4, 3), "RGB": slice(0, 3), "RGBA": slice(0, 4)}
"""Modes whose pixels have four bytes, and which of these are their samples."""

_BAND = 1 << 20
"""Samples that are computed with at a time."""

_SINGLE = {"L": np.dtype(np.uint8)} | ({"I;16": np.dtype(np.uint16)} if sys.byteorder == "little" else {})


def decoded(image: ImageFile) -> Pixels | None:
    """The samples of a file that is not decoded yet, `h w bands`; None where they have to be copied out of the image.

    Nothing of an earlier picture shows where a decoder leaves gaps: the memory is new, and so it is zero.
    """
    mode, (width, height) = image.mode, image.size
    if (
        image.format == "JPEG" and not image.tile
    ):  # cut short before its pixels; of an image without room Pillow says so
        return None
    if getattr(image, "_tile_size", image.size) != image.size:  # a TIFF that Pillow turns once it is decoded
        return None
    if mode in _WORDS:
        room, seen = np.zeros((height, width, 4), np.uint8), _WORDS[mode]
    elif mode in _SINGLE:
        room, seen = np.zeros((height, width, 1), _SINGLE[mode]), slice(None)
    else:
        return None
    core = _core(room, mode)
    image.im = core
    image.load()
    return room[..., seen] if image.im is core and (image.mode, image.size) == (mode, (width, height)) else None


def image_of(pixels: Pixels, alpha: Pixels | None) -> Image.Image:
    """uint8 colours `h w c`, c of 1 or 3, and alpha `h w`, as an image; of such memory as `decoded` gives no copy.

    It is to be read, not changed.
    """
    mode = ("L" if pixels.shape[2] == 1 else "RGB") + ("" if alpha is None else "A")
    room = _room(pixels, alpha, _WORDS[mode]) if mode in _WORDS else None
    if room is None or room.shape[2] != 4:
        samples = stacked(pixels, alpha)
        return Image.fromarray(samples[..., 0] if mode == "L" else samples)
    image = Image.new(mode, (0, 0))._new(_core(room, mode))
    image.readonly = 1
    return image


def stacked(pixels: Pixels, alpha: Pixels | None) -> Pixels:
    """Colours and alpha as `h w c`, copied only where they do not lie side by side."""
    if alpha is None:
        return pixels
    for bands in (slice(None), _WORDS["LA" if pixels.shape[2] == 1 else "RGBA"]):
        room = _room(pixels, alpha, bands)
        if room is not None:
            return room[..., bands]
    return np.dstack((pixels, alpha))


def bands(samples: Pixels) -> list[Pixels]:
    """The rows in parts that are small enough to be computed with."""
    return np.array_split(samples, max(1, samples.size // _BAND))


def divide_by_alpha(samples: Pixels) -> None:
    """Takes alpha, the last band of `h w c`, out of the others in place; where it is 0 there is no colour."""
    white = np.iinfo(samples.dtype).max
    for band in bands(samples):
        alpha = band[..., -1:].astype(np.float64)
        colours = (band[..., :-1] * (white / np.maximum(alpha, 1))).round()
        band[..., :-1] = np.where(alpha > 0, np.minimum(colours, white), 0)


def _core(room: Pixels, mode: str) -> Any:
    """Pillow's own image over memory of ours, as `Image.frombuffer` makes it of the modes that it knows."""
    return Image.core.map_buffer(room, (room.shape[1], room.shape[0]), "raw", 0, (mode, 0, 1))


def _room(pixels: Pixels, alpha: Pixels | None, bands: slice) -> Pixels | None:
    """The memory `h w n` of whose `bands` these are views, if they are."""
    room, parts = pixels.base, [pixels] if alpha is None else [pixels, alpha[..., None]]
    if not isinstance(room, np.ndarray) or room.ndim != 3 or not room.flags.c_contiguous:
        return None
    whole = room[..., bands]
    if whole.shape != (*pixels.shape[:2], sum(part.shape[2] for part in parts)):
        return None
    first = 0
    for part in parts:
        bands = slice(first, first := first + part.shape[2])
        if _lies(part) != _lies(whole[..., bands]):
            return None
    return room


def _lies(samples: Pixels) -> tuple[object, ...]:
    """Where samples lie, and how; a side of one has no stride to speak of."""
    strides = [stride for stride, side in zip(samples.strides, samples.shape, strict=True) if side > 1]
    return samples.__array_interface__["data"], samples.shape, strides, samples.dtype
