"""log p(x) of a model with latents, by importance sampling: a bound that draws near it as samples grow.

log p(x) >= E log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x), z_k from q(z | x); with one sample it is the evidence lower
bound, and it grows with K (Burda et al. 2016, "Importance Weighted Autoencoders", eq. 8 and theorem 1). Sums of weights
are taken in logarithms and 64 bits.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.observation import OBSERVATIONS
from models.types import Batch

AT_ONCE = 250
"""Codes of one picture that go through the network together."""


class Bound(NamedTuple):
    """What the samples of one picture say.

    nats: bounds on log p(x) with as many samples as each of `sizes_of`, the last with all. distortion: -log p(x | z),
    the mean over samples. effective: how many samples the weights amount to, from 1 to all of them (Kish 1965).
    """

    nats: np.ndarray
    distortion: float
    effective: float


def sizes_of(samples: int) -> list[int]:
    """Powers of ten that part the samples evenly, and all of them."""
    powers = [10**power for power in range(len(str(samples))) if samples % 10**power == 0]
    return sorted({*powers, samples})


@torch.inference_mode()
def bound(network: Any, x: Batch, samples: int, seed: int, number: int) -> Bound:
    """Of one picture `1 c h w`; its noise is told by (seed, its number) alone, so that it is the same in any order."""
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    seen, parts = network.observe(x), []
    for at in range(0, samples, AT_ONCE):
        noise = generator.standard_normal((min(AT_ONCE, samples - at), network.needs.latent), np.float32)
        parts.append(weighed(network, x, seen, torch.from_numpy(noise).to(x.device)))
    log_weights, distortions = (torch.cat(part).double().cpu().numpy() for part in zip(*parts, strict=True))
    nats = [grouped(log_weights, size) for size in sizes_of(samples)]
    return Bound(np.array(nats), float(distortions.mean()), effective(log_weights))


def weighed(network: Any, x: Batch, seen: Any, noise: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x, z) - log q(z | x), and -log p(x | z), of the codes drawn with that noise `n k`: `n` each."""
    inference = network.infer(seen, noise)
    nats = OBSERVATIONS[network.config.likelihood].nats
    distortion = nats(inference.output, inference.log_deviation, x.expand(len(noise), -1, -1, -1))
    return inference.log_ratio - distortion, distortion


def grouped(log_weights: np.ndarray, size: int) -> float:
    """The bound with `size` samples: the mean over groups of so many. A group of groups never has a lower one."""
    return float(log_mean(log_weights.reshape(-1, size)).mean())


def log_mean(logs: np.ndarray) -> Any:
    """The logarithm of the mean of exp(logs) along the last axis, without leaving the range of numbers."""
    most = logs.max(-1, keepdims=True)
    return most[..., 0] + np.log(np.exp(logs - most).mean(-1))


def effective(log_weights: np.ndarray) -> float:
    """(sum w)^2 / sum w^2."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum())


def standard_error(values: Sequence[float] | np.ndarray) -> float:
    """Of their mean: how far another draw of as many pictures would move it."""
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0
