"""The variational autoencoder with one latent vector, its prior the standard normal or a flow learned with it."""

from dataclasses import dataclass

import torch
from torch import nn

from models.flow import Flow
from models.layers import Decoder, Encoder, flat_decoder, flat_encoder
from models.observation import OBSERVATIONS
from models.posterior import (
    Inference,
    Posterior,
    bounded,
    divergence,
    drawn,
    for_draws,
    log_density,
    log_normal,
    negative_entropy,
)
from models.types import Batch, Code, Draws, Needs

PRIORS = ("normal", "flow")


@dataclass(frozen=True)
class VAEConfig:
    """channels, height, width: of a picture. widths: channels at each level, each half as large as the one before.
    unshuffle: side of the pixel squares folded into channels first. blocks: residual blocks a level, one more at the
    coarsest. latent: length of the code. hidden: width of the one hidden layer of an encoder and a decoder that are
    fully connected, as the paper's are; 0 for convolutions of those `widths`. likelihood: `bernoulli` (a pixel's value
    is its chance to be white; for drawings and digits), `gaussian` (squared error with one learned deviation; for
    anything else) or `logistic` (a chance for each of 256 levels; for colours). prior: `normal`, or `flow`: one of so
    many couplings, their networks of width `coupling_width`."""

    channels: int = 1
    height: int = 28
    width: int = 28
    widths: tuple[int, ...] = (32, 64, 128)
    unshuffle: int = 1
    blocks: int = 1
    latent: int = 32
    hidden: int = 0
    likelihood: str = "bernoulli"
    prior: str = "normal"
    couplings: int = 8
    coupling_width: int = 256


class VAE(nn.Module):
    """Encoder to a Gaussian, decoder from a sample of it.

    A code, as it is drawn, told and moved, lies in the standard normal that the prior is made of: where that is a flow,
    `decode` takes it through the flow to what the decoder knows, and `code` back. So every model is asked alike.

    Sources: Kingma and Welling 2014, "Auto-Encoding Variational Bayes"; for the learned deviation of the squared
    error, Rybkin et al. 2021, "Simple and Effective VAE Training with Calibrated Decoders"; for the flow, `flow`.
    """

    prior = None
    """Codes are drawn from the standard normal."""

    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        self.observation = OBSERVATIONS[config.likelihood]
        size, planes = (config.height, config.width), config.channels * self.observation.planes
        if config.hidden:
            self.encoder = flat_encoder(config.channels, size, config.hidden, 2 * config.latent)
            self.decoder = flat_decoder(planes, size, config.hidden, config.latent)
        else:
            shape = {"blocks": config.blocks, "unshuffle": config.unshuffle}
            self.encoder = Encoder(config.channels, size, config.widths, 2 * config.latent, **shape)
            self.decoder = Decoder(planes, size, config.widths, config.latent, **shape)
        flows = config.prior == "flow"
        self.flow = Flow(config.latent, config.couplings, config.coupling_width) if flows else None
        self.log_deviation = nn.Parameter(torch.zeros(()))

    @property
    def needs(self) -> Needs:
        return Needs(self.config.channels, size=(self.config.height, self.config.width), latent=self.config.latent)

    @property
    def groups(self) -> list[str]:
        """What the rate is counted in: each number of the code, or all of them where a flow joins them."""
        return ["all, through the flow"] if self.flow else [str(number) for number in range(self.config.latent)]

    def posterior(self, x: Batch) -> Posterior:
        """q(z | x) for each picture; the log variance is bounded smoothly."""
        return bounded(*self.encoder(x).chunk(2, dim=1))

    def observe(self, x: Batch) -> Posterior:
        """What `infer` is to know of each picture: all of it is in its posterior."""
        return self.posterior(x)

    def code(self, x: Batch) -> Code:
        """The code of each picture that stands for its posterior: that of the mean."""
        mean = self.posterior(x).mean
        return self.flow(mean)[0] if self.flow else mean

    def reconstruct(self, x: Batch) -> Batch:
        """The expected picture of each picture's code."""
        return self.observation.expected(self.decoder(self.posterior(x).mean))

    def decode(self, code: Code) -> Batch:
        """The expected picture of each code, in [0, 1]."""
        return self.observation.expected(self.decoder(self.flow.inverse(code) if self.flow else code))

    def forward(self, x: Batch, noise: Draws) -> Inference:
        """q(z | x), and p(x | z) for the z drawn with that noise, `b k` standard normal; `n b k` in one for n draws of
        each picture's code."""
        return self.infer(Posterior(*(for_draws(told, noise) for told in self.observe(x))), noise)

    def infer(self, posterior: Posterior, noise: Code) -> Inference:
        """The same from what `observe` gave, so that many codes can be drawn of one picture."""
        z = drawn(posterior, noise)
        log_prior, rate = self.weighed(posterior, z)
        return Inference(self.decoder(z), self.log_deviation, rate, log_prior - log_density(posterior, noise))

    def weighed(self, posterior: Posterior, z: Code) -> tuple[torch.Tensor, torch.Tensor]:
        """log p(z), `b`, without its constant, and the rate, `b g`."""
        if not self.flow:
            return log_normal(z), divergence(posterior)
        # In 32 bits while the rest learns in 16: errors of the determinant would be paid in nats.
        with torch.autocast(z.device.type, enabled=False):
            base, log_determinant = self.flow(z)
        log_prior = log_normal(base) + log_determinant
        return log_prior, (negative_entropy(posterior) - log_prior)[:, None]
