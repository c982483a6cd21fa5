"""Pictures of any size through networks that take tiles: cut with a halo, joined without seams. Pure numpy.

A network's answer at a pixel depends on its surroundings up to the halo. So windows overlap by two halos, and of each
only the part at least one halo away from its inner edges is kept; where a window meets the picture's edge, that edge is
its own. Windows start on the network's grid, so that its strides fall as they do on the whole picture.
"""

import math
from dataclasses import dataclass
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

TILE = 896
"""Side of a tile unless told. In a smaller one more is halo, and computed twice; a larger one makes others wait."""


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut.

    tile: side of the square that a window has no more pixels than, halo included; what it takes in time and memory goes
    by its pixels, whatever its shape. halo: pixels computed and thrown away at inner edges. multiple: both sides of a
    window divide by it. buckets: the only sides that windows may have, for devices that want few shapes, and then none
    is longer than a tile; none lets every picture have windows that fit it.
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


class Cut(NamedTuple):
    """How one axis is cut: into how many windows, and how long each is, in pixels."""

    windows: int
    length: int

    @property
    def computed(self) -> int:
        """Pixels computed along the axis, those of overlaps more than once."""
        return self.windows * self.length


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
    """The windows that cover a picture, row by row, all of one shape; each pixel is kept by one of them.

    Of the ways to cut both sides whose windows have no more pixels than a tile, this is the one that computes fewest.
    """
    ways = product(cuts(height, tiling), cuts(width, tiling))
    fitting = [(down, across) for down, across in ways if down.length * across.length <= tiling.tile**2]
    down, across = min(fitting, key=lambda way: way[0].computed * way[1].computed)
    columns = spans(width, across, tiling)
    return [Window(rows, column) for rows in spans(height, down, tiling) for column in columns]


def cuts(side: int, tiling: Tiling) -> list[Cut]:
    """The ways to cut one axis: not at all, then into ever more windows, up to twice as many as tiles along it, beyond
    which more and more is halo. Of several that give windows of one length, the one with the fewest."""
    canvas, margin = on_grid(side, tiling), 2 * tiling.halo
    most = 2 * max(1, math.ceil((canvas - margin) / (tiling.tile - margin)))
    found: dict[int, Cut] = {}
    for windows in range(1, most + 1):
        length = window_side(math.ceil((canvas - margin) / windows) + margin, tiling)
        if (windows == 1 or length < canvas) and not (tiling.buckets and length > tiling.tile):
            found.setdefault(length, Cut(windows, length))
    return list(found.values())


def spans(side: int, so: Cut, tiling: Tiling) -> list[Span]:
    """The windows along one axis, so many and so long as is told."""
    step, last = so.length - 2 * tiling.halo, max(0, on_grid(side, tiling) - so.length)
    starts = [min(number * step, last) for number in range(so.windows)]
    seams = [(before + so.length + after) // 2 for before, after in pairwise(starts)]
    edges = zip(starts, [0, *seams], [*seams, side], strict=True)
    return [Span(start, start + so.length, keep, until) for start, keep, until in edges]


def on_grid(side: int, tiling: Tiling) -> int:
    """The side, rounded up to the network's grid."""
    return -(-side // tiling.multiple) * tiling.multiple


def window_side(least: int, tiling: Tiling) -> int:
    """The shortest allowed side that is not below `least`."""
    fitting = on_grid(least, tiling)
    return next((bucket for bucket in sorted(tiling.buckets) if bucket >= fitting), fitting)


def cut(pixels: np.ndarray, window: Window) -> np.ndarray:
    """The window's pixels, `h w c`; what lies over the edge mirrors the picture."""
    rows, columns = window.rows, window.columns
    inside = pixels[rows.start : rows.stop, columns.start : columns.stop]
    missing = [(0, full - had) for full, had in zip(window.shape, inside.shape[:2], strict=True)]
    return np.pad(inside, [*missing, (0, 0)], mode="symmetric") if any(m != (0, 0) for m in missing) else inside


def filled(tile: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The tile `h w c` with colours that are seen wherever `alpha`, `h w`, hides its own: those of the nearest pixel of
    the row, in the nearest row that has one. So what a file keeps unseen can't spread into what is seen."""
    seen = alpha > 0
    if seen.all() or not seen.any():
        return tile
    rows = nearest(seen.max(1))
    return tile[rows[:, None], nearest(seen[rows])]


def nearest(there: np.ndarray) -> np.ndarray:
    """Along the last axis, where the nearest that is True is; there must be one."""
    here, side = np.arange(there.shape[-1]), there.shape[-1]
    before = np.maximum.accumulate(np.where(there, here, -2 * side), -1)
    after = np.minimum.accumulate(np.where(there, here, 2 * side)[..., ::-1], -1)[..., ::-1]
    return np.where(here - before <= after - here, before, after)


def shown(pixels: np.ndarray, alpha: np.ndarray | None, window: Window) -> np.ndarray:
    """The window's pixels as a network is to see them; `alpha` is `h w`, or None where all is seen."""
    tile = cut(pixels, window)
    return tile if alpha is None else filled(tile, cut(alpha[..., None], window)[..., 0])


def kept(
    pixels: np.ndarray, alpha: np.ndarray | None, window: Window, answer: np.ndarray, strength: float = 1.0
) -> np.ndarray:
    """What is kept of a window's answer (`h w c`), blended with the picture; what `alpha` hides stays the picture's."""
    place = window.rows.kept, window.columns.kept
    part = blended(pixels[place], answer[window.rows.inner, window.columns.inner], strength)
    return part if alpha is None else np.where(alpha[place][..., None] > 0, part, pixels[place])


def blended(before: np.ndarray, after: np.ndarray, strength: float) -> np.ndarray:
    """before + strength * (after - before), `strength` of 0 to 1, rounded once to their type."""
    if strength == 1:
        return after
    change = (after.astype(np.float32) - before) * np.float32(strength)
    return (before + change).round().astype(before.dtype)


def join(canvas: np.ndarray, window: Window, part: np.ndarray) -> None:
    """Puts what is kept of a window's answer into its place on the canvas."""
    canvas[window.rows.kept, window.columns.kept] = part
