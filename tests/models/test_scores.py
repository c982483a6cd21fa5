import numpy as np
import pytest
import torch

from models.scores import losses, mean_squared_error, psnr


def test_scores_are_for_each_picture():
    a = torch.zeros(2, 1, 4, 4)
    b = torch.stack([torch.full((1, 4, 4), 0.1), torch.zeros(1, 4, 4)])
    assert mean_squared_error(a, b).tolist() == pytest.approx([0.01, 0.0])
    assert psnr(a, b).tolist() == pytest.approx([20.0, float("inf")])


def test_what_came_back_worse_is_counted_and_the_most_that_was_lost_is_told():
    assert losses(np.array([30.0, 31.0, 32.0]), np.array([29.0, 33.0, 31.5])) == (2, 1.0)
    assert losses(np.array([30.0]), np.array([30.0])) == (0, 0.0)
