"""Several pictures as one body: a grid, a film, or a zip of single ones."""

import io
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from models import sampling
from models.images import Picture
from service.pipeline import Parts, encoded

LOSSLESS = 100
"""The quality at which WebP changes nothing."""


@dataclass(frozen=True)
class Form:
    """What pictures are put together as. write: (parts, pictures `n h w c` uint8, columns or 0) -> the body. format: of
    each picture in it; quality: at which it is written."""

    media_type: str
    format: str
    write: Callable[[Parts, np.ndarray, int], Awaitable[bytes]]
    quality: int = 90


async def as_grid(parts: Parts, pictures: np.ndarray, columns: int) -> bytes:
    """One PNG, row by row; about square unless columns are told."""
    return await encoded(parts, Picture.of(sampling.grid(pictures, columns=columns)), "png")


async def as_film(parts: Parts, pictures: np.ndarray, columns: int) -> bytes:
    """One animated WebP that shows them in turn, without loss."""
    strip = pictures.reshape(-1, *pictures.shape[2:])
    return await encoded(parts, Picture.of(strip), "webp", quality=LOSSLESS, frames=len(pictures))


async def as_zip(parts: Parts, pictures: np.ndarray, columns: int) -> bytes:
    """Single PNGs whose names sort and do not depend on how many there are."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for number, picture in enumerate(pictures):
            entry = zipfile.ZipInfo(f"{number:06d}.png")  # dated 1980, so that the same pictures are the same bytes
            archive.writestr(entry, await encoded(parts, Picture.of(picture), "png"))
    return packed.getvalue()


async def as_single(parts: Parts, pictures: np.ndarray, columns: int) -> bytes:
    """The first as one PNG, nothing around it."""
    return await encoded(parts, Picture.of(pictures[0]), "png")


FORMS = {
    "png": Form("image/png", "png", as_grid),
    "webp": Form("image/webp", "webp", as_film, LOSSLESS),
    "zip": Form("application/zip", "png", as_zip),
}
"""By what `format` calls them."""

SINGLE = FORMS | {"png": Form("image/png", "png", as_single)}
"""The same where one picture was asked for, and not a grid of one."""
