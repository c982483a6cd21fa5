"""A variational autoencoder with layers of latents from coarse to fine: up from the picture, and back down."""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from models.layers import Residual, folded, grid, padding, residuals, unfolded
from models.observation import OBSERVATIONS
from models.posterior import (
    Inference,
    Posterior,
    bounded,
    divergence,
    drawn,
    for_draws,
    joined,
    log_density,
    log_normal,
)
from models.types import Batch, Code, Draws, Needs


@dataclass(frozen=True)
class HierarchyConfig:
    """channels, height, width: of a picture. widths: channels at each level, the finest first, each half as large as
    the one before. unshuffle: side of the pixel squares folded into channels first. blocks: residual blocks a level on
    the way up. layers: layers of latents at each level. planes: latents of each at one place. top: length of the
    vector above them all. likelihood: as a VAE's."""

    channels: int = 1
    height: int = 28
    width: int = 28
    widths: tuple[int, ...] = (64, 64)
    unshuffle: int = 2
    blocks: int = 2
    layers: tuple[int, ...] = (2, 4)
    planes: tuple[int, ...] = (4, 8)
    top: int = 16
    likelihood: str = "bernoulli"

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.layers) == len(self.planes):
            counts = f"{len(self.widths)}, {len(self.layers)} and {len(self.planes)}"
            raise ValueError(f"widths, layers and planes are told for each level; of these there are {counts}")


class Layer(nn.Module):
    """One layer of latents: what of them the picture's own features tell, and how they change the features below.

    Every latent's prior is N(0, 1). One that is conditioned on the layers above is the same thing told otherwise, since
    a normal's mean and deviation can be moved into what is done with a standard draw of it.
    """

    def __init__(self, width: int, planes: int):
        super().__init__()
        self.planes = planes
        self.posterior = nn.Sequential(
            nn.SiLU(), nn.Conv2d(2 * width, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, 2 * planes, 3, padding=1)
        )
        self.merged = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width + planes, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)
        )

    def observe(self, features: Tensor, seen: Tensor) -> Posterior:
        """q(z | x, the layers above): from the way down, `b c h w`, and the way up, the same or of one picture for all;
        `b k` each."""
        mean, log_variance = self.posterior(torch.cat([features, seen.expand_as(features)], 1)).chunk(2, 1)
        return bounded(mean.flatten(1), log_variance.flatten(1))

    def forward(self, features: Tensor, z: Code) -> Tensor:
        """The features, changed by the latents: `b c h w`."""
        maps = z.unflatten(1, (self.planes, *features.shape[2:])).to(features.dtype)
        return features + self.merged(torch.cat([features, maps], 1))


