"""Pictures of any size brought to one size, whole and in proportion, bars beside them. Pure numpy.

Resampling is separable: one matrix for rows, one for columns, each with a triangle as its filter, as wide as a step of
the coarser of the two grids (Heckbert 1989, "Fundamentals of Texture Mapping", 3.5). So nothing aliases where a picture
shrinks, and it is plain linear interpolation where it grows.
"""

import math
from dataclasses import dataclass

import numpy as np

ROWS = 256
"""So many rows of a picture become floats at a time, whatever its height."""


class CannotFit(ValueError):
    """The picture is so long that nothing would be left of its short side."""

    def __init__(self, given: tuple[int, int], size: tuple[int, int]):
        super().__init__(
            f"a picture of {given[1]}x{given[0]} pixels can't be fitted into {size[1]}x{size[0]}: "
            "its short side would have less than half a pixel"
        )


@dataclass(frozen=True)
class Placement:
    """What was done to fit a picture: from its own size (`given`, height and width in pixels) to a box of `height` and
    `width` whose upper left corner lies at `top` and `left` in a picture of `size`."""

    given: tuple[int, int]
    size: tuple[int, int]
    top: int
    left: int
    height: int
    width: int

    @property
    def untouched(self) -> bool:
        """Whether the picture had that size already."""
        return self.given == self.size

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the box."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def __str__(self) -> str:
        if self.untouched:
            return f"{self.given[1]}x{self.given[0]}, as it is"
        where = f"{self.width}x{self.height}+{self.left}+{self.top}"
        return f"{self.given[1]}x{self.given[0]} to {where} of {self.size[1]}x{self.size[0]}"


def placed(given: tuple[int, int], size: tuple[int, int]) -> Placement:
    """Where a picture of `given` (height, width) lies in one of `size`: as large as can be, in the middle.

    Raises CannotFit.
    """
    scale = min(size[0] / given[0], size[1] / given[1])
    if min(given) * scale < 0.5:
        raise CannotFit(given, size)
    height, width = (max(1, min(full, round(side * scale))) for side, full in zip(given, size, strict=True))
    return Placement(given, size, (size[0] - height) // 2, (size[1] - width) // 2, height, width)


def fitted(pixels: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, Placement]:
    """A picture `h w c` in a picture of `size` (height, width), same type, and where it lies there; the bars have the
    middle colour of its edge, which continues the paper of a drawing. Raises CannotFit."""
    placement = placed((pixels.shape[0], pixels.shape[1]), size)
    if placement.untouched:
        return pixels, placement
    canvas = np.empty((*size, pixels.shape[2]), pixels.dtype)
    canvas[:] = edge_colour(pixels)
    canvas[placement.box] = resampled(pixels, (placement.height, placement.width)).round()
    return canvas, placement


def edge_colour(pixels: np.ndarray) -> np.ndarray:
    """The median of the outermost pixels, `c`."""
    edge = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    return np.median(np.concatenate(edge), axis=0).astype(pixels.dtype)


def resampled(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`h w c` of any type -> `H W c` float32, within the range of what was given."""
    tall = brought_to(pixels, size[0])
    return brought_to(tall.swapaxes(0, 1), size[1]).swapaxes(0, 1)


def brought_to(rows: np.ndarray, wanted: int) -> np.ndarray:
    """Rows `h ...` of any type -> `wanted ...` float32; some of them at a time, each of which touches few of the
    answer's, as the filter is narrow."""
    answer = np.zeros((wanted, *rows.shape[1:]), np.float32)
    centres, reach = filter_of(len(rows), wanted)
    for at in range(0, len(rows), ROWS):
        part = rows[at : at + ROWS]
        first, last = np.searchsorted(centres, (at - reach, at + len(part) - 1 + reach))
        touched = weights(len(rows), wanted, slice(first, last), slice(at, at + ROWS))
        answer[first:last] += np.tensordot(touched, part.astype(np.float32), 1)
    return answer


def stretched(pixels: np.ndarray, height: int, start: int, stop: int) -> np.ndarray:
    """Rows `start` to `stop` of a picture `h w c` brought to a height."""
    part = weights(len(pixels), height, slice(start, stop))
    reached = np.flatnonzero(part.any(0))
    first, last = reached[0], reached[-1] + 1
    return np.tensordot(part[:, first:last], pixels[first:last], 1)


LONGEST = 4
"""The longer side of what a picture is brought to is at most so many times the side of a square as large."""


def of_area(height: int, width: int, side: int, multiple: int) -> tuple[int, int]:
    """The (height, width), multiples of `multiple`, about as large as a square of `side` and about as long as a picture
    of that height and width."""
    wanted = (side * (height / width) ** 0.5, side * (width / height) ** 0.5)
    tall, wide = (max(1, round(min(one, LONGEST * side) / multiple)) * multiple for one in wanted)
    return tall, wide


def weights(given: int, wanted: int, rows: slice = slice(None), samples: slice = slice(None)) -> np.ndarray:
    """What some of `given` samples add to some of `wanted`, the `rows`: `rows samples` float32; over all samples each
    row sums to one."""
    centres, reach = filter_of(given, wanted)
    centres = centres[rows, None]
    near = np.floor(centres) + np.arange(-math.ceil(reach), math.ceil(reach) + 1)
    sums = np.where((near >= 0) & (near < given), triangle(near - centres, reach), 0.0).sum(1, keepdims=True)
    return (triangle(np.arange(given)[samples] - centres, reach) / sums).astype(np.float32)


def filter_of(given: int, wanted: int) -> tuple[np.ndarray, float]:
    """Where among `given` samples each of `wanted` has its filter's middle, and how far that reaches."""
    step = given / wanted
    return ((np.arange(wanted) + 0.5) * step - 0.5).clip(0, given - 1), max(1.0, step)


def triangle(distances: np.ndarray, reach: float) -> np.ndarray:
    """One in the middle, nothing from `reach` on."""
    return np.maximum(0.0, 1.0 - np.abs(distances) / reach)
