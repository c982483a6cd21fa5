import torch

from models.autoencoder import Autoencoder, AutoencoderConfig


def test_pictures_pass_through_one_code_and_come_back():
    network = Autoencoder(AutoencoderConfig(channels=3, height=11, width=9, widths=(4, 8), code=7))
    x = torch.rand(2, 3, 11, 9)
    assert network.encode(x).shape == (2, 7)
    assert network(x).shape == x.shape


def test_it_takes_one_size_alone_and_says_so():
    needs = Autoencoder(AutoencoderConfig(height=11, width=9)).needs
    assert (needs.channels, needs.size, needs.level, needs.latent) == (1, (11, 9), False, None)


def test_dropout_makes_training_random_and_nothing_else():
    network = Autoencoder(AutoencoderConfig(height=8, width=8, widths=(4, 8), code=6, dropout=0.4))
    x = torch.rand(1, 1, 8, 8)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))
