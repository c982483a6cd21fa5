"""What is told of a picture by its patches: how much energy their cosines have, from coarse to fine, smooth patches
and rough ones, dark ones and bright ones; and how much its columns and rows keep step with the blocks of JPEG.

Values are 8-bit grey levels, 0 to 255, whatever the depth of the picture.
"""

from itertools import pairwise

import numpy as np

from models.noise import WHITE, cosine_rows, golden, patches_at

SIDE = 16
"""Of a patch, in pixels."""
PATCHES = 3_000
"""At most so many are looked at, spread evenly, so the work is bounded; ..."""
APART = 128
"""... of a small picture one for so many pixels."""
FEWEST = 32
"""Patches: with fewer nothing is told."""
FLAT = 0.1
"""Of the patches: if more are of one colour, any of whose channels is neither black nor white, there is no noise."""

BANDS = (0.5, 1.5, 2.6, 4.1, 6.1, 8.6, 11.1, 14.0, 22.0)
"""Bounds of the bands that cosines are gathered in, by their distance from the constant one."""
QUANTILES = (0.01, 0.05, 0.15, 0.35, 0.60)
"""Of each band's energy over the patches: noise is the same in all, so the smoothest tell of it."""
SMOOTH = 0.1
"""The quantile that is taken of the dark, the middle and the bright patches each, ..."""
CHOSEN = (1, 3, 5, 7)
"""... in these bands."""
FAINT = 0.02
"""Energy that is added before the logarithm: that of rounding to 8 bits is 0.08."""
LIT = (4.0, 251.0)
"""Patches of a mean between these were not clipped whole."""
BLOCK = 8
"""Side of JPEG's blocks."""
STEEP = 20.0
"""A step between pixels counts for no more, so that few edges don't stand for the grid."""

YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Luma and colour differences, as JPEG has them (JFIF 1.02)."""


def statistics(pixels: np.ndarray, alpha: np.ndarray | None = None) -> np.ndarray | None:
    """`pixels`, `h w c`, uint8 or uint16, with 1 or 3 channels -> numbers `f`, float32; None where there are too few
    patches, or many of one colour. What `alpha`, `h w`, hides is not looked at."""
    if min(pixels.shape[:2]) < SIDE:
        return None
    windows, rows, columns = spread(pixels, alpha)
    if len(windows) < FEWEST or silent(windows):
        return None
    planes = in_ycc(windows)
    energies, means = bands(planes)
    lit = (means > LIT[0]) & (means < LIT[1])
    if lit.sum() >= FEWEST:
        energies, means = energies[lit], means[lit]
    parts = (
        np.quantile(energies, QUANTILES, axis=0),
        by_brightness(energies, means),
        grids(planes[:, 0], rows, columns),
    )
    return np.concatenate([part.ravel() for part in parts]).astype(np.float32)


def spread(pixels: np.ndarray, alpha: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patches `n c s s` in grey levels, spread evenly, and the row and column `n` at which each begins."""
    height, width = pixels.shape[:2]
    total = (height - SIDE + 1) * (width - SIDE + 1)
    count = min(PATCHES, max(2 * FEWEST, height * width // APART), total)
    return patches_at(golden(count, total), (SIDE, SIDE), pixels, alpha)


def silent(windows: np.ndarray) -> bool:
    """Whether patches `n c s s` of one colour say that there is no noise; where all channels are black or white it may
    have been clipped."""
    first = windows[:, :, 0, 0]
    flat = (windows == first[:, :, None, None]).all((1, 2, 3)) & ((first > 0) & (first < WHITE)).any(1)
    return bool(flat.mean() > FLAT)


def in_ycc(windows: np.ndarray) -> np.ndarray:
    """Patches `n c s s` -> luma and colour differences, `n 3 s s`."""
    if windows.shape[1] == 1:
        return np.concatenate([windows, np.zeros_like(windows), np.zeros_like(windows)], 1)
    return np.einsum("kc,nchw->nkhw", np.array(YCC, np.float32), windows)


def bands(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of the mean energy in each band of each plane, `n 3 b`, and the luma's means, `n`."""
    transform = cosine_rows(SIDE).astype(np.float32)
    coefficients = transform @ planes @ transform.T
    distance = np.hypot(*np.mgrid[:SIDE, :SIDE])
    of_bands = [
        np.square(coefficients[:, :, (distance >= low) & (distance < high)]).mean(2) for low, high in pairwise(BANDS)
    ]
    return np.log(np.stack(of_bands, 2) + FAINT), coefficients[:, 0, 0, 0] / SIDE


def by_brightness(energies: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Of the dark, the middle and the bright third the smooth quantile of the chosen bands, and how bright they are."""
    thirds = np.array_split(np.argsort(means, kind="stable"), 3)
    smooth = [np.quantile(energies[third], SMOOTH, axis=0)[:, CHOSEN].ravel() for third in thirds]
    return np.concatenate([*smooth, [means[third].mean() / WHITE for third in thirds]])


def grids(luma: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """How much steeper steps are between blocks of JPEG than within, down and across, wherever the blocks begin."""
    across = in_step(luma, columns)
    down = in_step(luma.swapaxes(1, 2), rows)
    return np.array([across, down])


def in_step(luma: np.ndarray, starts: np.ndarray) -> float:
    """Of steps along the last axis of patches `n s s` that begin at `starts`: the logarithm of the largest mean among
    the places in a block over the middle one."""
    steps = np.minimum(np.abs(np.diff(luma, axis=2)), STEEP).mean(1)
    places = (starts[:, None] + np.arange(1, SIDE)) % BLOCK
    total = np.bincount(places.ravel(), steps.ravel(), BLOCK)
    mean = total / np.maximum(np.bincount(places.ravel(), minlength=BLOCK), 1)
    return float(np.log((mean.max() + FAINT) / (np.median(mean) + FAINT)))
