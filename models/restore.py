"""Pictures of any size through networks that take tiles: cut with a halo, joined without seams. Pure numpy.

A network's answer at a pixel depends on its surroundings up to the halo. So windows overlap by two halos, and of each
only the part at least one halo away from its inner edges is kept; where a window meets the picture's edge, that edge is
its own. Windows start on the network's grid, so that its strides fall as they do on the whole picture.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut.

    tile: the longest side of a window, halo included, in pixels. halo: pixels computed and thrown away at inner edges.
    multiple: both sides of a window divide by it. buckets: the only sides that windows may have, for devices that want
    few shapes; none lets every picture have windows that fit it.
    """

    tile: int
    halo: int
    multiple: int = 1
    buckets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.tile % self.multiple or self.halo % self.multiple or self.tile <= 2 * self.halo:
            raise ValueError(
                f"tile {self.tile} and halo {self.halo} must divide by {self.multiple}, the tile exceed two halos"
            )


@dataclass(frozen=True)
class Span:
    """One window along one axis: where it starts and ends, and the part of its answer that is kept."""

    start: int
    stop: int
    keep: int
    until: int

    @property
    def kept(self) -> slice:
        """The kept part, in the picture."""
        return slice(self.keep, self.until)

    @property
    def inner(self) -> slice:
        """The kept part, in the window."""
        return slice(self.keep - self.start, self.until - self.start)


@dataclass(frozen=True)
class Window:
    """A rectangle of the picture; it may reach over the right and bottom edge, to fill the network's grid."""

    rows: Span
    columns: Span

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def split(height: int, width: int, tiling: Tiling) -> list[Window]:
    """The windows that cover a picture, row by row, all of one shape; each pixel is kept by one of them."""
    columns = spans(width, tiling)
    return [Window(rows, column) for rows in spans(height, tiling) for column in columns]


def spans(side: int, tiling: Tiling) -> list[Span]:
    """The windows along one axis: as few as the tile allows, as short as their number allows."""
    canvas = -(-side // tiling.multiple) * tiling.multiple
    margin = 2 * tiling.halo
    count = 1 if canvas <= tiling.tile else math.ceil((canvas - margin) / (tiling.tile - margin))
    length = window_side(math.ceil((canvas - margin) / count) + margin, tiling)
    last = max(0, canvas - length)
    starts = [min(number * (length - margin), last) for number in range(count)]
    seams = [(before + length + after) // 2 for before, after in pairwise(starts)]
    edges = zip(starts, [0, *seams], [*seams, side], strict=True)
    return [Span(start, start + length, keep, until) for start, keep, until in edges]


def window_side(least: int, tiling: Tiling) -> int:
    """The shortest allowed side that is not below `least`."""
    on_grid = -(-least // tiling.multiple) * tiling.multiple
    return next((bucket for bucket in sorted(tiling.buckets) if bucket >= on_grid), on_grid)


def cut(pixels: np.ndarray, window: Window) -> np.ndarray:
    """The window's pixels, `h w c`; what lies over the edge mirrors the picture."""
    rows, columns = window.rows, window.columns
    inside = pixels[rows.start : rows.stop, columns.start : columns.stop]
    missing = [(0, full - had) for full, had in zip(window.shape, inside.shape[:2], strict=True)]
    return np.pad(inside, [*missing, (0, 0)], mode="symmetric") if any(m != (0, 0) for m in missing) else inside


def join(canvas: np.ndarray, window: Window, answer: np.ndarray) -> None:
    """Puts what is kept of a window's answer (`h w c`) into its place on the canvas."""
    canvas[window.rows.kept, window.columns.kept] = answer[window.rows.inner, window.columns.inner]
