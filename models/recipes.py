"""The table of recipes: architecture x corruption x objective, how pictures are looked at, and what the result is for.

A recipe is general: size and channels come from the data. A preset is a recipe with the settings that a shipped
model was trained with.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass, field, fields, replace
from typing import Any

from torch import nn

from models.autoencoder import Autoencoder, AutoencoderConfig
from models.camera import Camera
from models.colorizer import Colorizer, ColorizerConfig
from models.corruptions import Binarized, Corruption, Dropout, Gaussian, Grey, Mixture, Nothing, OneOf
from models.hierarchy import Hierarchy, HierarchyConfig
from models.objectives import DISTANCES, Elbo, Objective, Restoration, Sparsity, Tint
from models.observation import OBSERVATIONS
from models.sparse import SparseAutoencoder, SparseConfig
from models.unet import UNet, UNetConfig
from models.vae import PRIORS, VAE, VAEConfig


@dataclass(frozen=True)
class Architecture:
    """A network and the frozen dataclass that configures it."""

    network: Callable[[Any], nn.Module]
    config: type


ARCHITECTURES: dict[str, Architecture] = {
    "unet": Architecture(UNet, UNetConfig),
    "autoencoder": Architecture(Autoencoder, AutoencoderConfig),
    "sparse": Architecture(SparseAutoencoder, SparseConfig),
    "vae": Architecture(VAE, VAEConfig),
    "hierarchy": Architecture(Hierarchy, HierarchyConfig),
    "colorizer": Architecture(Colorizer, ColorizerConfig),
}


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`, a whole one unless `parts`; where `many` is not 0, a list of `few` to so many."""

    low: float
    high: float
    parts: bool = False
    many: int = 0
    few: int = 1

    def __contains__(self, value: Any) -> bool:
        if not self.many:
            return self.holds(value)
        return isinstance(value, tuple) and self.few <= len(value) <= self.many and all(map(self.holds, value))

    def holds(self, one: Any) -> bool:
        # By type, because True is an int to isinstance.
        return type(one) in ((int, float) if self.parts else (int,)) and self.low <= one <= self.high

    def __str__(self) -> str:
        kind = "number" if self.parts else "whole number"
        told = f"a list of {self.few} to {self.many} {kind}s" if self.many else f"a {kind}"
        return f"{told} from {self.low:g} to {self.high:g}"


SETTINGS: dict[str, Container[Any]] = {
    "channels": Number(1, 4),
    "height": Number(1, 4096),
    "width": Number(1, 4096),
    "widths": Number(1, 100_000, many=8),
    "blocks": Number(0, 64),
    "unshuffle": Number(1, 16),
    "halo": Number(0, 4096),
    "halos": Number(0, 4096, many=8, few=0),
    "code": Number(0, 100_000),
    "latent": Number(1, 100_000),
    "second_look": Number(0, 100_000),
    "dropout": Number(0, 0.99, parts=True),
    "hidden": Number(0, 100_000),
    "mixture": Number(0, 1_000),
    "target": Number(0, 0.99, parts=True),
    "side": Number(1, 4096),
    "bins": Number(2, 100),
    "temperature": Number(0.01, 1, parts=True),
    "likelihood": tuple(OBSERVATIONS),
    "prior": PRIORS,
    "couplings": Number(1, 64),
    "coupling_width": Number(1, 100_000),
    "layers": Number(0, 64, many=8),
    "planes": Number(1, 10_000, many=8),
    "top": Number(1, 100_000),
    "reaches": Number(0, 1e9, parts=True, many=1_000, few=0),
}
"""What each setting of a network may be. The bounds are wide: they keep out what can't be computed at all."""

AIMS: dict[str, Container[Any]] = {
    "beta": Number(0, 1_000, parts=True),
    "free_bits": Number(0, 1_000, parts=True),
    "warm_up": Number(0, 10_000_000),
    "draws": Number(1, 1_000),
    "emphasis": Number(0, 1_000, parts=True),
    "balance": Number(0, 1_000, parts=True),
    "distance": tuple(DISTANCES),
}
"""What each setting of an objective may be; a likelihood belongs to the network that was made for it."""


