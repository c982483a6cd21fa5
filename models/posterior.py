"""What an encoder says of a code, and what one draw of it costs: the words that variational autoencoders share."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.types import Batch, Code, Draws

LOG_VARIANCE_BOUND = 8.0
"""Posterior variances stay within exp(+-8): no step can overflow, and no useful posterior is narrower."""


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
