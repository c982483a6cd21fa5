import math

import pytest
import torch
from torch import Generator

from models.colorizer import ColorizerConfig
from models.corruptions import Grey, Nothing, Spoilt
from models.objectives import DISTANCES, Elbo, Restoration, Sparsity, Tint, bernoulli, divergence, gaussian, total
from models.sparse import Rebuilt
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


def test_a_sparse_code_costs_its_mean_size_at_the_price():
    rebuilt = Rebuilt(torch.tensor([[0.0, 3.0], [1.0, 0.0]]), torch.zeros(2, 1, 4, 4), torch.tensor(0.1))
    clean = torch.full((2, 1, 4, 4), 0.5)
    parts = Sparsity()(lambda pixels, level: rebuilt, clean, Nothing()(clean, Generator()), Generator())
    assert float(parts["distortion"]) == pytest.approx(0.25)
    assert float(parts["sparsity"]) == pytest.approx(0.1)


def test_a_tint_costs_the_nats_of_its_bins_and_counts_colours_for_more():
    class Even(torch.nn.Module):
        config = ColorizerConfig(bins=5)

        def forward(self, grey: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(grey), 25, 2, 2)

    clean = torch.rand(1, 3, 4, 4)
    for emphasis in (0.0, 3.0):
        parts = Tint(emphasis)(Even(), clean, Grey()(clean, Generator()), Generator())
        assert float(parts["distortion"]) == pytest.approx(math.log(25), abs=1e-4)

    class Grudging(Even):
        """Gives colours no chance."""

        def forward(self, grey: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(grey), 25, 2, 2).index_fill(1, torch.tensor(12), 9.0)

    half_red = torch.full((1, 3, 4, 4), 0.5)
    half_red[:, 0, :2] = 1.0
    spoilt = Grey()(half_red, Generator())
    plain, emphatic = (Tint(e)(Grudging(), half_red, spoilt, Generator())["distortion"] for e in (0.0, 3.0))
    assert emphatic > plain


def test_restoration_compares_with_the_clean_picture():
    clean = torch.rand(1, 1, 4, 4)
    spoilt = Nothing()(clean, Generator())
    assert Restoration("l2")(lambda pixels, level: pixels + 0.5, clean, spoilt, Generator())[
        "distortion"
    ] == pytest.approx(0.25)


def test_restoration_compares_with_what_is_to_be_restored_where_that_is_another_picture():
    clean = torch.rand(1, 1, 4, 4)
    spoilt = Spoilt(clean, torch.zeros(1), clean + 0.5)
    parts = Restoration("l2")(lambda pixels, level: pixels + 0.5, clean, spoilt, Generator())
    assert parts["distortion"] == 0