def asks_of(recipe: "Recipe", network: Any) -> tuple[str, ...]:
    """What a network of the recipe can be asked: some codes can't be decoded, some can be drawn as well."""
    asks = tuple(ask for ask in recipe.asks if ask != "decode" or network.needs.latent)
    return ("sample", *asks) if getattr(network.config, "mixture", 0) else asks


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


def aimed(objective: Any, values: dict[str, Any]) -> Objective:
    """The objective with some of its settings changed.

    Raises ValueError for a setting that it doesn't have, or a value that the setting can't take.
    """
    kind, known = type(objective).__name__, {one.name for one in fields(objective)} & AIMS.keys()
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"{kind} has no setting {name!r}; it has: {', '.join(sorted(known)) or 'none'}")
        if value not in AIMS[name]:
            raise ValueError(f"{kind}: {name} can't be {value!r}; it may be {AIMS[name]}")
    return replace(objective, **values)


def built(architecture: str, config: Any) -> nn.Module:
    """A network of that architecture, freshly initialised."""
    return ARCHITECTURES[architecture].network(config)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: steps of `batch` pictures or crops, learning rate warmed up over `warm_up` steps and then
    lowered to nothing along a cosine, AdamW's weight decay, and the decay of the averaged weights. Every `recycle`
    steps, until half of the run is done, units that have fallen silent are given new weights; 0 leaves them so. With
    `muon` AdamW has the first and the last layer's weights, a flow's and what is no matrix, and Muon the rest."""

    steps: int = 20_000
    batch: int = 128
    rate: float = 1e-3
    warm_up: int = 500
    weight_decay: float = 1e-4
    averaging: float = 0.999
    clip: float = 1.0
    recycle: int = 0
    muon: bool = False


@dataclass(frozen=True)
class Recipe:
    """One row of the table.

    asks: what the trained model can be asked for, by the names of the service's routes.
    features: those that pictures drawn are held against real ones in; none where what they show is not known.
    crop: side of random crops in pixels; 0 where whole pictures of one size are taken.
    size: side that whole pictures are brought to where the set has no common size of its own.
    transparent: whether what is transparent stays so, a fourth channel, rather than shows white. mirrored: whether
    whole pictures are shown left to right and right to left.
    grey: share of crops whose colour is taken away. framed: short side, in crops, that pictures are brought to before
    crops are cut, which then are nearly all of them and stay upright; 0 cuts, turns and mirrors them as they are.
    """

    architecture: str
    asks: tuple[str, ...]
    corruption: Corruption
    objective: Objective
    config: dict[str, Any] = field(default_factory=dict)
    features: str = ""
    crop: int = 0
    size: int = 64
    transparent: bool = False
    mirrored: bool = False
    grey: float = 0.0
    framed: float = 0.0
    schedule: Schedule = field(default_factory=Schedule)


REBUILT = ("reconstruct", "encode", "decode")
"""What a network can be asked that has a code for each picture."""
DRAWN = ("sample", *REBUILT, "interpolate", "traverse")
"""And what one can be asked whose codes have a prior that reaches everywhere."""

PHOTO = Recipe(
    "unet",
    ("denoise",),
    Gaussian(0, 100, power=1.5),
    Restoration("relative", balance=0.2),
    crop=128,
    grey=0.1,
    schedule=Schedule(steps=100_000, batch=8, warm_up=300, weight_decay=0.0, recycle=500, muon=True),
)
CAMERAS = Mixture(
    (
        Gaussian(0, 100, power=1.5),
        Camera(enlarged=0.5, misjudged=0.5),
        Camera(enlarged=0.6, calmed=1.0, retouched=0.8, misjudged=0.5),
        Nothing(told=3.0, reduced=0.5),
    ),
    (3, 10, 16, 7),
)
"""White noise, a camera's, a camera's that calms it, and none."""
DENOISE = Recipe(
    "autoencoder",
    ("denoise",),
    OneOf((Dropout(0.5, 0.5), Dropout(0.0, 0.8), Gaussian(0, 100))),
    Restoration("l2"),
    config={"code": 0, "second_look": 32},
)
DROPOUT = replace(DENOISE, asks=REBUILT, corruption=Nothing(), config={"code": 128, "dropout": 0.3, "mixture": 10})
SPARSE = Recipe("sparse", REBUILT, Nothing(), Sparsity("l2"))
COLORIZE = Recipe(
    "colorizer",
    ("colorize",),
    Grey(),
    Tint(emphasis=2.0),
    crop=224,
    framed=1.4,
    schedule=Schedule(steps=2_000, batch=16, rate=5e-4, warm_up=100, weight_decay=0.05),
)
VAE_GAUSSIAN = Recipe("vae", DRAWN, Nothing(), Elbo("gaussian"), config={"likelihood": "gaussian"})
VAE_LOGISTIC = replace(
    VAE_GAUSSIAN, objective=Elbo("logistic", beta=2.0, warm_up=1_000), config={"likelihood": "logistic"}
)
BINARY = Recipe("vae", DRAWN, Binarized(), Elbo("bernoulli", warm_up=1_000), config={"likelihood": "bernoulli"})
"""For digits and the like, whose likelihood is told of black and white."""

SMALL: dict[str, Any] = {"widths": [16, 32, 64]}
"""Enough for pictures of 28 px."""
VECTOR: dict[str, Any] = {"widths": [32, 64], "unshuffle": 2, "latent": 40, "prior": "flow"}
"""For a likelihood of 28 px that stands beside the literature's, with one vector."""
LADDER: dict[str, Any] = {"widths": [64, 64], "layers": [2, 4], "planes": [4, 8]}
"""And with layers of latents."""
LARGE: dict[str, Any] = {"widths": [48, 96, 160, 160], "unshuffle": 2, "latent": 64, "prior": "flow"}
"""For drawings of 64 px in colour."""

