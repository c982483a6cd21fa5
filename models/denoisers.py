"""What noise is in a photograph, and which denoiser is asked for it where none is named.

White noise is loud in the finest detail, where `models.noise` measures it; what a camera develops and compresses has
little there, and `models.grain` judges it. So noise is white where the second finds hardly more than the first: on 17
photographs that were held out at most 1.2 times as much of white noise of 4 grey levels or more, at most 1.8 times of
less, but 5 times and more of a camera's where it finds any. docs/photo.md has what each of the two denoisers makes of
such pictures.
"""

from typing import NamedTuple

import numpy as np

from models import grain, noise
from models.catalog import Catalog, Entry, UnknownModel

WHITE, CAMERA = "photo", "photo-real"
"""Trained on white noise alone, and on a camera's as well."""
FAINTEST, PLAIN, LOUD = 1.5, 3.5, 8.0
"""Grey levels in the finest detail: with less nothing is taken for white noise; with less than the second only what
`models.grain` finds noise in as well, as it may be texture; with the last it is, whatever else there may be."""
COARSER = 1.7
"""What comes to more than so many times the noise in the finest detail is a camera's."""
TOLD = 1.0
"""Grey levels: the least that is told of a photograph. Cameras leave noise beside detail, where neither finds it; a
clean photograph told so much comes back at 46 dB or more (docs/photo.md)."""


class Noise(NamedTuple):
    """Of a picture: its level in 8-bit grey levels, and whether it is white."""

    level: float
    white: bool


def found(pixels: np.ndarray, alpha: np.ndarray | None = None) -> Noise:
    """The noise in a picture, `h w c`, uint8 or uint16; what `alpha`, `h w`, hides is not looked at. What is drawn has
    none; of a photograph it is at least TOLD."""
    fine = noise.estimate(pixels, alpha)
    if fine >= LOUD:
        return Noise(fine, True)
    whole = grain.estimate(pixels, alpha)
    if fine >= (FAINTEST if whole else PLAIN) and (whole or 0.0) <= COARSER * fine:
        return Noise(fine, True)
    return Noise(0.0 if whole is None else max(whole, TOLD), False)


def suited(catalog: Catalog, there: Noise) -> Entry:
    """The denoiser for a picture with such noise: the one for white noise where it is white, or where there is no
    other. Raises UnknownModel."""
    try:
        camera = catalog.find(CAMERA)
    except UnknownModel:
        return catalog.find(WHITE)
    # One's own by that name may be for anything; the recipe is called as the model that ships.
    return camera if not there.white and camera.description.recipe == CAMERA else catalog.find(WHITE)
