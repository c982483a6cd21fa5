import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.data import Crops, Pictures
from models.training.halo import halos

STEP = 4


class Looking(nn.Module):
    """Adds to each pixel what lies `near` pixels above and left of it, or `far` where it is told more than 20 grey
    levels."""

    def __init__(self, near: int, far: int):
        super().__init__()
        self.near, self.far = near, far

    def forward(self, noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        by = self.far if float(level.max()) > 20 / 255 else self.near
        return noisy + F.pad(noisy, (by, 0, by, 0))[..., : noisy.shape[2], : noisy.shape[3]]


@pytest.fixture
def crops() -> Crops:
    pixels = np.random.default_rng(0).integers(1, 256, (3, 90, 70), np.uint8)
    return Crops(Pictures([torch.from_numpy(pixels)], []), 64)


@pytest.mark.parametrize(
    ("near", "far", "found"),
    [
        (3, 12, (4, 12)),
        (5, 9, (8, 12)),
        (12, 3, (12, 12)),
        (3, 40, (4, 32)),
    ],
)
def test_a_halo_is_as_wide_as_a_network_sees_at_each_level(near: int, far: int, found: tuple[int, int], crops: Crops):
    """No narrower than at a lower level, and no wider than what it was measured on."""
    assert halos(Looking(near, far), crops, (10.0, 50.0), STEP) == found


def test_what_no_picture_shows_is_not_seen(crops: Crops):
    class Faint(Looking):
        def forward(self, noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
            return noisy + self.strength * (super().forward(noisy, level) - noisy) / 255

    faint = Faint(3, 12)
    faint.strength = 0.2
    assert halos(faint, crops, (50.0,), STEP) == (STEP,)
    faint.strength = 0.3
    assert halos(faint, crops, (50.0,), STEP) == (12,)
