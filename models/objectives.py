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
from models.types import GREY_LEVELS, Batch

Parts = dict[str, Tensor]
Objective = Callable[[Any, Batch, Spoilt, Generator], Parts]
"""(network, clean, spoilt, generator) -> parts: the network may be compiled, so it is only called.

`clean` is the batch that was spoilt; what is to be restored is `spoilt.target(clean)`."""


def total(parts: Parts) -> Tensor:
    """The loss: the sum of its parts, each already weighted."""
    return torch.stack(list(parts.values())).sum()


@dataclass(frozen=True)
class Restoration:
    """Distance of the restored picture to the clean one: `l1`, `l2`, `charbonnier`, `decibels` or `relative`.

    `balance` times the mean distance of each channel's mean comes to it: what is least in error value by value may
    still be off as a whole, where noise was clipped and the middle of what is likely is not its mean.
    """

    distance: str = "l1"
    balance: float = 0.0

    def __call__(self, network: Any, clean: Batch, spoilt: Spoilt, generator: Generator) -> Parts:
        restored, target = network(spoilt.pixels, spoilt.level).float(), spoilt.target(clean)
        distortion = DISTANCES[self.distance](restored, target, spoilt.pixels)
        if not self.balance:
            return {"distortion": distortion}
        return {"distortion": distortion, "bias": self.balance * (restored - target).mean((2, 3)).abs().mean()}


SMOOTH = 1e-3
"""Difference below which `charbonnier` is no longer L1."""
USUAL_ERROR = 0.01
"""A root mean square at which `decibels` and `relative` are about as steep as the root mean square itself, so that
rates suit all."""
FAINTEST_ERROR = 0.003
"""A root mean square, three quarters of a grey level (50 dB), below which there is little more to gain."""


LEFT, LEFT_POWER = 1.4, 0.545
"""What `photo` leaves of a mean squared error E, both in squared grey levels, is about LEFT * E^LEFT_POWER: 7, 27, 49
and 102 of noise of 5, 15, 25 and 50 grey levels, on photographs that were held out."""


def charbonnier(a: Batch, b: Batch) -> Tensor:
    """Mean of sqrt(d^2 + SMOOTH^2) (Charbonnier et al. 1994): L1 that is smooth at zero."""
    return torch.sqrt((a - b) ** 2 + SMOOTH**2).mean()


def decibels(a: Batch, b: Batch) -> Tensor:
    """The logarithm of each picture's mean squared error, which is its PSNR but for sign and scale.

    So a picture with little noise counts for as much as one with much. Source: Chen et al. 2022, "Simple Baselines for
    Image Restoration", whose code has it as the loss.
    """
    return USUAL_ERROR / 2 * torch.log(squares(a, b) + FAINTEST_ERROR**2).mean()


def relative(restored: Batch, target: Batch, spoilt: Batch) -> Tensor:
    """Each picture's root mean square error, as a share of what is usual for as much noise as it had.

    With `decibels` a crop of sky counts for as much as one of leaves, and of the whole picture's error the sky's is
    next to nothing. Here levels of noise count alike, and of each the crops that are hard for more.
    """
    before = squares(spoilt, target) * GREY_LEVELS**2
    usual = LEFT * before**LEFT_POWER / GREY_LEVELS**2 + FAINTEST_ERROR**2
    return USUAL_ERROR * torch.sqrt((squares(restored, target) + FAINTEST_ERROR**2) / usual).mean()


def squares(a: Batch, b: Batch) -> Tensor:
    """Each picture's mean squared difference, `b`."""
    return (a - b).square().mean((1, 2, 3))


DISTANCES: dict[str, Callable[[Batch, Batch, Batch], Tensor]] = {
    "charbonnier": lambda restored, target, _: charbonnier(restored, target),
    "decibels": lambda restored, target, _: decibels(restored, target),
    "l1": lambda restored, target, _: F.l1_loss(restored, target),
    "l2": lambda restored, target, _: F.mse_loss(restored, target),
    "relative": relative,
}
"""Of restored pictures to what they should be; the last are those that they were restored from."""


@dataclass(frozen=True)
class Sparsity:
    """Distance of the rebuilt picture to the clean one, and the code's mean size (L1) at the network's own price."""

    distance: str = "l2"

    def __call__(self, network: Any, clean: Batch, spoilt: Spoilt, generator: Generator) -> Parts:
        rebuilt = network(spoilt.pixels, spoilt.level)
        distortion = DISTANCES[self.distance](rebuilt.picture.float(), spoilt.target(clean), spoilt.pixels)
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
