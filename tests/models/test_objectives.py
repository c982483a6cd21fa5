import math

import pytest
import torch
from torch import Generator

from models.corruptions import Nothing
from models.objectives import DISTANCES, Elbo, Restoration, bernoulli, divergence, gaussian, total
from models.vae import VAE, Inference, Posterior, VAEConfig


def test_the_divergence_of_the_prior_from_itself_is_nothing():
    assert divergence(Posterior(torch.zeros(2, 3), torch.zeros(2, 3))).abs().max() == 0


def test_the_divergence_is_the_closed_form():
    posterior = Posterior(torch.tensor([[0.7]]), torch.tensor([[math.log(0.25)]]))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(0.7, 0.5), torch.distributions.Normal(0.0, 1.0)
    )
    assert float(divergence(posterior)) == pytest.approx(float(expected))


def test_likelihoods_are_those_of_the_distributions():
    clean = torch.rand(2, 1, 3, 4)
    output = torch.randn(2, 1, 3, 4)
    log_deviation = torch.tensor(-0.7)
    inference = Inference(Posterior(torch.zeros(2, 1), torch.zeros(2, 1)), output, log_deviation)
    normal = torch.distributions.Normal(output, log_deviation.exp())
    assert torch.allclose(gaussian(inference, clean), -normal.log_prob(clean).flatten(1).sum(1), atol=1e-4)
    white = clean.round()
    expected = -torch.distributions.Bernoulli(logits=output).log_prob(white).flatten(1).sum(1)
    assert torch.allclose(bernoulli(inference, white), expected, atol=1e-4)


def test_free_bits_and_beta_change_the_rate_alone():
    network = VAE(VAEConfig(height=8, width=8, widths=(4,), latent=3)).eval()
    clean = torch.rand(4, 1, 8, 8)

    def parts(objective):
        with torch.no_grad():
            return objective(network, clean, Nothing()(clean, Generator()), Generator().manual_seed(0))

    plain, heavy, free = parts(Elbo()), parts(Elbo(beta=2.0)), parts(Elbo(free_bits=5.0))
    assert float(heavy["rate"]) == pytest.approx(2 * float(plain["rate"]))
    assert float(free["rate"]) == pytest.approx(15.0)
    assert plain["distortion"] == heavy["distortion"] == free["distortion"]
    assert float(total(plain)) == pytest.approx(float(plain["distortion"] + plain["rate"]))


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_distances_are_least_where_pictures_agree(name: str):
    a, b = torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4)
    assert DISTANCES[name](a, a) < DISTANCES[name](a, b)


def test_restoration_compares_with_the_clean_picture():
    clean = torch.rand(1, 1, 4, 4)
    spoilt = Nothing()(clean, Generator())
    assert Restoration("l2")(lambda pixels, level: pixels + 0.5, clean, spoilt, Generator())[
        "distortion"
    ] == pytest.approx(0.25)
