"""The table of recipes: architecture x corruption x objective, how pictures are looked at, and what the result is for.

A recipe is general: size and channels come from the data. A preset is a recipe with the settings that a shipped
model was trained with.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass, field, fields, replace
from typing import Any

from torch import nn

from models.autoencoder import Autoencoder, AutoencoderConfig
from models.corruptions import Corruption, Dropout, Gaussian, Nothing, OneOf
from models.objectives import LIKELIHOODS, Elbo, Objective, Restoration
from models.unet import UNet, UNetConfig
from models.vae import VAE, VAEConfig


@dataclass(frozen=True)
class Architecture:
    """A network and the frozen dataclass that configures it."""

    network: Callable[[Any], nn.Module]
    config: type


ARCHITECTURES: dict[str, Architecture] = {
    "unet": Architecture(UNet, UNetConfig),
    "autoencoder": Architecture(Autoencoder, AutoencoderConfig),
    "vae": Architecture(VAE, VAEConfig),
}


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`, a whole one unless `parts`; where `many` is not 0, a list of up to so many."""

    low: float
    high: float
    parts: bool = False
    many: int = 0

    def __contains__(self, value: Any) -> bool:
        if not self.many:
            return self.holds(value)
        return isinstance(value, tuple) and 1 <= len(value) <= self.many and all(map(self.holds, value))

    def holds(self, one: Any) -> bool:
        # By type, because True is an int to isinstance.
        return type(one) in ((int, float) if self.parts else (int,)) and self.low <= one <= self.high

    def __str__(self) -> str:
        kind = "number" if self.parts else "whole number"
        told = f"a list of 1 to {self.many} {kind}s" if self.many else f"a {kind}"
        return f"{told} from {self.low:g} to {self.high:g}"


SETTINGS: dict[str, Container[Any]] = {
    "channels": Number(1, 4),
    "height": Number(1, 4096),
    "width": Number(1, 4096),
    "widths": Number(1, 100_000, many=8),
    "blocks": Number(0, 64),
    "unshuffle": Number(1, 16),
    "halo": Number(0, 4096),
    "code": Number(0, 100_000),
    "latent": Number(1, 100_000),
    "second_look": Number(0, 100_000),
    "dropout": Number(0, 0.99, parts=True),
    "likelihood": tuple(LIKELIHOODS),
}
"""What each setting of a network may be. The bounds are wide: they keep out what can't be computed at all."""


def configured(architecture: str, values: dict[str, Any]) -> Any:
    """The architecture's config from plain values, as JSON has them.

    Raises ValueError for a setting that it doesn't have, or a value that the setting can't take.
    """
    known = ARCHITECTURES[architecture].config
    listed = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    for name in listed.keys() & {one.name for one in fields(known)}:
        if listed[name] not in SETTINGS[name]:
            raise ValueError(f"{architecture}: {name} can't be {values[name]!r}; it may be {SETTINGS[name]}")
    try:
        return known(**listed)
    except TypeError as error:
        raise ValueError(f"{architecture}: {str(error).partition('__init__() ')[2] or error}") from error


def built(architecture: str, config: Any) -> nn.Module:
    """A network of that architecture, freshly initialised."""
    return ARCHITECTURES[architecture].network(config)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: steps of `batch` pictures or crops, learning rate warmed up over `warm_up` steps and then
    lowered to nothing along a cosine, AdamW's weight decay, and the decay of the averaged weights."""

    steps: int = 20_000
    batch: int = 128
    rate: float = 1e-3
    warm_up: int = 500
    weight_decay: float = 1e-4
    averaging: float = 0.999
    clip: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """One row of the table.

    asks: what the trained model can be asked for, by the names of the service's routes.
    crop: side of random crops in pixels; 0 where whole pictures of one size are taken.
    size: side that whole pictures are brought to where the set has no common size of its own.
    grey: share of crops whose colour is taken away.
    """

    architecture: str
    asks: tuple[str, ...]
    corruption: Corruption
    objective: Objective
    config: dict[str, Any] = field(default_factory=dict)
    crop: int = 0
    size: int = 64
    grey: float = 0.0
    schedule: Schedule = field(default_factory=Schedule)


PHOTO = Recipe(
    "unet",
    ("denoise",),
    Gaussian(0, 100, power=1.5),
    Restoration("l1"),
    crop=128,
    grey=0.1,
    schedule=Schedule(steps=100_000, batch=8, warm_up=300, weight_decay=0.0),
)
DENOISE = Recipe(
    "autoencoder",
    ("denoise",),
    OneOf((Dropout(0.5, 0.5), Gaussian(0, 100))),
    Restoration("l2"),
    config={"code": 0, "second_look": 32},
)
VAE_BERNOULLI = Recipe("vae", ("sample",), Nothing(), Elbo("bernoulli"), config={"likelihood": "bernoulli"})
VAE_GAUSSIAN = replace(VAE_BERNOULLI, objective=Elbo("gaussian"), config={"likelihood": "gaussian"})

SMALL: dict[str, Any] = {"widths": [16, 32, 64]}
"""Enough for pictures of 28 px."""

RECIPES: dict[str, Recipe] = {
    "photo": PHOTO,
    "denoise": DENOISE,
    "dropout": replace(DENOISE, asks=("reconstruct",), corruption=Nothing(), config={"dropout": 0.3}),
    "vae": VAE_GAUSSIAN,
    "digits-denoise": replace(DENOISE, config=DENOISE.config | SMALL, schedule=Schedule(steps=3_600)),
    "digits-vae": replace(VAE_BERNOULLI, config=VAE_BERNOULLI.config | SMALL, schedule=Schedule(steps=8_000)),
}
