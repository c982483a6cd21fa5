"""Which denoiser of photographs is asked where none is named: told by the level of white noise found in the picture.

What a camera develops and compresses has next to no noise in its finest detail, which is where white noise is measured.
On 17 photographs that were held out white noise of 4 grey levels was found at 3.8 to 4.1, a camera's noise of up to 41
at 3.2 or less and mostly under a half; docs/photo.md has what each of the two makes of such pictures.
"""

from models.catalog import Catalog, Entry, UnknownModel

WHITE, CAMERA = "photo", "photo-real"
"""Trained on white noise alone, and on a camera's as well."""
WHITE_FROM = 3.5
"""Grey levels: what is found from here on is white noise."""


def suited(catalog: Catalog, found: float) -> Entry:
    """The denoiser for a picture in which so much white noise was found: the one for white noise where it is loud, or
    where there is no other. Raises UnknownModel."""
    try:
        camera = catalog.find(CAMERA)
    except UnknownModel:
        return catalog.find(WHITE)
    # One's own by that name may be for anything.
    return camera if found < WHITE_FROM and camera.description.recipe == "photo" else catalog.find(WHITE)
