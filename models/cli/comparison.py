"""Before and after, side by side."""

import numpy as np

from models.images import Picture, Pixels, check_fits, eight

GAP = 4
"""Columns of white between the two."""


def check_both_fit(before: Picture, form: str) -> None:
    """Raises PictureTooLarge where a format can't hold a picture beside an answer of its size."""
    check_fits(2 * before.width + GAP, before.height, form)


def side_by_side(before: Picture, after: Picture) -> Picture:
    """One picture of two, what is transparent on white; the lower one on white as well, at the top."""
    depth, channels = after.pixels.dtype, max(before.pixels.shape[2], after.pixels.shape[2])
    height = max(before.height, after.height)
    left, right = (placed(one, depth, channels, height) for one in (before, after))
    gap = np.full((height, GAP, channels), np.iinfo(depth).max, depth)
    return Picture(np.concatenate([left, gap, right], 1), profile=after.profile, format=after.format)


def placed(picture: Picture, depth: np.dtype, channels: int, height: int) -> Pixels:
    """Its pixels in that depth, with so many channels and rows."""
    pixels = picture.on_white
    if pixels.dtype != depth:
        pixels = eight(pixels) if depth == np.uint8 else pixels.astype(depth) * 257
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], channels))
    below = np.full((height - len(pixels), pixels.shape[1], channels), np.iinfo(depth).max, depth)
    return np.concatenate([pixels, below])
