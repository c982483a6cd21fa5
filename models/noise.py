"""The level of white noise in one photograph, told from its pixels alone.

A few thousand small patches, spread over the picture, are split by a cosine transform into a coarse and a fine part.
The coarse part says which patches are smooth; the noise is measured in the fine part of those, so that choosing does
not spoil the measure: the parts of white noise are independent. The measure is that of Chen, Zhu and Heng, "An
Efficient Statistical Method for Image Noise Level Estimation" (ICCV 2015), over all channels at once, since texture is
mostly alike in the channels and noise is not. Choosing smooth patches by what noise alone could reach follows Liu,
Tanaka and Okutomi, "Single-Image Noise Level Estimation for Blind Denoising" (IEEE TIP 2013). Clipping to [0, 255]
narrows noise in the dark and the bright; each patch is widened again by the theory of clipped normals (Foi, "Clipped
noisy images", Signal Processing 2009). No curve is fitted; the constants were chosen on 30 photographs and checked on
another 30.

Levels and values are 8-bit grey levels, 0 to 255, whatever the depth of the picture.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WHITE = 255.0
LOUDEST = 100.0
"""No higher level is returned."""

SIDE = 5
"""Of a patch, in pixels."""
PATCHES = 16_000
"""At most so many are looked at, so the work is bounded: a picture of 130 x 130 pixels costs as much as a huge one."""
MEASURED = 6_000
"""At most so many are measured."""
FEWEST = 16
"""With fewer patches nothing is told."""
FINE = 5 / 8
"""Cosines of more than this share of the highest order are the fine part (6 of 25 in a whole patch)."""

SMOOTHEST = 0.1
"""This share of the patches counts as smooth however textured they are, ..."""
ENOUGH = 500
"""... and never fewer than this."""
SPREAD = 2.0
"""A patch is smooth if noise alone reaches its coarse energy within so many standard deviations."""
CLEAR = 0.7
"""Patches that clipping narrows to less than this are measured only where others are few."""
HARMLESS = 5.0
"""A level up to this is believed as it is, ..."""
DOUBTED = 120.0
"""... a higher one if (level / DOUBTED)^2 of the patches are smooth at it, ..."""
DEMANDED = 0.2
"""... or this share: photographs of 480 x 320 pixels with noise added have at least three times as many."""
ROUNDS = 3
"""Of choosing and measuring; the first takes every patch as smooth and unclipped."""
SOLVED = 300
"""At most so many patches stand for all where the clipping is solved for, ..."""
LEVELS = np.geomspace(0.05, 2 * LOUDEST, 256)
"""... between these levels."""


class Patches(NamedTuple):
    """What the rounds work on: n patches of c channels and d pixels."""

    means: np.ndarray
    """`n c`"""
    deviations: np.ndarray
    """`n c d`, from the mean."""
    coarse: np.ndarray
    """`n c`, energy in the coarse part."""
    orders: int
    """Number of cosines in the coarse part, of one channel."""
    fine: np.ndarray
    """`f d`, the cosines of the fine part."""


def estimate(pixels: np.ndarray, alpha: np.ndarray | None = None) -> float:
    """Standard deviation of the white Gaussian noise in a picture before it was clipped and rounded.

    `pixels` is `h w c`, uint8 or uint16, of any size; the answer is in 8-bit grey levels, 0 to 100, and 0.0 where
    nothing can be told (a few pixels, one colour, nearly all black or white). What `alpha`, `h w`, hides is not looked
    at. The same pixels get the same answer.
    """
    windows, size = sample(pixels, alpha)
    windows = telling(windows) if len(windows) else windows
    if len(windows) < FEWEST:
        return 0.0
    patches = split(windows, size)
    level = 0.0
    gain = np.ones_like(patches.means)
    chosen = np.arange(len(gain))
    for number in range(ROUNDS):
        if number:
            gain = narrowing(patches.means, level)
            chosen = smooth(patches, gain, level)
        chosen = thinned(chosen, MEASURED)
        measured = measure(patches, gain, chosen, rounding_variance(pixels.dtype))
        level = unclipped(measured, patches.means[chosen], gain[chosen])
    return min(level, LOUDEST) if believed(patches, level) else 0.0


def sample(pixels: np.ndarray, alpha: np.ndarray | None = None) -> tuple[np.ndarray, tuple[int, int]]:
    """At most `PATCHES` patches, `n c d` in grey levels, evenly spread (all of a small picture's), and their size; of
    those the ones of which `alpha` hides nothing."""
    size = min(SIDE, pixels.shape[0]), min(SIDE, pixels.shape[1])
    total = (pixels.shape[0] - size[0] + 1) * (pixels.shape[1] - size[1] + 1)
    places = np.arange(total) if total <= PATCHES else golden(PATCHES, total)
    windows, *_ = patches_at(places, size, pixels, alpha)
    return windows.reshape(*windows.shape[:2], math.prod(size)), size


def patches_at(
    places: np.ndarray, size: tuple[int, int], pixels: np.ndarray, alpha: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patches of a size, `n c h w` in grey levels, and the row and column `n` at which each begins: those at `places`,
    which are numbered along the rows, of which `alpha` hides nothing."""
    windows = sliding_window_view(pixels, size, axis=(0, 1))
    rows, columns = np.divmod(places, windows.shape[1])
    if alpha is not None:
        seen = sliding_window_view(alpha, size)[rows, columns].all((1, 2))
        rows, columns = rows[seen], columns[seen]
    step = np.iinfo(pixels.dtype).max / WHITE
    return windows[rows, columns].astype(np.float32, order="C") / np.float32(step), rows, columns


def golden(count: int, total: int) -> np.ndarray:
    """`count` whole numbers below `total`, spread evenly but with no period that a pattern could share."""
    return (np.arange(count) * ((math.sqrt(5) - 1) / 2) % 1 * total).astype(np.int64)


def telling(windows: np.ndarray) -> np.ndarray:
    """The patches and channels, of `n c d`, that can tell of noise; none where flat ones say that there is none.

    A patch all black or all white in a channel was clipped with its noise (a blown sky) or never had any (a letterbox):
    it is left out, and so is a channel with more than half of its patches so. Other flat patches mean no noise, if they
    are more than would be chosen as the smoothest.
    Of a picture without colour one channel is kept: its noise is the same in all.
    """
    if (windows == windows[:, :1]).all():
        windows = windows[:, :1]
    means = average(windows)
    stuck = (means <= 0) | (means >= WHITE)
    kept = stuck.mean(0) <= 0.5
    windows = windows[~stuck[:, kept].any(1)][:, kept]
    flat = (windows == windows[:, :, :1]).all((1, 2))
    silent = not kept.any() or flat.sum() > SMOOTHEST * len(flat)
    return windows[:0] if silent else windows


def split(windows: np.ndarray, size: tuple[int, int]) -> Patches:
    """Patches `n c d` in their parts. Where they are too few to measure channels jointly, each channel is a patch."""
    if len(windows) < ENOUGH:
        windows = windows.reshape(-1, 1, windows.shape[2])
    means = average(windows)
    deviations = windows - means[:, :, None]
    fine, coarse = cosines(*size)
    energy = np.square(deviations @ coarse.T) @ np.ones(len(coarse), np.float32)
    return Patches(means, deviations, energy, len(coarse), fine)


def average(windows: np.ndarray) -> np.ndarray:
    """Mean of each patch, `n c`, exact where it is all black or white; a product is quicker than `mean` here."""
    return windows @ np.ones(windows.shape[2], np.float32) / windows.shape[2]


def cosines(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The orthonormal cosine transform of a patch without its constant: the fine rows and the coarse rows, `k d`."""
    rows = np.kron(cosine_rows(height), cosine_rows(width)).astype(np.float32)
    order = np.add.outer(np.arange(height), np.arange(width)).ravel()
    fine = order > FINE * order.max()
    return rows[fine], rows[~fine & (order > 0)]


def cosine_rows(length: int) -> np.ndarray:
    """The orthonormal DCT-II matrix, `length length`, one frequency a row."""
    frequency, place = np.mgrid[:length, :length]
    rows = np.cos(np.pi * frequency * (2 * place + 1) / (2 * length)) * math.sqrt(2 / length)
    rows[0] /= math.sqrt(2)
    return rows


def smooth(patches: Patches, gain: np.ndarray, level: float) -> np.ndarray:
    """Indices of the patches that look like noise of this level and little else, and of `SMOOTHEST` in any case.

    Much clipped patches are left out where there are enough others.
    """
    clear = np.flatnonzero(gain.min(1) >= CLEAR)
    if len(clear) < ENOUGH:
        clear = np.arange(len(gain))
    roughness = rough(patches, gain)[clear]
    share = min(1.0, max(SMOOTHEST, ENOUGH / len(clear)))
    return clear[roughness <= max(level**2, np.quantile(roughness, share))]


def rough(patches: Patches, gain: np.ndarray) -> np.ndarray:
    """Coarse energy of each patch, `n`, in units of what noise of level 1 reaches (a chi-squared variable)."""
    freedom = patches.orders * gain.shape[1]
    return (patches.coarse / gain**2).sum(1) / (freedom + SPREAD * math.sqrt(2 * freedom))


def believed(patches: Patches, level: float) -> bool:
    """Whether as many patches are smooth at this level as in a photograph with so much noise.

    On a page of text the strokes are taken for noise of level 30 to 60, but hardly a patch of it is only noise.
    """
    share = (rough(patches, narrowing(patches.means, level)) <= level**2).mean()
    return bool(level <= HARMLESS or share >= min((level / DOUBTED) ** 2, DEMANDED))


def thinned(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, evenly."""
    return rows if len(rows) <= most else rows[np.arange(most) * len(rows) // most]


def measure(patches: Patches, gain: np.ndarray, chosen: np.ndarray, rounding: float) -> float:
    """Standard deviation of the noise in the fine part of the chosen patches, their clipping undone by `gain`."""
    flat = (patches.deviations[chosen] / gain[chosen][:, :, None]).reshape(len(chosen), -1)
    fine = np.kron(np.eye(gain.shape[1], dtype=np.float32), patches.fine)
    covariance = fine @ (flat.T @ flat / len(flat)) @ fine.T
    return math.sqrt(max(flat_part(np.linalg.eigvalsh(covariance)) - rounding, 0.0))


def flat_part(variances: np.ndarray) -> float:
    """Mean of the variances that are noise's: the largest, texture's, go until mean and median agree (Chen's alg. 1).

    `variances` are eigenvalues in rising order.
    """
    count = np.arange(1, len(variances) + 1)
    mean = np.cumsum(variances) / count
    median = (variances[(count - 1) // 2] + variances[count // 2]) / 2
    return float(mean[np.flatnonzero(mean <= median)[-1]])


def unclipped(measured: float, means: np.ndarray, gain: np.ndarray) -> float:
    """The level at which patches of these means, already divided by `gain`, would measure so."""
    if measured <= 0:
        return 0.0
    means, gain = thinned(means, SOLVED), thinned(gain, SOLVED)
    below = np.minimum(means.astype(np.int64), int(WHITE) - 1)
    share = (means - below).astype(np.float32)
    table = narrowings()
    narrowed = table[:, below] * (1 - share) + table[:, below + 1] * share
    expected = LEVELS * np.sqrt(np.square(narrowed / gain).mean((1, 2)))
    return float(np.interp(measured, [0, *expected], [0, *LEVELS]))


@cache
def narrowings() -> np.ndarray:
    """How much each of LEVELS is narrowed at each whole mean, `l 256`."""
    whole = np.arange(WHITE + 1)
    return np.stack([narrowing(whole, level) for level in LEVELS])


def narrowing(means: np.ndarray, level: float) -> np.ndarray:
    """How much clipping narrows noise where the clipped mean is `means`: its standard deviation over `level`."""
    if level <= 0:
        return np.ones_like(means)
    mean, deviation = clipped_moments(np.linspace(0, WHITE, 256), level)
    return np.interp(means, mean, deviation / level).astype(np.float32)


def clipped_moments(value: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of N(value, level^2) clipped to [0, WHITE] (Foi 2009; the censored normal)."""
    below, above = -value / level, (WHITE - value) / level
    white = cumulative(-above)
    inside = 1 - cumulative(below) - white
    mean = value * inside + level * (density(below) - density(above)) + WHITE * white
    square = (value**2 + level**2) * inside + WHITE**2 * white
    square += level * (value * density(below) - (value + WHITE) * density(above))
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0))


def density(z: np.ndarray) -> np.ndarray:
    """Of the standard normal."""
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def cumulative(z: np.ndarray) -> np.ndarray:
    """Of the standard normal; numpy has no error function."""
    return np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in z.tolist()])


def rounding_variance(depth: np.dtype) -> float:
    """What rounding to this depth adds to the variance: a twelfth of a step squared."""
    return (WHITE / np.iinfo(depth).max) ** 2 / 12
