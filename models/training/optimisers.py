"""What changes the weights of a network that learns: Muon its inner matrices, where the schedule has it, and AdamW all
others."""

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer

from models.flow import Flow
from models.recipes import Schedule

MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)
"""Of x, x^3 and x^5: five times in a row they bring all of (0, 1] near 1 (Jordan et al. 2024)."""
ROUNDS = 5
LOUDNESS = 0.2
"""Root mean square of a step of Muon's at a rate of 1: that of AdamW's, so that both do with one rate (Liu et al.
2025)."""


class Muon(Optimizer):
    """Steps all of whose directions are equally long: each weight is taken as a matrix, one row for each of its
    first dimension, and the nearest orthogonal matrix to its mean gradient is what it moves along.

    Sources: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks" (momentum of Nesterov,
    the iteration); Liu et al. 2025, "Muon is Scalable for LLM Training" (how long a step is). PyTorch's own takes
    nothing but matrices, and computes in bf16 even where a processor has no instructions for it.
    """

    def __init__(self, weights: list[Parameter], rate: float, low_precision: bool):
        super().__init__(weights, {"lr": rate})
        self.precision = torch.bfloat16 if low_precision else torch.float32

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Moves every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.sub_(self.direction(weight), alpha=group["lr"])

    def direction(self, weight: Parameter) -> Tensor:
        """What a weight moves along at a rate of 1, in its shape."""
        gradient, known = cast(Tensor, weight.grad), self.state[weight]
        if "exp_avg" not in known:  # PyTorch's name for it
            known["exp_avg"] = torch.zeros_like(weight)
        mean = known["exp_avg"].lerp_(gradient, 1 - MOMENTUM)
        ahead = torch.lerp(gradient, mean, MOMENTUM).flatten(1)
        step = orthogonal(ahead.to(self.precision)).to(weight.dtype)
        return step.mul_(LOUDNESS * math.sqrt(max(ahead.shape))).view(weight.shape)


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix `m n` with its singular values brought to between 0.7 and 1.2, by Newton and Schulz's iteration."""
    a, b, c = QUINTIC
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / wide.norm().clamp(min=1e-7)
    for _ in range(ROUNDS):
        squares = x @ x.T
        x = torch.addmm(x, torch.addmm(squares, squares, squares, beta=b, alpha=c), x, beta=a)
    return x if wide is matrix else x.T


def made_for(network: nn.Module, schedule: Schedule, low_precision: bool) -> list[Optimizer]:
    """Those of a network, each of weights of its own; the first is AdamW."""
    inner = inner_matrices(network) if schedule.muon else []
    hidden = set(inner)
    others = [weight for weight in network.parameters() if weight not in hidden]
    adam = AdamW(others, schedule.rate, weight_decay=schedule.weight_decay, fused=True)
    return [adam, Muon(inner, schedule.rate, low_precision)] if inner else [adam]


def inner_matrices(network: nn.Module) -> list[Parameter]:
    """The weights of all linear layers and convolutions but the first and the last, in which pictures themselves meet
    weights, and but a flow's: making those orthogonal takes two thirds as long as all else that a step does."""
    flows = {weight for part in network.modules() if isinstance(part, Flow) for weight in part.parameters()}
    return [weight for weight in network.parameters() if weight.ndim > 1 and weight not in flows][1:-1]


def known_of(optimisers: list[Optimizer], parameter: Tensor) -> dict[str, Tensor]:
    """What has been kept of a parameter, by whichever optimiser has it; nothing before the first step."""
    return next((one.state[parameter] for one in optimisers if parameter in one.state), {})


def states(optimisers: list[Optimizer]) -> dict[str, Tensor]:
    """All that is kept, flat: each tensor by its parameter's number, counted over all optimisers, and its own name."""
    numbers = {parameter: number for number, parameter in enumerate(parameters_of(optimisers))}
    return {
        f"{numbers[parameter]}.{name}": tensor
        for one in optimisers
        for parameter, kept in one.state.items()
        for name, tensor in kept.items()
    }


def take(optimisers: list[Optimizer], tensors: dict[str, Tensor]) -> None:
    """The other way round."""
    owners = {parameter: one for one in optimisers for parameter in parameters_of([one])}
    parameters = list(owners)
    for path, tensor in tensors.items():
        number, _, name = path.partition(".")
        parameter = parameters[int(number)]
        owners[parameter].state[parameter][name] = laid_out_as(parameter, tensor)


def parameters_of(optimisers: list[Optimizer]) -> list[Tensor]:
    """The parameters of all, one optimiser's after the other's."""
    return [parameter for one in optimisers for group in one.param_groups for parameter in group["params"]]


def laid_out_as(parameter: Tensor, tensor: Tensor) -> Tensor:
    """The tensor in the parameter's memory order, as fused optimisers walk both as flat arrays; where its shape is
    another it is a count of steps."""
    if tensor.shape != parameter.shape:
        return tensor.to(parameter.device)
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
