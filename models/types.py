"""The words that the whole package speaks: shapes of tensors, and what a network says of itself.

Inside the program pixels are floats in [0, 1]; 0 to 255 (or 65,535) exists only in `images`, `restore` and at the
engine's door. Shapes are checked while the tests run (jaxtyping with beartype); a bare training machine may lack
jaxtyping, and there the words stand for plain tensors.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    Batch = Tensor
    Chroma = Tensor
    Code = Tensor
    Draws = Tensor
    Level = Tensor
    Lightness = Tensor
    Mosaic = Tensor
    Picture8 = Tensor
else:
    try:
        from jaxtyping import Float, UInt8
    except ModuleNotFoundError:
        Batch = Chroma = Code = Draws = Level = Lightness = Mosaic = Picture8 = Tensor
    else:
        Batch = Float[Tensor, "b c h w"]
        """Pictures, values in [0, 1] unless a docstring says otherwise."""
        Chroma = Float[Tensor, "b 2 h w"]
        """Cb and Cr, each in [-0.5, 0.5]."""
        Code = Float[Tensor, "b k"]
        """Latent vectors."""
        Draws = Float[Tensor, "n k"]
        """What latent vectors are drawn with: standard normal, one or several for each picture beside them."""
        Level = Float[Tensor, " b"]
        """Standard deviation of each picture's noise, on the scale of [0, 1] pixels (grey levels / 255)."""
        Lightness = Float[Tensor, "b 1 h w"]
        """Pictures without colour, values in [0, 1]."""
        Mosaic = Float[Tensor, "b 1 h w"]
        """One value a pixel, of the colour that a camera's sensor sees there."""
        Picture8 = UInt8[Tensor, "_c _h _w"]
        """One picture as training data keeps it, `c h w`; others beside it may have other sizes."""

GREY_LEVELS = 255.0
"""What people and APIs state noise in: 8-bit grey levels, whatever the depth."""

Pixels = np.ndarray
"""One picture outside the networks: `h w c`, uint8 or uint16."""


@dataclass(frozen=True)
class Needs:
    """What a network needs of those who call it; they read this instead of asking its name.

    channels: of a picture, in and out: 1 grey, 3 RGB, 4 RGB multiplied by alpha, and alpha.
    multiple: both sides of what it is given must divide by this.
    halo: pixels on each side of a tile that are computed and thrown away; 0 where it is not cut.
    halos: halos that are enough where the noise level is low, each with the level, in 8-bit grey levels, up to which it
    is; in the order of these.
    level: whether it must be told the noise level.
    size: (height, width) where it takes that one size alone; None where it takes any.
    latent: length of its code; None where it has none that can be decoded.
    whole: side in pixels of a square as large as the picture that it is shown, because it must see all of one at once;
    0 where it doesn't, or takes one size alone.
    low_precision: whether it may run in bf16, because what it computes is small beside what it is added to.
    eight_bits: convolutions that may run in 8 bits, by name, and the size at which what each is given is cut.
    """

    channels: int
    multiple: int = 1
    halo: int = 0
    halos: tuple[tuple[float, int], ...] = ()
    level: bool = False
    size: tuple[int, int] | None = None
    latent: int | None = None
    whole: int = 0
    low_precision: bool = False
    eight_bits: tuple[tuple[str, float], ...] = ()


@runtime_checkable
class Network(Protocol):
    """What every architecture offers: a statement of needs, and a forward pass."""

    @property
    def needs(self) -> Needs: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


@runtime_checkable
class Restorer(Network, Protocol):
    """Maps pictures to pictures of the same size: spoilt to clean, or to their reconstruction."""

    def __call__(self, noisy: Batch, level: Level) -> Batch: ...


@runtime_checkable
class Sampler(Network, Protocol):
    """Draws pictures: a code from the prior, decoded to pixels. `prior` is None where that is the standard normal."""

    @property
    def prior(self) -> Any: ...

    def decode(self, code: Code) -> Batch: ...


@runtime_checkable
class Rebuilder(Network, Protocol):
    """Knows a picture by its code: what is lost on the way there and back is what it has not learned."""

    def code(self, x: Batch) -> Code: ...

    def reconstruct(self, x: Batch) -> Batch: ...
