"""How close pictures are. What training and evaluation both need of scoring stands here."""

import numpy as np
import torch
from torch import Tensor

from models.types import Batch


def mean_squared_error(a: Batch, b: Batch) -> Tensor:
    """For each picture, `b`."""
    return ((a - b) ** 2).flatten(1).mean(1)


def psnr(a: Batch, b: Batch) -> Tensor:
    """Peak signal-to-noise ratio in dB for each picture, the peak being 1; infinite where they are equal."""
    return -10 * torch.log10(mean_squared_error(a, b))


def losses(before: np.ndarray, after: np.ndarray) -> tuple[int, float]:
    """Of scores `n` of pictures as they were and as they came back: how many are worse, and by how much at most."""
    return int((after < before).sum()), max(0.0, float((before - after).max()))
