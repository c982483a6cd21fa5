"""What training makes small. Losses come back in parts (distortion, rate), summed in one place: `total`."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models.colorizer import REACH, soft_bins
from models.colour import chroma
from models.corruptions import Spoilt, normal
from models.observation import OBSERVATIONS
from models.posterior import Inference
from models.types import Batch

Parts = dict[str, Tensor]
Objective = Callable[[Any, Batch, Spoilt, Generator], Parts]
"""(network, clean, spoilt, generator) -> parts: the network may be compiled, so it is only called.

`clean` is the batch that was spoilt; what is to be restored is `spoilt.target(clean)`."""


def total(parts: Parts) -> Tensor:
    """The loss: the sum of its parts, each already weighted."""
    return torch.stack(list(parts.values())).sum()


@dataclass(frozen=True)
class Restoration:
    """Distance of the restored picture to the clean one: `l1`, `l2`, `charbonnier` or `decibels`.

    `balance` times the mean distance of each channel's mean comes to it: what is least in error value by value may
    still be off as a whole, where noise was clipped and the middle of what is likely is not its mean.
    """

    distance: str = "l1"
    balance: float = 0.0

    def __call__(self, network: Any, clean: Batch, spoilt: Spoilt, generator: Generator) -> Parts:
        restored, target = network(spoilt.pixels, spoilt.level).float(), spoilt.target(clean)
        distortion = DISTANCES[self.distance](restored, target)
        if not self.balance:
            return {"distortion": distortion}
        return {"distortion": distortion, "bias": self.balance * (restored - target).mean((2, 3)).abs().mean()}


def charbonnier(a: Batch, b: Batch, epsilon: float = 1e-3) -> Tensor:
    """Mean of sqrt(d^2 + epsilon^2) (Charbonnier et al. 1994): L1 that is smooth at zero."""
    return torch.sqrt((a - b) ** 2 + epsilon**2).mean()


USUAL_ERROR = 0.01
"""A root mean square at which `decibels` is about as steep as the root mean square itself, so that rates suit both."""
FAINTEST_ERROR = 0.003
"""A root mean square, three quarters of a grey level (50 dB), below which there is little more to gain."""


def decibels(a: Batch, b: Batch) -> Tensor:
    """The logarithm of each picture's mean squared error, which is its PSNR but for sign and scale.

    So a picture with little noise counts for as much as one with much. Source: Chen et al. 2022, "Simple Baselines for
    Image Restoration", whose code has it as the loss.
    """
    squares = (a - b).square().mean((1, 2, 3))
    return USUAL_ERROR / 2 * torch.log(squares + FAINTEST_ERROR**2).mean()


DISTANCES: dict[str, Callable[[Batch, Batch], Tensor]] = {
    "decibels": decibels,
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

    With beta at 1 the sum of the parts is a true bound. `warm_up`: steps over which beta grows from nothing while
    training (Bowman et al. 2016), so that codes are of use before they cost. `free_bits`: nats of rate that cost
    nothing in each group that a network counts its rate in, on average over the batch (Kingma et al. 2016): each
    dimension or layer, or a flow's code as one.

    `draws` of each picture's code above 1 make it the importance-weighted bound, which is nearer to log p(x) (Burda et
    al. 2016, eq. 8): the distortion is then the draws' by their weights, and the rate what lacks from it to the bound.
    """

    likelihood: str = "bernoulli"
    beta: float = 1.0
    free_bits: float = 0.0
    warm_up: int = 0
    draws: int = 1

    def __post_init__(self) -> None:
        if self.free_bits and self.draws > 1:
            raise ValueError("free_bits are counted where there is one draw of each code, and draws is above 1")

    def __call__(self, network: Any, clean: Batch, spoilt: Spoilt, generator: Generator) -> Parts:
        noise = normal(generator, torch.Size((self.draws * len(clean), network.needs.latent)))
        inference = network(spoilt.pixels, noise)
        target = spoilt.target(clean).repeat(self.draws, 1, 1, 1)
        nats = OBSERVATIONS[self.likelihood].nats(inference.output, inference.log_deviation, target)
        return self.of_draws(inference, nats) if self.draws > 1 else self.of_one(inference, nats)

    def of_one(self, inference: Inference, nats: Tensor) -> Parts:
        """The bound with one draw, the rate exact where that is known."""
        distortion = nats.mean()
        rate = inference.rate.float().mean(0)
        # Not where nothing is free: a flow's estimate may be below nought, and cutting it there would bias the bound.
        free = rate.clamp(min=self.free_bits) if self.free_bits else rate
        return {"distortion": distortion, "rate": self.beta * free.sum()}

    def of_draws(self, inference: Inference, nats: Tensor) -> Parts:
        """The bound with several: minus log of the mean of p(x, z) / q(z | x)."""
        distortions = nats.unflatten(0, (self.draws, -1))
        log_weights = self.beta * inference.log_ratio.float().unflatten(0, (self.draws, -1)) - distortions
        bound = math.log(self.draws) - log_weights.logsumexp(0).mean()
        distortion = (log_weights.softmax(0) * distortions).sum(0).mean()
        return {"distortion": distortion, "rate": bound - distortion}

    def at(self, step: int) -> "Elbo":
        """As it is at a step of training: the same, but for beta while it warms up."""
        return replace(self, beta=self.beta * min(1.0, (step + 1) / self.warm_up)) if self.warm_up else self


def at_step(objective: Objective, step: int) -> Objective:
    """What an objective is at a step of training."""
    return objective.at(step) if isinstance(objective, Elbo) else objective
