"""How near one set of pictures is to another, by the features of each: `n f` and `m f`. Numpy.

real: pictures of the set. drawn: pictures of a model. None of this is FID or Inception's: features are whose they are.
"""

from typing import NamedTuple

import numpy as np

ROWS = 500
"""Distances to all of a set are taken for so many at a time."""
NEAREST = 5
"""A picture's neighbourhood reaches to its nearest so many, for all four figures as Naeem et al. compare them;
precision and recall alone were first told of three."""


def frechet(real: np.ndarray, drawn: np.ndarray) -> float:
    """Squared Fréchet distance between the normals with the sets' means and covariances (Dowson and Landau 1982).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2); no smaller set than features should be compared.
    """
    real, drawn = real.astype(np.float64), drawn.astype(np.float64)
    first, second = np.cov(real, rowvar=False), np.cov(drawn, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    middle = np.linalg.eigvalsh(root @ second @ root)
    apart = ((real.mean(0) - drawn.mean(0)) ** 2).sum()
    return float(apart + np.trace(first) + np.trace(second) - 2 * np.sqrt(middle.clip(min=0)).sum())


class Likeness(NamedTuple):
    """frechet: as `frechet`. precision, recall: shares of drawn pictures that lie in a real one's neighbourhood, and of
    real ones in a drawn one's (Kynkäänniemi et al. 2019, eq. 1 and 2). density, coverage: how many real neighbourhoods
    a drawn picture lies in, over how many are expected; and the share of real ones with a drawn one in theirs (Naeem et
    al. 2020, eq. 3 and 4)."""

    frechet: float
    precision: float
    recall: float
    density: float
    coverage: float


def likeness(real: np.ndarray, drawn: np.ndarray) -> Likeness:
    """Of one set of features to another; each more than NEAREST."""
    ours, theirs = radii(real, NEAREST), radii(drawn, NEAREST)
    precise, dense, recalled, covered = 0, 0, np.zeros(len(real), bool), np.zeros(len(real), bool)
    for at in range(0, len(drawn), ROWS):
        distances = squared_distances(drawn[at : at + ROWS], real)
        within = distances <= ours
        precise += int(within.any(1).sum())
        dense += int(within.sum())
        covered |= within.any(0)
        recalled |= (distances <= theirs[at : at + ROWS, None]).any(0)
    precision, density = precise / len(drawn), dense / (NEAREST * len(drawn))
    return Likeness(frechet(real, drawn), precision, float(recalled.mean()), density, float(covered.mean()))


def radii(x: np.ndarray, nearest: int) -> np.ndarray:
    """Squared distance of each to its `nearest`th neighbour among the others, `n`."""
    parts = [squared_distances(x[at : at + ROWS], x) for at in range(0, len(x), ROWS)]
    # The nearest of all is the picture itself, at nought.
    return np.concatenate([np.partition(part, nearest, axis=1)[:, nearest] for part in parts])


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each of `n f` to each of `m f`: `n m`."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clip(min=0)


def nearest(of: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Distance of each of `n f` to the nearest of `m f`: `n`. Found in 32 bits, measured in 64."""
    among = among.astype(np.float32)
    squares, distances = (among**2).sum(1), []
    for at in range(0, len(of), ROWS):
        part = of[at : at + ROWS].astype(np.float32)
        closest = (squares - 2 * part @ among.T).argmin(1)
        distances.append(np.linalg.norm(part.astype(np.float64) - among[closest], axis=1))
    return np.concatenate(distances)


class Memory(NamedTuple):
    """Whether a model gives its training pictures back. drawn, unseen: median distance to the nearest training picture,
    of pictures drawn and of real ones that it wasn't taught by. copied: share of those drawn that lie nearer to one
    than all but a hundredth of the unseen do: 0.01 for a model as far from them as real pictures are."""

    drawn: float
    unseen: float
    copied: float


def memory(taught: np.ndarray, drawn: np.ndarray, unseen: np.ndarray) -> Memory:
    """Of features, or of pixels themselves, `n f` each."""
    near_drawn, near_unseen = nearest(drawn, taught), nearest(unseen, taught)
    copied = (near_drawn < np.quantile(near_unseen, 0.01)).mean()
    return Memory(float(np.median(near_drawn)), float(np.median(near_unseen)), float(copied))
