"""The variational autoencoder with one latent vector and a standard normal prior."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from models.layers import Decoder, Encoder, flat_decoder, flat_encoder
from models.types import Batch, Code, Needs

LOG_VARIANCE_BOUND = 8.0
"""Posterior variances stay within exp(+-8): no step can overflow, and no useful posterior is narrower."""


@dataclass(frozen=True)
class VAEConfig:
    """channels, height, width: of a picture. widths: channels at each level, each half as large as the one before.
    latent: length of the code. hidden: width of the one hidden layer of an encoder and a decoder that are fully
    connected, as the paper's are; 0 for convolutions of those `widths`. likelihood: `bernoulli` (a pixel's value is its
    chance to be white; for drawings and digits) or `gaussian` (squared error with one learned deviation; for anything
    else)."""

    channels: int = 1
    height: int = 28
    width: int = 28
    widths: tuple[int, ...] = (32, 64, 128)
    latent: int = 32
    hidden: int = 0
    likelihood: str = "bernoulli"


class Posterior(NamedTuple):
    """q(z | x): a normal with independent dimensions."""

    mean: Code
    log_variance: Code


class Inference(NamedTuple):
    """What one forward pass through a VAE knows: q(z | x), and the decoder's output for one z drawn from it."""

    posterior: Posterior
    output: Batch
    log_deviation: torch.Tensor


class VAE(nn.Module):
    """Encoder to a Gaussian, decoder from a sample of it.

    Sources: Kingma and Welling 2014, "Auto-Encoding Variational Bayes"; for the learned deviation of the squared
    error, Rybkin et al. 2021, "Simple and Effective VAE Training with Calibrated Decoders".
    """

    prior = None
    """Codes are drawn from the standard normal."""

    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        shape = config.channels, (config.height, config.width)
        if config.hidden:
            self.encoder = flat_encoder(*shape, config.hidden, 2 * config.latent)
            self.decoder = flat_decoder(*shape, config.hidden, config.latent)
        else:
            self.encoder = Encoder(*shape, config.widths, 2 * config.latent)
            self.decoder = Decoder(*shape, config.widths, config.latent)
        self.log_deviation = nn.Parameter(torch.zeros(()))

    @property
    def needs(self) -> Needs:
        return Needs(self.config.channels, size=(self.config.height, self.config.width), latent=self.config.latent)

    def encode(self, x: Batch) -> Posterior:
        """q(z | x) for each picture; the log variance is bounded smoothly."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return Posterior(mean, LOG_VARIANCE_BOUND * torch.tanh(log_variance / LOG_VARIANCE_BOUND))

    def code(self, x: Batch) -> Code:
        """The code of each picture that stands for its posterior: the mean."""
        return self.encode(x).mean

    def reconstruct(self, x: Batch) -> Batch:
        """The expected picture of each picture's code."""
        return self.decode(self.code(x))

    def decode(self, code: Code) -> Batch:
        """The expected picture of each code, in [0, 1]."""
        output = self.decoder(code)
        return torch.sigmoid(output) if self.config.likelihood == "bernoulli" else output.clamp(0, 1)

    def forward(self, x: Batch, noise: Code) -> Inference:
        """q(z | x), and p(x | z) for z = mean + deviation * noise (the reparameterisation, eq. 4 of the paper)."""
        posterior = self.encode(x)
        code = posterior.mean + torch.exp(0.5 * posterior.log_variance) * noise
        return Inference(posterior, self.decoder(code), self.log_deviation)
