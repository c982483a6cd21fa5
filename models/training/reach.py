"""How large the values are that convolutions are given: the calibration that quantizing them to 8 bits needs."""

import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn

from models.corruptions import Spoilt

SHARE = 0.99999
"""Of the values, within reach: the few beyond are cut, so that the others have finer steps."""


@torch.no_grad()
def reaches(network: nn.Module, names: Sequence[str], batches: Iterable[Spoilt]) -> tuple[float, ...]:
    """The size that a share of the values stays within, in the batch where it is largest, of what each convolution of
    those names is given."""
    largest = dict.fromkeys(names, 0.0)

    def note(name: str, layer: nn.Module, given: tuple[Tensor]) -> None:
        sizes = given[0].abs().flatten()
        largest[name] = max(largest[name], float(sizes.kthvalue(math.ceil(SHARE * len(sizes))).values))

    with ExitStack() as hooks:
        for name in names:
            hooks.enter_context(network.get_submodule(name).register_forward_pre_hook(partial(note, name)))
        for spoilt in batches:
            network(spoilt.pixels, spoilt.level)
    return tuple(round(reach, 4) for reach in largest.values())
