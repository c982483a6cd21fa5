"""A mixture of Gaussians with full covariances, fitted to codes, so that a plain autoencoder can be sampled. Numpy.

Sources: Dempster, Laird and Rubin 1977 (EM); Arthur and Vassilvitskii 2007, "k-means++", for where it starts; Fraley
and Raftery 2007, "Bayesian Regularization for Normal Mixture Estimation", for covariances that can't collapse.
"""

from typing import NamedTuple

import numpy as np

PRIOR = 1.0
"""So many codes' worth of the whole set's spread is added to each component's, so that none collapses onto a few."""
LEAST_VARIANCE = 1e-6
STEPS, TOLERANCE = 100, 1e-3
"""EM ends after so many steps, or when a code's mean log likelihood grows by less than so many nats."""


class Mixture(NamedTuple):
    """weights: chance of each component, `m`. means: `m k`. factors: lower triangles L with covariance L L^T, `m k k`.
    All float32."""

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    def drawn(self, share: float, normal: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """One code `k` float32: `share` in [0, 1) picks the component, `normal` (`k`, standard) the place in it."""
        bounds = np.cumsum(self.weights, dtype=np.float64)
        number = int(np.searchsorted(bounds[:-1] / bounds[-1], share, side="right"))
        offset = np.float32(temperature) * (self.factors[number] @ normal.astype(np.float32))
        return (self.means[number] + offset).astype(np.float32)


def fitted(codes: np.ndarray, count: int, seed: int = 0) -> Mixture:
    """`count` Gaussians fitted to codes `n k`, the same for the same seed. Raises ValueError for codes not finite."""
    x = codes.astype(np.float64)
    if not len(x) or not np.isfinite(x).all():
        raise ValueError("a mixture can't be fitted to no codes, or to codes that are not finite")
    spread = x.var(0) + LEAST_VARIANCE
    shares = nearest(x, starts(x / np.sqrt(spread), x, count, np.random.default_rng(seed)), spread)
    mixture, before = maximised(x, shares, spread), -np.inf
    for _ in range(STEPS):
        shares, likelihood = expected(x, *mixture)
        if likelihood - before < TOLERANCE:
            break
        mixture, before = maximised(x, shares, spread), likelihood
    return Mixture(*(part.astype(np.float32) for part in mixture))


def starts(scaled: np.ndarray, x: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """`count` codes `m k` far from one another: each drawn with a chance that is its squared distance to the nearest
    so far, in standard deviations."""
    chosen = [int(generator.integers(len(x)))]
    distances = ((scaled - scaled[chosen[0]]) ** 2).sum(1)
    while len(chosen) < count:
        chances = distances / distances.sum() if distances.sum() > 0 else None
        chosen.append(int(generator.choice(len(x), p=chances)))
        distances = np.minimum(distances, ((scaled - scaled[chosen[-1]]) ** 2).sum(1))
    return x[chosen]


def nearest(x: np.ndarray, means: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """1 for each code's nearest mean, 0 for the others: `n m`."""
    distances = np.stack([((x - mean) ** 2 / spread).sum(1) for mean in means], 1)
    return np.eye(len(means))[distances.argmin(1)]


def maximised(x: np.ndarray, shares: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and factors that make codes `x` likely, each belonging to components by its shares `n m`."""
    counts = shares.sum(0) + 1e-9
    means = (shares.T @ x + 1e-9 * x.mean(0)) / counts[:, None]
    factors = np.stack([factor(x - mean, part, spread) for mean, part in zip(means, shares.T, strict=True)])
    return counts / counts.sum(), means, factors


def factor(offsets: np.ndarray, shares: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The lower triangle of one component's covariance, `k k`."""
    scatter = (shares[:, None] * offsets).T @ offsets + PRIOR * np.diag(spread)
    return np.linalg.cholesky(scatter / (shares.sum() + PRIOR))


def expected(x: np.ndarray, weights: np.ndarray, means: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, float]:
    """Each code's shares in the components, `n m`, and the mean log likelihood of a code in nats."""
    each = zip(weights, means, factors, strict=True)
    logs = np.stack([np.log(weight) + log_density(x - mean, lower) for weight, mean, lower in each], 1)
    most = logs.max(1, keepdims=True)
    likelihoods = most[:, 0] + np.log(np.exp(logs - most).sum(1))
    return np.exp(logs - likelihoods[:, None]), float(likelihoods.mean())


def log_density(offsets: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """log N(offset; 0, L L^T) for each, `n`."""
    whitened = offsets @ np.linalg.inv(lower).T
    normaliser = np.log(np.diag(lower)).sum() + 0.5 * len(lower) * np.log(2 * np.pi)
    return -0.5 * (whitened**2).sum(1) - normaliser
