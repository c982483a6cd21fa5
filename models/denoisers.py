"""What noise is in a photograph, and which denoiser is asked for it where none is named.

White noise is loud in the finest detail, where `models.noise` measures it; what a camera develops and compresses has
next to none there, and `models.grain` judges it. On 17 photographs that were held out white noise of 4 grey levels was
found at 3.8 to 4.1, of a camera's noise of up to 41 no more than 3.2 looked white and mostly under a half;
docs/photo.md has what each of the two denoisers makes of such pictures.
"""

from typing import NamedTuple

import numpy as np

from models import grain, noise
from models.catalog import Catalog, Entry, UnknownModel

WHITE, CAMERA = "photo", "photo-real"
"""Trained on white noise alone, and on a camera's as well."""
WHITE_FROM = 3.5
"""Grey levels: what looks white from here on is white noise."""


class Noise(NamedTuple):
    """Of a picture: its level in 8-bit grey levels, and whether it is white."""

    level: float
    white: bool


def found(pixels: np.ndarray, alpha: np.ndarray | None = None) -> Noise:
    """The noise in a picture, `h w c`, uint8 or uint16; what `alpha`, `h w`, hides is not looked at."""
    level = noise.estimate(pixels, alpha)
    return Noise(level, True) if level >= WHITE_FROM else Noise(grain.estimate(pixels, alpha), False)


def suited(catalog: Catalog, there: Noise) -> Entry:
    """The denoiser for a picture with such noise: the one for white noise where it is white, or where there is no
    other. Raises UnknownModel."""
    try:
        camera = catalog.find(CAMERA)
    except UnknownModel:
        return catalog.find(WHITE)
    # One's own by that name may be for anything; the recipe is called as the model that ships.
    return camera if not there.white and camera.description.recipe == CAMERA else catalog.find(WHITE)
