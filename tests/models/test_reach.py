import pytest
import torch
from torch import nn

from models.corruptions import Spoilt
from models.training import reach
from models.training.reach import reaches


class Doubling(nn.Module):
    """Doubles what it is given before its second convolution."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

    def forward(self, x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return self.first(x) + self.second(2 * x)


def test_reaches_are_the_largest_sizes_in_any_batch():
    batches = [Spoilt(torch.full((1, 1, 4, 4), value), torch.zeros(1)) for value in (0.25, -0.75, 0.5)]
    assert reaches(Doubling(), ["second", "first"], batches) == (1.5, 0.75)


def test_the_few_values_beyond_are_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reach, "SHARE", 0.9)
    x = torch.linspace(0.01, 1.0, 100).view(1, 1, 10, 10)
    assert reaches(Doubling(), ["first"], [Spoilt(x, torch.zeros(1))]) == (0.9,)


def test_nothing_listens_afterwards():
    network = Doubling()
    reaches(network, ["first"], [])
    assert not network.first._forward_pre_hooks
