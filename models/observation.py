"""p(x | z): what a decoder's output says of a picture's values, and the picture it expects.

Distances are -log p(x | z) in nats a picture, so that with the rate they sum to a bound on -log p(x).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.types import GREY_LEVELS, Batch

LEAST_LOG_SCALE, MOST_LOG_SCALE = -7.0, 3.0
"""Deviations and scales are within exp of these: from a quarter of a grey level to wider than all of them."""
HALF_LEVEL = 0.5 / GREY_LEVELS


@dataclass(frozen=True)
class Observation:
    """An observation model.

    planes: channels of output for each channel of the picture. nats: (output, log_deviation, clean) -> -log p(x | z)
    for each picture, `b`. expected: output -> the mean picture, in [0, 1].
    """

    planes: int
    nats: Callable[[Tensor, Tensor, Batch], Tensor]
    expected: Callable[[Tensor], Tensor]


def bernoulli(output: Tensor, log_deviation: Tensor, clean: Batch) -> Tensor:
    """Pixels as chances to be white; the output is logits."""
    return F.binary_cross_entropy_with_logits(output.float(), clean, reduction="none").flatten(1).sum(1)


def gaussian(output: Tensor, log_deviation: Tensor, clean: Batch) -> Tensor:
    """Normal around the output, with the one deviation that was learned."""
    log_deviation = log_deviation.float().clamp(LEAST_LOG_SCALE, MOST_LOG_SCALE)
    z = (output.float() - clean) * torch.exp(-log_deviation)
    return (0.5 * z**2 + log_deviation + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)


def logistic(output: Tensor, log_deviation: Tensor, clean: Batch) -> Tensor:
    """A logistic around the output's first half, its log scale the second, discretised to 256 grey levels: a level's
    chance is that of the values that round to it, the outermost two taking all that lies beyond (Kingma et al. 2016,
    "Improved Variational Inference with Inverse Autoregressive Flow", section 5.2; Salimans et al. 2017, eq. 2).

    In logarithms throughout: sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)).
    """
    mean, log_scale = output.float().chunk(2, 1)
    steepness = torch.exp(-log_scale.clamp(LEAST_LOG_SCALE, MOST_LOG_SCALE))
    above, below = ((clean - mean + side) * steepness for side in (HALF_LEVEL, -HALF_LEVEL))
    width = torch.log(-torch.expm1(-2 * HALF_LEVEL * steepness))
    log_chance = F.logsigmoid(above) + F.logsigmoid(-below) + width
    log_chance = torch.where(clean > HALF_LEVEL, log_chance, F.logsigmoid(above))
    log_chance = torch.where(clean < 1 - HALF_LEVEL, log_chance, F.logsigmoid(-below))
    return -log_chance.flatten(1).sum(1)


OBSERVATIONS: dict[str, Observation] = {
    "bernoulli": Observation(1, bernoulli, torch.sigmoid),
    "gaussian": Observation(1, gaussian, lambda output: output.clamp(0, 1)),
    "logistic": Observation(2, logistic, lambda output: output.chunk(2, 1)[0].clamp(0, 1)),
}
"""By the name that a network's `likelihood` has."""
