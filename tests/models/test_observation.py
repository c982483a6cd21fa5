import math

import pytest
import torch

from models.observation import OBSERVATIONS, bernoulli, gaussian, logistic


def test_nats_are_those_of_the_distributions():
    clean, output = torch.rand(2, 1, 3, 4), torch.randn(2, 1, 3, 4)
    log_deviation = torch.tensor(-0.7)
    normal = torch.distributions.Normal(output, log_deviation.exp())
    assert torch.allclose(gaussian(output, log_deviation, clean), -normal.log_prob(clean).flatten(1).sum(1), atol=1e-4)
    white = clean.round()
    expected = -torch.distributions.Bernoulli(logits=output).log_prob(white).flatten(1).sum(1)
    assert torch.allclose(bernoulli(output, log_deviation, white), expected, atol=1e-4)


@pytest.mark.parametrize(("mean", "log_scale"), [(0.5, -3.0), (0.0, -6.0), (1.3, -1.0), (-2.0, -20.0), (0.7, 20.0)])
def test_the_chances_of_all_levels_of_a_logistic_sum_to_one(mean: float, log_scale: float):
    levels = (torch.arange(256) / 255).view(256, 1, 1, 1)
    output = torch.tensor([mean, log_scale]).view(1, 2, 1, 1).expand(256, -1, -1, -1)
    nats = logistic(output, torch.zeros(()), levels)
    assert torch.isfinite(nats).all()
    assert float(torch.exp(-nats).sum()) == pytest.approx(1, abs=1e-4)


def test_a_level_of_a_logistic_has_the_chance_between_its_two_ends():
    level, mean, scale = 100 / 255, 0.45, 0.05
    above, below = (1 / (1 + math.exp((mean - level - side / 255) / scale)) for side in (0.5, -0.5))
    output = torch.tensor([mean, math.log(scale)]).view(1, 2, 1, 1)
    nats = logistic(output, torch.zeros(()), torch.full((1, 1, 1, 1), level))
    assert float(torch.exp(-nats)) == pytest.approx(above - below, rel=1e-4)


@pytest.mark.parametrize("name", sorted(OBSERVATIONS))
def test_expected_pictures_are_in_range_and_of_the_pictures_channels(name: str):
    observation = OBSERVATIONS[name]
    expected = observation.expected(100 * torch.randn(3, 2 * observation.planes, 4, 4))
    assert expected.shape == (3, 2, 4, 4)
    assert expected.min() >= 0
    assert expected.max() <= 1