class Hierarchy(nn.Module):
    """Features from the picture up to one vector, and from the vector down, joined by a layer of latents at each step.

    A code is all latents one after another, the vector first; its prior is the standard normal whatever the layer, so
    that codes are drawn, moved and decoded as those of one vector are.

    Sources: Sonderby et al. 2016, "Ladder Variational Autoencoders"; Kingma et al. 2016, "Improved Variational
    Inference with Inverse Autoregressive Flow", section 4 (the bidirectional way, residual); Child 2021, "Very Deep
    VAEs Generalize Autoregressive Models and Can Outperform Them on Images".
    """

    prior = None
    """Codes are drawn from the standard normal."""

    def __init__(self, config: HierarchyConfig):
        super().__init__()
        self.config = config
        self.observation = OBSERVATIONS[config.likelihood]
        widths, fold, size = config.widths, config.unshuffle**2, (config.height, config.width)
        self.padding = padding(size, len(widths), config.unshuffle)
        coarsest = grid(size, len(widths), config.unshuffle)
        self.grids = [tuple(side << shift for side in coarsest) for shift in range(len(widths) - 1, -1, -1)]
        places = widths[-1] * self.grids[-1][0] * self.grids[-1][1]
        self.head = nn.Conv2d(config.channels * fold, widths[0], 3, padding=1)
        self.up = nn.ModuleList(residuals(width, config.blocks, activation=nn.SiLU) for width in widths)
        self.reduce = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.top = nn.Linear(places, 2 * config.top)
        self.bottom = nn.Linear(config.top, places)
        self.levels = nn.ModuleList(
            nn.ModuleList(Layer(width, planes) for _ in range(layers))
            for width, planes, layers in zip(widths, config.planes, config.layers, strict=True)
        )
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        planes = config.channels * self.observation.planes
        self.tail = nn.Sequential(
            Residual(widths[0], nn.SiLU()), nn.SiLU(), nn.Conv2d(widths[0], planes * fold, 3, padding=1)
        )
        self.log_deviation = nn.Parameter(torch.zeros(()))

    @property
    def sizes(self) -> list[int]:
        """How many numbers of the code each layer has, in the order of the way down."""
        config = self.config
        levels = zip(self.grids, config.planes, config.layers, strict=True)
        return [config.top] + [h * w * c for (h, w), c, count in reversed(list(levels)) for _ in range(count)]

    @property
    def needs(self) -> Needs:
        return Needs(self.config.channels, size=(self.config.height, self.config.width), latent=sum(self.sizes))

    @property
    def groups(self) -> list[str]:
        """What the rate is counted in: the vector, and each layer by its size."""
        config = self.config
        levels = reversed(list(zip(self.grids, config.planes, config.layers, strict=True)))
        return ["vector"] + [f"{c} x {h} x {w}" for (h, w), c, count in levels for _ in range(count)]

    def observe(self, x: Batch) -> list[Tensor]:
        """The way up: features of each level, the finest first."""
        x = self.head(folded(x, self.padding, self.config.unshuffle))
        seen = []
        for level, blocks in enumerate(self.up):
            x = blocks(self.reduce[level - 1](x) if level else x)
            seen.append(x)
        return seen

    def forward(self, x: Batch, noise: Draws) -> Inference:
        """Posteriors and p(x | z) for the z drawn with that noise, `b k` standard normal; `n b k` in one for n draws of
        each picture's code."""
        return self.infer([for_draws(seen, noise) for seen in self.observe(x)], noise)

    def infer(self, seen: list[Tensor], noise: Code) -> Inference:
        """The same from what `observe` gave, so that many codes can be drawn of one picture."""
        output, posteriors = self.descend(noise, seen)
        rate = torch.stack([divergence(posterior).sum(1) for posterior in posteriors], 1)
        whole = joined(posteriors, 1)
        log_ratio = log_normal(drawn(whole, noise)) - log_density(whole, noise)
        return Inference(output, self.log_deviation, rate, log_ratio)

    def code(self, x: Batch) -> Code:
        """The code of each picture that stands for its posterior: each layer's mean, those above being at theirs."""
        return self.posterior(x).mean

    def posterior(self, x: Batch) -> Posterior:
        """q(z | x) of all layers, those above each being at their means."""
        return joined(self.descend(self.silence(x), self.observe(x))[1], 1)

    def reconstruct(self, x: Batch) -> Batch:
        """The expected picture of each picture's code."""
        return self.observation.expected(self.descend(self.silence(x), self.observe(x))[0])

    def decode(self, code: Code) -> Batch:
        """The expected picture of each code, in [0, 1]."""
        return self.observation.expected(self.descend(code)[0])

    def silence(self, x: Batch) -> Code:
        """Noise that leaves every layer at its mean."""
        return x.new_zeros(x.shape[0], sum(self.sizes))

    def descend(self, code: Code, seen: list[Tensor] | None = None) -> tuple[Tensor, list[Posterior]]:
        """The way down: the decoder's output, and each layer's posterior where the picture was `seen`.

        `code` is then the noise that the latents are drawn with, and else the latents themselves.
        """
        parts = iter(code.split(self.sizes, 1))
        posteriors: list[Posterior] = []

        def latents(posterior: Posterior) -> Code:
            posteriors.append(posterior)
            return drawn(posterior, next(parts))

        coarsest = len(self.levels) - 1
        z = latents(self.summary(seen[coarsest], code)) if seen else next(parts)
        features = self.bottom(z).unflatten(1, (-1, *self.grids[coarsest]))
        for level in range(coarsest, -1, -1):
            features = features if level == coarsest else self.enlarge[level](features)
            for layer in cast(list[Layer], self.levels[level]):
                z = latents(layer.observe(features, seen[level])) if seen else next(parts)
                features = layer(features, z)
        return unfolded(self.tail(features), (self.config.height, self.config.width), self.config.unshuffle), posteriors

    def summary(self, seen: Tensor, code: Tensor) -> Posterior:
        """q(z | x) of the vector above all layers, from the coarsest features, for as many draws as there are codes."""
        return bounded(*self.top(seen.flatten(1)).expand(code.shape[0], -1).chunk(2, 1))
