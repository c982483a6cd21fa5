import math

import pytest
import torch
from torch import Generator

from models.colorizer import ColorizerConfig
from models.corruptions import Grey, Nothing, Spoilt
from models.likelihood import bound
from models.objectives import DISTANCES, Elbo, Restoration, Sparsity, Tint, at_step, decibels, relative, total
from models.sparse import Rebuilt
from models.vae import VAE, VAEConfig


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


def test_beta_warms_up_and_other_objectives_stay_as_they_are():
    warming = Elbo(beta=2.0, warm_up=4)
    assert [at_step(warming, step).beta for step in (0, 1, 3, 100)] == [0.5, 1.0, 2.0, 2.0]
    assert at_step(Elbo(), 0) == Elbo()
    assert at_step(Restoration("l2"), 0) == Restoration("l2")


def test_the_rate_of_a_flow_may_be_below_nought_and_is_not_cut_there():
    network = VAE(VAEConfig(height=8, width=8, widths=(4,), latent=3, prior="flow")).eval()
    network.requires_grad_(False)
    torch.nn.init.zeros_(network.encoder.linear.weight)  # q(z | x) = p(z): the rate's estimate is nought on average
    torch.nn.init.zeros_(network.encoder.linear.bias)
    clean = torch.rand(1, 1, 8, 8)
    spoilt = Nothing()(clean, Generator())
    rates = [float(Elbo()(network, clean, spoilt, Generator().manual_seed(seed))["rate"]) for seed in range(200)]
    assert min(rates) < -0.5
    assert abs(sum(rates) / 200) < 0.3


@pytest.mark.parametrize("prior", ["normal", "flow"])
def test_more_draws_of_a_code_draw_the_bound_nearer_to_the_likelihood(prior: str):
    torch.manual_seed(0)
    network = VAE(VAEConfig(height=8, width=8, widths=(4,), latent=3, prior=prior)).eval().requires_grad_(False)
    clean = torch.rand(8, 1, 8, 8).round()
    spoilt = Nothing()(clean, Generator())

    def loss(draws: int) -> float:
        """Over as many draws in all."""
        objective = Elbo(draws=draws)
        runs = [total(objective(network, clean, spoilt, Generator().manual_seed(run))) for run in range(256 // draws)]
        return float(torch.stack(runs).mean())

    one, few, many = loss(1), loss(4), loss(64)
    assert one > few > many
    exact = [bound(network, x[None], 1000, 0, number).nats[-1] for number, x in enumerate(clean)]
    assert many == pytest.approx(-sum(exact) / len(exact), abs=0.2)


def test_free_bits_are_counted_of_one_draw_alone():
    with pytest.raises(ValueError, match="free_bits"):
        Elbo(free_bits=0.5, draws=2)


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_distances_are_least_where_pictures_agree(name: str):
    a, b, spoilt = torch.rand(3, 1, 1, 4, 4)
    assert DISTANCES[name](a, a, spoilt) < DISTANCES[name](a, b, spoilt)


def test_decibels_weigh_pictures_by_their_ratio_and_not_by_their_size():
    clean = torch.full((2, 1, 4, 4), 0.5)
    error = torch.tensor([0.02, 0.2]).view(2, 1, 1, 1)
    gained = decibels(clean, clean + error) - decibels(clean, clean + error / 2)
    assert float(gained) == pytest.approx(0.01 * math.log(2), rel=0.05)
    slope = torch.tensor([0.02, 0.2], requires_grad=True)
    decibels(clean, clean + slope.view(2, 1, 1, 1)).backward()
    assert float(slope.grad[0] / slope.grad[1]) == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize(("level", "left"), [(5, 39.74), (15, 33.78), (25, 31.23), (50, 28.06)])
def test_what_is_usual_is_the_same_distance_at_any_level(level: float, left: float):
    """The decibels that `photo` leaves, as docs/photo.md has them."""
    clean = torch.full((1, 1, 4, 4), 0.5)
    distance = relative(clean + 10 ** (-left / 20), clean, clean + level / 255)
    assert float(distance) == pytest.approx(0.01, rel=0.1)
    assert float(relative(clean, clean, clean)) == pytest.approx(0.01)


def test_of_crops_with_as_much_noise_the_hard_ones_count_for_more():
    clean, slope = torch.full((2, 1, 4, 4), 0.5), torch.tensor([0.01, 0.04], requires_grad=True)
    restored = clean + slope.view(2, 1, 1, 1)
    (by_relative,) = torch.autograd.grad(relative(restored, clean, clean + 0.1), slope, retain_graph=True)
    (by_decibels,) = torch.autograd.grad(decibels(restored, clean), slope)
    assert by_relative[1] / by_relative[0] == pytest.approx(1, abs=0.1)
    assert by_decibels[1] / by_decibels[0] == pytest.approx(1 / 4, abs=0.05)


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
