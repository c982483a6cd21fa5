import pytest
import torch

from models.scores import mean_squared_error, psnr


def test_scores_are_for_each_picture():
    a = torch.zeros(2, 1, 4, 4)
    b = torch.stack([torch.full((1, 4, 4), 0.1), torch.zeros(1, 4, 4)])
    assert mean_squared_error(a, b).tolist() == pytest.approx([0.01, 0.0])
    assert psnr(a, b).tolist() == pytest.approx([20.0, float("inf")])
