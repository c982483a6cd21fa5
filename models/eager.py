"""A task's module in PyTorch, as raw arrays in and raw arrays out."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

Program = Callable[..., tuple[np.ndarray, ...]]
"""Raw arrays, and the type that the first result should have -> results."""


class Eager:
    """A task's module in PyTorch. Pixels reach the device in their own bytes and become floats there."""

    def __init__(self, module: nn.Module, device: torch.device):
        self.module, self.device = module, device

    @torch.inference_mode()
    def __call__(self, *arrays: np.ndarray, answer: np.dtype) -> tuple[np.ndarray, ...]:
        given = [torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for array in arrays]
        first, *others = (one.cpu().numpy() for one in self.answers(answer, *given))
        return first.astype(answer), *others

    def answers(self, answer: np.dtype, *given: Tensor) -> tuple[Tensor, ...]:
        """On the device; what is to be pixels of 16 bits comes in 32, as PyTorch computes with no others."""
        first, *others = self.module(*(one.float() for one in given))
        if answer != np.float32:
            first = first.to(torch.uint8 if answer == np.uint8 else torch.int32)  # a NaN is told by the sum
        return first.contiguous(), *others
