"""The plain autoencoder: dropout and denoising ones differ in what they are trained on, not in shape."""

from dataclasses import dataclass

import torch
from torch import nn

from models.layers import Decoder, Encoder, residuals
from models.mixture import Mixture, fitted
from models.types import Batch, Code, Level, Needs


@dataclass(frozen=True)
class AutoencoderConfig:
    """channels, height, width: of a picture. widths: channels at each level, each half as large as the one before.
    code: length of the code; 0 takes the coarsest level as it is, which loses no sense of place. dropout: share of
    channels (Dropout2d, in convolutions) and of features (Dropout, around the code) dropped while training, in encoder
    and decoder. second_look: channels of a last stage that sees the input again beside what was decoded; 0 for none.
    mixture: Gaussians fitted to the codes when training ends, so that codes can be drawn; 0 for none."""

    channels: int = 1
    height: int = 28
    width: int = 28
    widths: tuple[int, ...] = (32, 64, 128)
    code: int = 256
    dropout: float = 0.0
    second_look: int = 0
    mixture: int = 0

    def __post_init__(self) -> None:
        if self.mixture and not (self.code and not self.second_look):
            raise ValueError("a mixture is of codes that can be decoded: it needs code above 0, and second_look 0")


class Autoencoder(nn.Module):
    """Convolutions to one code vector and back.

    Sources: Vincent et al. 2008, "Extracting and Composing Robust Features with Denoising Autoencoders"; Srivastava et
    al. 2014, "Dropout", and Tompson et al. 2015 for dropping whole channels; for seeing the input again, the symmetric
    skips of Mao et al. 2016, here from the first to the last layer alone.
    """

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        self.config = config
        size = (config.height, config.width)
        self.encoder = Encoder(config.channels, size, config.widths, config.code, config.dropout)
        self.decoder = Decoder(config.channels, size, config.widths, config.code, config.dropout)
        self.second_look = second_look(config.channels, config.second_look) if config.second_look else None
        for name, shape in mixture_shapes(config).items():
            self.register_buffer(name, torch.zeros(shape))

    @property
    def needs(self) -> Needs:
        size = (self.config.height, self.config.width)
        latent = None if self.config.second_look else self.config.code or None
        return Needs(self.config.channels, size=size, latent=latent)

    @property
    def prior(self) -> Mixture | None:
        """What codes are drawn from; None where nothing was fitted to them."""
        if not self.config.mixture:
            return None
        return Mixture(*(self.get_buffer(name).cpu().numpy() for name in mixture_shapes(self.config)))

    @torch.no_grad()
    def fit_prior(self, codes: Code, seed: int) -> None:
        """Fits the mixture to the codes of the pictures learned from."""
        mixture = fitted(codes.cpu().numpy(), self.config.mixture, seed)
        for name, values in zip(mixture_shapes(self.config), mixture, strict=True):
            self.get_buffer(name).copy_(torch.from_numpy(values))

    def code(self, x: Batch) -> Code:
        """The code of each picture: `b c h w` -> `b k`."""
        return self.encoder(x)

    def decode(self, code: Code) -> Batch:
        """The picture of each code, about [0, 1], not clamped; there is nothing to take a second look at."""
        return self.decoder(code)

    def reconstruct(self, x: Batch) -> Batch:
        """Each picture through its code and back."""
        return self(x)

    def forward(self, noisy: Batch, level: Level | None = None) -> Batch:
        """The picture rebuilt, about [0, 1], not clamped; `level` is taken so that all restorers are called alike."""
        return self.rebuilt(self.code(noisy), noisy)

    def rebuilt(self, code: Code, noisy: Batch) -> Batch:
        """The picture of a code, corrected by a look at what was encoded if the network takes one."""
        decoded = self.decoder(code)
        if self.second_look is None:
            return decoded
        return decoded + self.second_look(torch.cat([decoded, noisy], 1))


def mixture_shapes(config: AutoencoderConfig) -> dict[str, tuple[int, ...]]:
    """The mixture's numbers among the network's tensors, none where there is no mixture."""
    if not config.mixture:
        return {}
    shape = config.mixture, config.code
    return {"prior_weights": shape[:1], "prior_means": shape, "prior_factors": (*shape, config.code)}


def second_look(channels: int, width: int) -> nn.Sequential:
    """Decoded beside given, `b 2c h w`, to a correction, `b c h w`: what was not spoilt needs no code."""
    first, last = nn.Conv2d(2 * channels, width, 3, padding=1), nn.Conv2d(width, channels, 3, padding=1)
    return nn.Sequential(first, residuals(width, 1, activation=nn.SiLU), nn.SiLU(), last)
