"""What an encoder says of a code, and what one draw of it costs: the words that variational autoencoders share."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.types import Batch, Code, Draws

LOG_VARIANCE_BOUND = 8.0
"""Posterior variances stay within exp(+-8): no step can overflow, and no useful posterior is narrower."""
ACTIVE = 0.01
"""A number of the code is at work where the variance of its mean over pictures is above this (Burda et al. 2016,
5.1)."""


class Posterior(NamedTuple):
    """q(z | x): a normal with independent dimensions."""

    mean: Code
    log_variance: Code


class Inference(NamedTuple):
    """What one forward pass through a VAE knows, for one z drawn from q(z | x).

    output: the decoder's, which an observation model reads. log_deviation: the one that is learned for all values; of
    use to the Gaussian alone. rate: KL(q(z | x) || p(z)) in nats, `b g`, by the groups that free bits are counted in:
    dimensions, layers, or all as one; exact where it is known, else its estimate from this z. log_ratio:
    log p(z) - log q(z | x) of this z, `b`.
    """

    output: Batch
    log_deviation: Tensor
    rate: Tensor
    log_ratio: Tensor


def bounded(mean: Tensor, log_variance: Tensor) -> Posterior:
    """The posterior with its log variance bounded smoothly; in 32 bits."""
    return Posterior(mean.float(), LOG_VARIANCE_BOUND * torch.tanh(log_variance.float() / LOG_VARIANCE_BOUND))


def for_draws(told: Tensor, noise: Draws) -> Tensor:
    """What is told of each picture, `b ...`, again for each draw of its code: `n b ...` in one, where the noise is of
    n draws of all pictures, one draw after another."""
    count = noise.shape[0] // told.shape[0]
    return told.repeat(count, *[1] * (told.dim() - 1)) if count > 1 else told


def drawn(posterior: Posterior, noise: Code) -> Code:
    """mean + deviation * noise: the reparameterisation (Kingma and Welling 2014, eq. 4)."""
    return posterior.mean + torch.exp(0.5 * posterior.log_variance) * noise


def divergence(posterior: Posterior) -> Tensor:
    """KL(q(z | x) || N(0, I)) in nats for each picture and dimension, `b k` (appendix B of the same)."""
    mean, log_variance = posterior.mean.float(), posterior.log_variance.float()
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1)


def log_normal(z: Code) -> Tensor:
    """log N(z; 0, I) for each picture, `b`, without -log(2 pi) / 2 a dimension, which falls out of ratios."""
    return -0.5 * (z**2).sum(1)


def log_density(posterior: Posterior, noise: Code) -> Tensor:
    """log q(z | x) of the z drawn with that noise, `b`, without the same constant."""
    return log_normal(noise) - 0.5 * posterior.log_variance.sum(1)


def negative_entropy(posterior: Posterior) -> Tensor:
    """The mean of `log_density` over z, exactly: `b`."""
    return -0.5 * (1 + posterior.log_variance).sum(1)


def joined(posteriors: Sequence[Posterior], dim: int) -> Posterior:
    """Those of several parts of the code (`dim` 1) or of several batches (0) as one."""
    return Posterior(*(torch.cat(told, dim) for told in zip(*posteriors, strict=True)))


def active(posterior: Posterior) -> int:
    """How many numbers of the code are at work over a set of pictures."""
    return int((posterior.mean.var(0, correction=0) > ACTIVE).sum())


def told_by_each(posterior: Posterior) -> Tensor:
    """Nats that each number of the code tells of a picture out of a set, `k`: the mean divergence of q(z | x) from the
    normal that is nearest to the set's whole q(z) in that number. No less than their mutual information; it needs no
    prior, so it can be told number by number where a flow joins them (Hoffman and Johnson 2016, "ELBO surgery").
    """
    spread = posterior.mean.var(0, correction=0) + posterior.log_variance.exp().mean(0)
    return 0.5 * (spread.log() - posterior.log_variance.mean(0))
