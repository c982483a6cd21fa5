"""What training makes small. Losses come back in parts (distortion, rate), summed in one place: `total`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models.colorizer import REACH, soft_bins
from models.colour import chroma
from models.corruptions import Spoilt, normal
from models.types import Batch
from models.vae import Inference, Posterior

Parts = dict[str, Tensor]
Objective = Callable[[Any, Batch, Spoilt, Generator], Parts]
"""(network, clean, spoilt, generator) -> parts: the network may be compiled, so it is only called.

`clean` is the batch that was spoilt; what is to be restored is `spoilt.target(clean)`."""


def total(parts: Parts) -> Tensor:
    """The loss: the sum of its parts, each already weighted."""
    return torch.stack(list(parts.values())).sum()


@dataclass(frozen=True)
class Restoration:
    """Distance of the restored picture to the clean one, averaged over values: `l1`, `l2` or `charbonnier`."""

    distance: str = "l1"

    def __call__(self, network: Any, clean: Batch, spoilt: Spoilt, generator: Generator) -> Parts:
        restored = network(spoilt.pixels, spoilt.level).float()
        return {"distortion": DISTANCES[self.distance](restored, spoilt.target(clean))}


def charbonnier(a: Batch, b: Batch, epsilon: float = 1e-3) -> Tensor:
    """Mean of sqrt(d^2 + epsilon^2) (Charbonnier et al. 1994): L1 that is smooth at zero."""
    return torch.sqrt((a - b) ** 2 + epsilon**2).mean()


DISTANCES: dict[str, Callable[[Batch, Batch], Tensor]] = {
    "l1": F.l1_loss,
    "l2": F.mse_loss,
    "charbonnier": charbonnier,
}


@dataclass(frozen=True)
class Sparsity:
    """Distance of the rebuilt picture to the clean one, and the code's mean size (L1) at the network's own price."""

    distance: str = "l2"

    def __call__(self, network: Any, clean: Batch, spoilt: Spoilt, generator: Generator) -> Parts:
        rebuilt = network(spoilt.pixels, spoilt.level)
        distortion = DISTANCES[self.distance](rebuilt.picture.float(), spoilt.target(clean))
        return {"distortion": distortion, "sparsity": rebuilt.price * rebuilt.code.float().abs().mean()}


@dataclass(frozen=True)
class Tint:
    """Nats that each place's colour costs by the chances the network gives it (Zhang et al. 2016, eq. 2).

    `emphasis` lets colours count for more than the grey that most of a photograph is: a place of the strongest chroma
    weighs 1 + emphasis, a grey one 1; their rebalancing by rarity, without its statistics.
    """

    emphasis: float = 0.0

    def __call__(self, network: Any, clean: Batch, spoilt: Spoilt, generator: Generator) -> Parts:
        logits = network(spoilt.pixels, spoilt.level).float()
        wanted = F.adaptive_avg_pool2d(chroma(spoilt.target(clean)), logits.shape[-2:])
        numbers, shares = soft_bins(wanted, network.config.bins)
        nats = -(logits.log_softmax(1).gather(1, numbers) * shares).sum(1)
        weights = 1 + self.emphasis * (wanted.norm(dim=1) / REACH).clamp(max=1)
        return {"distortion": (weights * nats).sum() / weights.sum()}


@dataclass(frozen=True)
class Elbo:
    """The negative evidence lower bound in nats a picture: distortion + beta * rate (Kingma and Welling 2014, eq. 3).

    With beta at 1 the sum of the parts is a true bound. `free_bits`: nats of rate in each latent dimension, on average
    over the batch, that cost nothing (Kingma et al. 2016).
    """

    likelihood: str = "bernoulli"
    beta: float = 1.0
    free_bits: float = 0.0

    def __call__(self, network: Any, clean: Batch, spoilt: Spoilt, generator: Generator) -> Parts:
        noise = normal(generator, torch.Size((len(clean), network.needs.latent)))
        inference = network(spoilt.pixels, noise)
        distortion = LIKELIHOODS[self.likelihood](inference, spoilt.target(clean)).mean()
        rate = divergence(inference.posterior).mean(0).clamp(min=self.free_bits).sum()
        return {"distortion": distortion, "rate": self.beta * rate}


def divergence(posterior: Posterior) -> Tensor:
    """KL(q(z | x) || N(0, I)) in nats for each picture and dimension, `b k` (the paper's appendix B)."""
    mean, log_variance = posterior.mean.float(), posterior.log_variance.float()
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1)


def bernoulli(inference: Inference, clean: Batch) -> Tensor:
    """-log p(x | z) in nats for each picture, pixels as chances to be white; the output is logits."""
    nats = F.binary_cross_entropy_with_logits(inference.output.float(), clean, reduction="none")
    return nats.flatten(1).sum(1)


def gaussian(inference: Inference, clean: Batch) -> Tensor:
    """-log p(x | z) in nats for each picture: normal around the output, with the one deviation that was learned."""
    log_deviation = inference.log_deviation.float().clamp(-7, 3)
    z = (inference.output.float() - clean) * torch.exp(-log_deviation)
    return (0.5 * z**2 + log_deviation + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)


LIKELIHOODS: dict[str, Callable[[Inference, Batch], Tensor]] = {"bernoulli": bernoulli, "gaussian": gaussian}
