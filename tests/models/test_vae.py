import json

import pytest
import torch

from models.catalog import SHIPPED, Catalog
from models.checkpoints import load
from models.posterior import divergence, drawn
from models.vae import PRIORS, VAE, VAEConfig

SMALL = VAEConfig(height=9, width=11, widths=(4, 8), latent=5)
FLOWING = VAEConfig(height=9, width=11, widths=(4, 8), latent=5, prior="flow", couplings=4, coupling_width=8)


def bent(config: VAEConfig) -> VAE:
    """A VAE whose flow is no longer the identity that it begins as."""
    torch.manual_seed(0)
    network = VAE(config).eval().requires_grad_(False)
    for parameter in network.flow.parameters() if network.flow else ():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return network


@pytest.mark.parametrize("prior", PRIORS)
def test_shapes(prior: str):
    network = VAE(VAEConfig(height=9, width=11, widths=(4, 8), latent=5, prior=prior))
    inference = network(torch.rand(2, 1, 9, 11), torch.randn(2, 5))
    assert inference.output.shape == (2, 1, 9, 11)
    assert inference.rate.shape == (2, len(network.groups))
    assert inference.log_ratio.shape == (2,)


@pytest.mark.parametrize(("unshuffle", "blocks"), [(2, 1), (3, 2)])
def test_pixels_may_be_folded_into_channels_first(unshuffle: int, blocks: int):
    config = VAEConfig(channels=3, height=9, width=11, widths=(4, 8), latent=5, unshuffle=unshuffle, blocks=blocks)
    network = VAE(config)
    x = torch.rand(2, 3, 9, 11)
    assert network.reconstruct(x).shape == x.shape
    assert network.encoder.convolutions[0].weight.shape[1] == 3 * unshuffle**2


def test_without_noise_the_code_is_the_mean():
    network = VAE(SMALL).eval()
    x = torch.rand(2, 1, 9, 11)
    output = network(x, torch.zeros(2, 5)).output
    assert torch.allclose(torch.sigmoid(output), network.decode(network.observe(x).mean))


def test_a_fully_connected_one_is_as_the_paper_has_it():
    network = VAE(VAEConfig(hidden=400, latent=20))
    shapes = [tuple(w.shape) for w in network.parameters() if w.dim() == 2]
    assert shapes == [(400, 784), (40, 400), (400, 20), (784, 400)]
    assert network(torch.rand(2, 1, 28, 28), torch.randn(2, 20)).output.shape == (2, 1, 28, 28)
    assert network.reconstruct(torch.rand(2, 1, 28, 28)).shape == (2, 1, 28, 28)


@pytest.mark.parametrize("config", [SMALL, FLOWING])
def test_a_picture_comes_back_from_its_code(config: VAEConfig):
    network = bent(config)
    x = torch.rand(2, 1, 9, 11)
    assert torch.allclose(network.reconstruct(x), network.decode(network.code(x)), atol=1e-5)


def test_a_code_lies_in_the_normal_that_the_flow_makes_the_prior_of():
    network = bent(FLOWING)
    x = torch.rand(2, 1, 9, 11)
    mean = network.observe(x).mean
    assert torch.allclose(network.code(x), network.flow(mean)[0])
    assert not torch.allclose(network.code(x), mean, atol=0.01)


@pytest.mark.parametrize("config", [SMALL, FLOWING])
def test_the_rate_is_what_log_ratios_are_on_average(config: VAEConfig):
    network = bent(config)
    x, noise = torch.rand(1, 1, 9, 11), torch.randn(20_000, 5)
    inference = network.infer(network.observe(x), noise)
    rate = inference.rate.sum(1).mean()
    assert float(rate) == pytest.approx(-float(inference.log_ratio.mean()), abs=0.05)
    if not network.flow:
        assert float(rate) == pytest.approx(float(divergence(network.observe(x)).sum()), rel=1e-4)


def test_with_a_flow_the_prior_is_the_flows_density():
    network = bent(FLOWING)
    x, noise = torch.rand(3, 1, 9, 11), torch.randn(3, 5)
    posterior = network.observe(x)
    z = drawn(posterior, noise)
    normal = torch.distributions.Normal(posterior.mean, torch.exp(0.5 * posterior.log_variance))
    base, log_determinant = network.flow(z)
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(base).sum(1) + log_determinant
    expected = log_prior - normal.log_prob(z).sum(1)
    assert torch.allclose(network.infer(posterior, noise).log_ratio, expected, atol=1e-4)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "logistic"])
def test_decoded_pictures_are_in_range(likelihood: str):
    config = VAEConfig(channels=3, height=8, width=8, widths=(4,), likelihood=likelihood)
    pixels = VAE(config).decode(100 * torch.randn(3, 32))
    assert pixels.shape == (3, 3, 8, 8)
    assert pixels.min() >= 0
    assert pixels.max() <= 1


def test_what_shipped_before_there_were_flows_still_loads():
    folder = Catalog.of(SHIPPED).find("digits-mlp-vae@1").folder
    assert "prior" not in json.loads((folder / "config.json").read_text())["config"]
    assert load(folder).network(torch.rand(2, 1, 28, 28), torch.randn(2, 20)).rate.shape == (2, 20)
