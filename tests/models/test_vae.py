import pytest
import torch

from models.vae import LOG_VARIANCE_BOUND, VAE, VAEConfig

SMALL = VAEConfig(height=9, width=11, widths=(4, 8), latent=5)


def test_shapes():
    network = VAE(SMALL)
    inference = network(torch.rand(2, 1, 9, 11), torch.randn(2, 5))
    assert inference.output.shape == (2, 1, 9, 11)
    assert inference.posterior.mean.shape == inference.posterior.log_variance.shape == (2, 5)


def test_without_noise_the_code_is_the_mean():
    network = VAE(SMALL).eval()
    x = torch.rand(2, 1, 9, 11)
    output = network(x, torch.zeros(2, 5)).output
    assert torch.allclose(torch.sigmoid(output), network.decode(network.encode(x).mean))


def test_a_fully_connected_one_is_as_the_paper_has_it():
    network = VAE(VAEConfig(hidden=400, latent=20))
    shapes = [tuple(w.shape) for w in network.parameters() if w.dim() == 2]
    assert shapes == [(400, 784), (40, 400), (400, 20), (784, 400)]
    assert network(torch.rand(2, 1, 28, 28), torch.randn(2, 20)).output.shape == (2, 1, 28, 28)
    assert network.reconstruct(torch.rand(2, 1, 28, 28)).shape == (2, 1, 28, 28)


def test_a_picture_comes_back_from_the_mean_of_its_posterior():
    network = VAE(SMALL).eval()
    x = torch.rand(2, 1, 9, 11)
    assert torch.equal(network.code(x), network.encode(x).mean)
    assert torch.equal(network.reconstruct(x), network.decode(network.code(x)))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_decoded_pictures_are_in_range(likelihood: str):
    pixels = VAE(VAEConfig(height=8, width=8, widths=(4,), likelihood=likelihood)).decode(100 * torch.randn(3, 32))
    assert pixels.min() >= 0
    assert pixels.max() <= 1


def test_the_log_variance_is_bounded_whatever_comes_in():
    posterior = VAE(SMALL).encode(1e6 * torch.randn(2, 1, 9, 11))
    assert posterior.log_variance.abs().max() <= LOG_VARIANCE_BOUND
