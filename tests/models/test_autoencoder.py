import pytest
import torch

from models.autoencoder import Autoencoder, AutoencoderConfig


def test_pictures_pass_through_one_code_and_come_back():
    network = Autoencoder(AutoencoderConfig(channels=3, height=11, width=9, widths=(4, 8), code=7))
    x = torch.rand(2, 3, 11, 9)
    assert network.code(x).shape == (2, 7)
    assert network.reconstruct(x).shape == x.shape
    assert torch.equal(network.decode(network.code(x)), network.reconstruct(x))


def test_it_takes_one_size_alone_and_says_so():
    needs = Autoencoder(AutoencoderConfig(height=11, width=9, code=5)).needs
    assert (needs.channels, needs.size, needs.level, needs.latent) == (1, (11, 9), False, 5)


@pytest.mark.parametrize("change", [{"code": 0}, {"second_look": 4}])
def test_what_needs_more_than_a_code_can_not_be_decoded_from_one(change: dict):
    assert Autoencoder(AutoencoderConfig(height=11, width=9, widths=(4, 8), **change)).needs.latent is None


def test_a_mixture_fitted_to_codes_is_kept_among_the_tensors():
    config = AutoencoderConfig(height=8, width=8, widths=(4, 8), code=6, mixture=3)
    network = Autoencoder(config)
    network.fit_prior(torch.randn(50, 6), seed=1)
    again = Autoencoder(config)
    again.load_state_dict(network.state_dict())
    assert network.prior is not None
    assert again.prior is not None
    assert all((a == b).all() for a, b in zip(network.prior, again.prior, strict=True))
    assert Autoencoder(AutoencoderConfig(code=6)).prior is None


@pytest.mark.parametrize("change", [{"code": 0}, {"second_look": 4}])
def test_a_mixture_is_of_codes_that_can_be_decoded(change: dict):
    with pytest.raises(ValueError, match="mixture"):
        AutoencoderConfig(mixture=10, **change)


def test_dropout_makes_training_random_and_nothing_else():
    network = Autoencoder(AutoencoderConfig(height=8, width=8, widths=(4, 8), code=6, dropout=0.4))
    x = torch.rand(1, 1, 8, 8)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))
