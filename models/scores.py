"""How close pictures are. What training and evaluation both need of scoring stands here."""

import torch
from torch import Tensor

from models.types import Batch


def mean_squared_error(a: Batch, b: Batch) -> Tensor:
    """For each picture, `b`."""
    return ((a - b) ** 2).flatten(1).mean(1)


def psnr(a: Batch, b: Batch) -> Tensor:
    """Peak signal-to-noise ratio in dB for each picture, the peak being 1; infinite where they are equal."""
    return -10 * torch.log10(mean_squared_error(a, b))
