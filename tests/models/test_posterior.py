import math

import pytest
import torch

from models.posterior import (
    LOG_VARIANCE_BOUND,
    Posterior,
    active,
    bounded,
    divergence,
    drawn,
    joined,
    log_density,
    log_normal,
    negative_entropy,
    told_by_each,
)


def test_the_divergence_of_the_prior_from_itself_is_nothing():
    assert divergence(Posterior(torch.zeros(2, 3), torch.zeros(2, 3))).abs().max() == 0


def test_the_divergence_is_the_closed_form():
    posterior = Posterior(torch.tensor([[0.7]]), torch.tensor([[math.log(0.25)]]))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(0.7, 0.5), torch.distributions.Normal(0.0, 1.0)
    )
    assert float(divergence(posterior)) == pytest.approx(float(expected))


def test_densities_are_those_of_the_distributions_but_for_the_constant():
    posterior = Posterior(torch.randn(4, 3), torch.randn(4, 3))
    noise = torch.randn(4, 3)
    z, constant = drawn(posterior, noise), 1.5 * math.log(2 * math.pi)
    normal = torch.distributions.Normal(posterior.mean, torch.exp(0.5 * posterior.log_variance))
    assert torch.allclose(log_density(posterior, noise) - constant, normal.log_prob(z).sum(1), atol=1e-5)
    assert torch.allclose(negative_entropy(posterior) - constant, -normal.entropy().sum(1), atol=1e-5)
    standard = torch.distributions.Normal(0.0, 1.0)
    assert torch.allclose(log_normal(z) - constant, standard.log_prob(z).sum(1), atol=1e-5)


def test_the_log_variance_is_bounded_whatever_comes_in():
    posterior = bounded(torch.randn(2, 3), 1e6 * torch.randn(2, 3))
    assert posterior.log_variance.abs().max() <= LOG_VARIANCE_BOUND
    small = torch.tensor([[0.1]])
    assert bounded(small, small).log_variance == pytest.approx(0.1, abs=1e-3)


def test_a_number_that_says_the_same_of_every_picture_tells_nothing_and_one_that_follows_it_tells_its_information():
    """Of a linear Gaussian channel the information is known: half the log of 1 + signal to noise."""
    means = torch.stack(
        [torch.full((20_000,), 0.3), 3 * torch.randn(20_000, generator=torch.Generator().manual_seed(0))]
    )
    variances = torch.tensor([1.0, 0.25]).expand(20_000, 2)
    posterior = Posterior(means.T, variances.log())
    silent, telling = told_by_each(posterior).tolist()
    assert silent == pytest.approx(0, abs=1e-6)
    assert telling == pytest.approx(0.5 * math.log(1 + 9 / 0.25), rel=0.01)
    assert active(posterior) == 1


def test_posteriors_are_joined_by_their_parts_and_by_their_batches():
    posterior = Posterior(torch.randn(4, 3), torch.randn(4, 3))
    assert joined([posterior, posterior], 0).mean.shape == (8, 3)
    assert joined([posterior, posterior], 1).log_variance.shape == (4, 6)
