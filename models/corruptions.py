"""Clean batch -> spoilt batch. Every corruption is a value; calling it with a generator spoils a batch.

Noise is drawn on the generator's device. Levels in the configurations are 8-bit grey levels, as people say them;
pixels are in [0, 1].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models.colour import luma
from models.types import GREY_LEVELS, Batch, Level


class Spoilt(NamedTuple):
    """A spoilt batch, and each picture's noise level (0 where the corruption is not noise of one level).

    `clean` is what is to be restored where that is not the clean batch itself: a camera changes more than noise.
    """

    pixels: Batch
    level: Level
    clean: Batch | None = None

    def target(self, clean: Batch) -> Batch:
        """What is to be restored, `clean` being the batch that was spoilt."""
        return clean if self.clean is None else self.clean


Corruption = Callable[[Batch, Generator], Spoilt]


def judged(level: Level, generator: Generator, misjudged: float) -> Level:
    """A level as a user or an estimator tells it: its logarithm is off by a deviation of `misjudged`."""
    return level * torch.exp(misjudged * normal(generator, level.shape))


@dataclass(frozen=True)
class Nothing:
    """Leaves the pictures as they are.

    Each is told a level all the same, up to `told` grey levels, so that what is to be told by it learns to leave what
    is clean. `reduced` is the share of those at half their size, as pictures on the web are, crisper than any camera's;
    four times over, mirrored, to be as large as the others.
    """

    told: float = 0.0
    reduced: float = 0.0

    def __call__(self, clean: Batch, generator: Generator) -> Spoilt:
        told = self.told / GREY_LEVELS * uniform(generator, len(clean)) if self.told else clean.new_zeros(len(clean))
        if not self.reduced:
            return Spoilt(clean, told)
        mine = uniform(generator, len(clean)) < self.reduced
        left = torch.where(mine.view(-1, 1, 1, 1), four_times(clean), clean)
        return Spoilt(left, told, left)


@dataclass(frozen=True)
class Binarized:
    """Each value black or white, its own value being its chance to be white; that draw is what is to be restored too.

    Drawn anew at each step it is the dynamic binarization that likelihoods of digits are measured on (Salakhutdinov and
    Murray 2008, "On the Quantitative Analysis of Deep Belief Networks").
    """

    def __call__(self, clean: Batch, generator: Generator) -> Spoilt:
        drawn = (uniform(generator, *clean.shape) < clean).float()
        return Spoilt(drawn, clean.new_zeros(len(clean)), drawn)


@dataclass(frozen=True)
class Gaussian:
    """White Gaussian noise, its level drawn for each picture between `low` and `high` grey levels.

    `power` above 1 draws low levels more often: level = low + (high - low) u^power, u uniform. With `coded` the result
    is what an upload is: clipped to [0, 1] and rounded to 8 bits. A picture without colour gets noise without colour.
    """

    low: float = 0.0
    high: float = 100.0
    power: float = 1.0
    coded: bool = True

    def __call__(self, clean: Batch, generator: Generator) -> Spoilt:
        u = uniform(generator, len(clean))
        level = (self.low + (self.high - self.low) * u**self.power) / GREY_LEVELS
        noise = as_coloured_as(clean, normal(generator, clean.shape))
        noisy = clean + level.view(-1, 1, 1, 1) * noise
        return Spoilt(coded(noisy) if self.coded else noisy, level)


@dataclass(frozen=True)
class Poisson:
    """Shot noise: each value becomes a count of photons over the count that makes white, drawn log-uniformly between
    `dim` and `bright`. The level told is that of mid-grey: sqrt(0.5 / photons)."""

    dim: float = 20.0
    bright: float = 2000.0

    def __call__(self, clean: Batch, generator: Generator) -> Spoilt:
        low, high = torch.tensor([self.dim, self.bright]).log()
        photons = torch.exp(low + (high - low) * uniform(generator, len(clean)))
        counts = torch.poisson(clean * photons.view(-1, 1, 1, 1), generator=generator)
        return Spoilt(coded(counts / photons.view(-1, 1, 1, 1)), torch.sqrt(0.5 / photons))


@dataclass(frozen=True)
class Dropout:
    """Pixels set to 0, all channels of one at once; the share is drawn for each picture between `low` and `high`."""

    low: float = 0.5
    high: float = 0.5

    def __call__(self, clean: Batch, generator: Generator) -> Spoilt:
        share = self.low + (self.high - self.low) * uniform(generator, len(clean))
        kept = uniform(generator, len(clean), 1, *clean.shape[2:]) >= share.view(-1, 1, 1, 1)
        return Spoilt(clean * kept, clean.new_zeros(len(clean)))


@dataclass(frozen=True)
class SaltPepper:
    """Pixels set to black or white with equal chance; the share is drawn for each picture up to `high`."""

    high: float = 0.3

    def __call__(self, clean: Batch, generator: Generator) -> Spoilt:
        share = self.high * uniform(generator, len(clean)).view(-1, 1, 1, 1)
        u = uniform(generator, len(clean), 1, *clean.shape[2:])
        spoilt = torch.where(u < share / 2, 0.0, torch.where(u < share, 1.0, clean))
        return Spoilt(spoilt, clean.new_zeros(len(clean)))


@dataclass(frozen=True)
class Grey:
    """Takes the colour away: what is left is lightness, in one channel."""

    def __call__(self, clean: Batch, generator: Generator) -> Spoilt:
        return Spoilt(luma(clean), clean.new_zeros(len(clean)))


@dataclass(frozen=True)
class OneOf:
    """Each picture is spoilt by one of several corruptions, drawn with equal chance."""

    choices: tuple[Corruption, ...]

    def __call__(self, clean: Batch, generator: Generator) -> Spoilt:
        which = torch.randint(len(self.choices), (len(clean),), generator=generator, device=generator.device)
        return spoilt_by(self.choices, which, clean, generator)


@dataclass(frozen=True)
class Mixture:
    """Each picture is spoilt by one of several corruptions, drawn with chances of their own (in any unit)."""

    choices: tuple[Corruption, ...]
    chances: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.choices) != len(self.chances):
            raise ValueError(f"{len(self.choices)} corruptions can't have {len(self.chances)} chances")

    def __call__(self, clean: Batch, generator: Generator) -> Spoilt:
        chances = torch.tensor(self.chances, dtype=torch.float, device=generator.device)
        which = torch.multinomial(chances, len(clean), replacement=True, generator=generator)
        return spoilt_by(self.choices, which, clean, generator)


def spoilt_by(choices: tuple[Corruption, ...], which: Tensor, clean: Batch, generator: Generator) -> Spoilt:
    """Each picture spoilt by the corruption whose number `which`, `b`, has for it."""
    pixels, level, target = torch.empty_like(clean), clean.new_empty(len(clean)), clean.clone()
    for number, corruption in enumerate(choices):
        mine = which == number
        if mine.any():
            spoilt = corruption(clean[mine], generator)
            pixels[mine], level[mine], target[mine] = spoilt.pixels, spoilt.level, spoilt.target(clean[mine])
    return Spoilt(pixels, level, target)


def coded(pixels: Batch) -> Batch:
    """What 8 bits keep of pixels in [0, 1]: clipped and rounded to whole grey levels."""
    return torch.round(pixels.clamp(0, 1) * GREY_LEVELS) / GREY_LEVELS


def as_coloured_as(clean: Batch, noise: Batch) -> Batch:
    """The noise, with its first channel in all channels where the picture has no colour, as a grey upload has it."""
    return torch.where(without_colour(clean), noise[:, :1], noise)


def without_colour(clean: Batch) -> Tensor:
    """Whether all channels of a picture are equal, `b 1 1 1`."""
    return (clean.amax(1) == clean.amin(1)).flatten(1).all(1).view(-1, 1, 1, 1)


def four_times(pixels: Batch) -> Batch:
    """At half the size, beside and above its mirror images."""
    height, width = pixels.shape[2:]
    half = scaled(pixels, [-(-height // 2), -(-width // 2)])
    beside = torch.cat([half, half.flip(3)], 3)
    return torch.cat([beside, beside.flip(2)], 2)[..., :height, :width]


def scaled(pixels: Tensor, sides: list[int]) -> Tensor:
    """`b c h w` brought to (height, width) by antialiased bicubic filters, as it is if it fits."""
    if list(pixels.shape[2:]) == sides:
        return pixels
    return F.interpolate(pixels, sides, mode="bicubic", antialias=True).clamp(0, 1)


def uniform(generator: Generator, *shape: int) -> Tensor:
    """Uniform numbers in [0, 1) on the generator's device."""
    return torch.rand(*shape, generator=generator, device=generator.device)


def normal(generator: Generator, shape: torch.Size) -> Tensor:
    """Standard normal numbers on the generator's device."""
    return torch.randn(shape, generator=generator, device=generator.device)
