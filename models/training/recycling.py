"""Units of residual blocks that have fallen silent, given new weights while a network learns.

Behind a ReLU a unit whose input stays below nought answers nothing, learns nothing and so stays as it is: `photo@2` had
lost 931 of 1,280 that way, unseen, as its loss went on falling.

Source: Sokar et al. 2023, "The Dormant Neuron Phenomenon in Deep Reinforcement Learning", algorithm 1: fresh weights
in, none out, so that the network answers as before, and its averaged twin nearly so.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from models.layers import Residual
from models.training.optimisers import known_of
from models.types import Batch

DEVIATION = 0.2
"""Of what a new unit is given, so that it is about as loud as those that learned."""
BELOW = 0.5
"""How many deviations the mean of that lies below nought: it answers at three places of ten."""


@dataclass
class Heard:
    """What was heard of a block: which of its units answered, `c`, and the last batch that it was given."""

    answered: Tensor | None = None
    given: Batch = field(default_factory=lambda: torch.empty(0))

    def __call__(self, layer: nn.Module, given: tuple[Batch], answer: Batch) -> None:
        """As a hook of the layer before the activation."""
        now = (answer > 0).any(3).any(2).any(0)
        self.answered = now if self.answered is None else self.answered | now
        self.given = given[0]


def blocks(network: nn.Module) -> dict[str, Residual]:
    """The residual blocks whose units can fall silent, by name."""
    there = ((name, block) for name, block in network.named_modules() if isinstance(block, Residual))
    return {name: block for name, block in there if isinstance(block.activation, nn.ReLU)}


@contextmanager
def listening(network: nn.Module) -> Iterator[dict[str, Heard]]:
    """Notes what is heard of each block meanwhile."""
    heard = {name: Heard() for name in blocks(network)}
    with ExitStack() as hooks:
        for name, block in blocks(network).items():
            hooks.enter_context(block.first.register_forward_hook(heard[name]))
        yield heard


@torch.no_grad()
def recycle(network: nn.Module, averaged: nn.Module, optimisers: list[Optimizer], ask: Callable[[], None]) -> int:
    """Gives units that are silent in all that `ask` runs the network on new weights; returns how many those were.

    averaged: the same network with its averaged weights, which are given the same ones. The optimisers forget what they
    know of them. New weights are drawn from PyTorch's own generator.
    """
    with listening(network) as heard:
        ask()
    twins, count = blocks(averaged), 0
    for name, block in blocks(network).items():
        answered = heard[name].answered
        if answered is None or answered.all():
            continue
        silent = ~answered
        weight, bias = fresh(block.first, silent, heard[name].given)
        for one in (block, twins[name]):
            one.first.weight[silent], cast(Tensor, one.first.bias)[silent] = weight, bias
            one.second.weight[:, silent] = 0
        forget(optimisers, block, silent)
        count += int(silent.sum())
    return count


def fresh(layer: nn.Conv2d, silent: Tensor, given: Batch) -> tuple[Tensor, Tensor]:
    """Weights and biases of new units in place of silent ones, such that of what the layer was given some makes each
    answer and some doesn't."""
    weight = nn.init.kaiming_normal_(torch.empty_like(layer.weight))[silent]
    deviation, mean = torch.std_mean(F.conv2d(given.float(), weight, padding=layer.padding), (0, 2, 3))
    scale = DEVIATION / deviation.clamp(min=1e-6)
    return weight * scale.view(-1, 1, 1, 1), -mean * scale - BELOW * DEVIATION


def forget(optimisers: list[Optimizer], block: Residual, silent: Tensor) -> None:
    """Of silent units' weights the running means go back to nothing, and those of AdamW's squares to what the others
    have, since its steps are the larger the smaller these are."""
    first, second = block.first, block.second
    parts = (first.weight, 0), (cast(Tensor, first.bias), 0), (second.weight, 1)
    for parameter, axis in parts:
        known = known_of(optimisers, parameter)
        if "exp_avg" in known:
            known["exp_avg"].movedim(axis, 0)[silent] = 0
        if "exp_avg_sq" in known and not silent.all():
            squares = known["exp_avg_sq"].movedim(axis, 0)
            squares[silent] = squares[~silent].mean()