FASHION = replace(BINARY, config=BINARY.config | VECTOR, features="fashion", schedule=Schedule(steps=30_000))
"""Measured by its likelihood. `fashion-fine-vae` draws with more detail: its codes are longer, cost less, and are of
pictures in grey, as those of black and white would keep the specks of the draw."""

RECIPES: dict[str, Recipe] = {
    "photo": PHOTO,
    "photo-real": replace(PHOTO, corruption=CAMERAS, objective=Restoration("decibels")),
    "denoise": DENOISE,
    "dropout": DROPOUT,
    "sparse": SPARSE,
    "colorize": COLORIZE,
    "vae": VAE_GAUSSIAN,
    "digits-denoise": replace(DENOISE, config=DENOISE.config | SMALL, schedule=Schedule(steps=3_600)),
    "digits-dropout": replace(DROPOUT, config=DROPOUT.config | SMALL | {"code": 64}, schedule=Schedule(steps=8_000)),
    "digits-sparse": replace(SPARSE, config=SMALL, schedule=Schedule(steps=8_000)),
    "digits-vae": replace(BINARY, config=BINARY.config | VECTOR, features="digits", schedule=Schedule(steps=30_000)),
    "digits-hvae": replace(BINARY, architecture="hierarchy", config=BINARY.config | LADDER, features="digits"),
    "digits-mlp-vae": replace(BINARY, config=BINARY.config | {"hidden": 400, "latent": 20}, features="digits"),
    "fashion-vae": FASHION,
    "fashion-fine-vae": replace(
        FASHION,
        corruption=Nothing(),
        objective=Elbo("bernoulli", beta=0.025, warm_up=1_000),
        config=FASHION.config | {"latent": 80, "couplings": 14, "coupling_width": 320},
        schedule=Schedule(steps=14_000, rate=2e-3, muon=True),
    ),
    "fashion-hvae": replace(BINARY, architecture="hierarchy", config=BINARY.config | LADDER, features="fashion"),
    "emoji-vae": replace(
        VAE_LOGISTIC,
        config=VAE_LOGISTIC.config | LARGE,
        features="objects",
        transparent=True,
        mirrored=True,
        schedule=Schedule(steps=8_000, batch=64, weight_decay=0.01),
    ),
}
