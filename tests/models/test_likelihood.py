"""Against a linear Gaussian model, whose likelihood is known: z ~ N(0, I), x ~ N(A z + c, s^2 I)."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.likelihood import Bound, bound, effective, grouped, log_mean, sizes_of, standard_error
from models.posterior import LOG_VARIANCE_BOUND, divergence
from models.vae import VAE, VAEConfig

CONFIG = VAEConfig(height=2, width=3, latent=2, likelihood="gaussian", couplings=2, coupling_width=4)
DEVIATION = 0.3


class Linear(nn.Module):
    """A matrix between pictures and codes."""

    def __init__(self, matrix: Tensor, offset: Tensor):
        super().__init__()
        self.matrix, self.offset = matrix, offset

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(1) @ self.matrix.T + self.offset
        return y.view(-1, 1, 2, 3) if self.matrix.shape[0] == 6 else y


def model(prior: str = "normal", off: float = 0.3) -> tuple[VAE, Tensor]:
    """A VAE of linear maps and one of its pictures; its posterior is the true one, but for being `off` and wider."""
    torch.manual_seed(3)
    network = VAE(VAEConfig(**(vars(CONFIG) | {"prior": prior}))).eval()
    decoder = Linear(torch.randn(6, 2), torch.randn(6))
    network.decoder = decoder
    network.log_deviation.data.fill_(math.log(DEVIATION))
    scale, shift = torch.ones(2), torch.zeros(2)
    if network.flow:  # couplings that say the same of every code: z = scale * base + shift
        for coupling, told in zip(network.flow.couplings, torch.tensor([[0.4, -0.7], [0.2, 0.5]]), strict=True):
            coupling.network[-1].bias.data[:] = torch.cat([told[:1].expand(2), told[1:].expand(2)])
        zeros = torch.zeros(1, 2)
        shift = network.flow.inverse(zeros)[0].detach()
        scale = (network.flow.inverse(torch.ones(1, 2))[0] - shift).detach()
    # The posterior of z has precision A^T A / s^2 + diag(1 / scale^2); so much of its mean comes from the prior's.
    precision = decoder.matrix.T @ decoder.matrix / DEVIATION**2 + torch.diag(1 / scale**2)
    weights = torch.linalg.inv(precision) @ decoder.matrix.T / DEVIATION**2
    mean_at_nought = torch.linalg.inv(precision) @ (shift / scale**2) - weights @ decoder.offset
    log_variance = torch.linalg.inv(precision).diagonal().log() + 0.4
    network.encoder = Linear(
        torch.cat([weights, torch.zeros(2, 6)]),
        torch.cat([mean_at_nought + off * log_variance.exp().sqrt(), unbounded(log_variance)]),
    )
    z = scale * torch.randn(1, 2) + shift
    x = decoder(z) + DEVIATION * torch.randn(1, 1, 2, 3)
    network.exact = exact(decoder, scale, shift, x)
    return network.requires_grad_(False), x


def unbounded(log_variance: Tensor) -> Tensor:
    """What an encoder must say for its posterior to have that log variance."""
    return LOG_VARIANCE_BOUND * torch.atanh(log_variance / LOG_VARIANCE_BOUND)


def exact(decoder: Linear, scale: Tensor, shift: Tensor, x: Tensor) -> float:
    """log p(x): x is normal with mean A shift + c and covariance A diag(scale^2) A^T + s^2 I."""
    factor = decoder.matrix.double() * scale.double()
    covariance = factor @ factor.T + DEVIATION**2 * torch.eye(6)
    mean = decoder.matrix.double() @ shift.double() + decoder.offset.double()
    return float(torch.distributions.MultivariateNormal(mean, covariance).log_prob(x.flatten().double()))


@pytest.mark.parametrize("prior", ["normal", "flow"])
def test_the_bound_draws_near_the_exact_likelihood_as_samples_grow_and_never_falls(prior: str):
    network, x = model(prior)
    nats = bound(network, x, 10_000, seed=0, number=0).nats
    assert (np.diff(nats) > 0).all()
    assert nats[-1] == pytest.approx(network.exact, abs=0.02)
    assert nats[0] < network.exact - 0.1


def test_with_one_sample_each_it_is_the_evidence_lower_bound():
    network, x = model()
    posterior = network.observe(x)
    # -log p(x | z) is quadratic in z, so that its mean over the posterior is known.
    output = network.decoder(posterior.mean)
    squares = ((output - x) ** 2).sum() + (network.decoder.matrix**2 @ posterior.log_variance.exp()[0]).sum()
    distortion = float(0.5 * squares / DEVIATION**2 + 6 * (math.log(DEVIATION) + 0.5 * math.log(2 * math.pi)))
    found = bound(network, x, 10_000, seed=1, number=0)
    assert found.distortion == pytest.approx(distortion, abs=0.05)
    assert found.nats[0] == pytest.approx(-distortion - float(divergence(posterior).sum()), abs=0.05)


def test_a_posterior_that_is_exact_needs_one_sample():
    network, x = model(off=0.0)
    weights, decoder = network.encoder, network.decoder
    # With one number that matters to each pixel the posterior has independent dimensions, and can be exact.
    decoder.matrix[:3, 1] = decoder.matrix[3:, 0] = 0
    precision = (decoder.matrix**2).sum(0) / DEVIATION**2 + 1
    inner = decoder.matrix.T / DEVIATION**2 / precision[:, None]
    weights.matrix[:2], weights.offset[:2] = inner, -inner @ decoder.offset
    weights.offset[2:] = unbounded(-precision.log())
    wanted = exact(decoder, torch.ones(2), torch.zeros(2), x)
    found = bound(network, x, 100, seed=0, number=0)
    assert np.allclose(found.nats, wanted, atol=1e-3)
    assert found.effective == pytest.approx(100, rel=1e-3)


def test_a_pictures_samples_depend_on_the_seed_and_its_number_alone():
    network, x = model()
    first, again, other, seeded = (bound(network, x, 20, *told) for told in [(5, 3), (5, 3), (5, 4), (6, 3)])
    assert np.array_equal(first.nats, again.nats)
    assert first.nats[-1] != other.nats[-1]
    assert first.nats[-1] != seeded.nats[-1]


def test_parts_that_go_through_the_network_together_change_nothing(monkeypatch: pytest.MonkeyPatch):
    network, x = model()
    whole = bound(network, x, 100, seed=0, number=0)
    monkeypatch.setattr("models.likelihood.AT_ONCE", 7)
    assert np.allclose(np.hstack(whole), np.hstack(bound(network, x, 100, seed=0, number=0)), rtol=1e-5)
    assert isinstance(whole, Bound)


def test_sizes_part_the_samples_evenly():
    assert sizes_of(1000) == [1, 10, 100, 1000]
    assert sizes_of(250) == [1, 10, 250]
    assert sizes_of(1) == [1]


def test_sums_of_weights_stay_in_range():
    logs = np.array([-5000.0, -5001.0, -7000.0])
    assert float(log_mean(logs)) == pytest.approx(-5000 + math.log((1 + math.exp(-1)) / 3))
    assert grouped(np.array([0.0, -2.0, -4.0, -6.0]), 1) == -3
    assert effective(logs - 1e5) == pytest.approx(effective(logs))
    assert effective(np.array([0.0, 0.0, -1e9])) == pytest.approx(2)


def test_the_standard_error_shrinks_with_the_root_of_the_number():
    values = np.random.default_rng(0).normal(0, 2, 10_000)
    assert standard_error(values) == pytest.approx(0.02, rel=0.05)
    assert standard_error(values[:1]) == 0
