import asyncio
import io
import zipfile
from types import SimpleNamespace
from typing import Any

import numpy as np

from models.images import Picture
from service import album

PICTURES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5, 1)


def written(form: album.Form, pictures: np.ndarray = PICTURES, columns: int = 0) -> tuple[list[Any], bytes]:
    """What is given to the encoder, and the body."""
    given: list[Any] = []

    async def write(picture: Picture, name: str, **options: Any) -> bytes:
        given.append((picture, name, options))
        return bytes(picture.pixels[0, 0])

    parts: Any = SimpleNamespace(decoders=SimpleNamespace(write=write))
    return given, asyncio.run(form.write(parts, pictures, columns))


def test_a_grid_has_as_many_columns_as_are_told():
    for columns, shape in ((0, (2 + 2 * 6, 2 + 2 * 7)), (3, (2 + 6, 2 + 3 * 7))):
        [(sheet, name, _)], _ = written(album.FORMS["png"], columns=columns)
        assert (sheet.pixels.shape[:2], name) == (shape, "png")


def test_a_film_is_a_strip_without_loss():
    [(strip, name, options)], _ = written(album.FORMS["webp"])
    assert np.array_equal(strip.pixels, PICTURES.reshape(12, 5, 1))
    assert (name, options) == ("webp", {"quality": 100, "frames": 3})


def test_a_zip_holds_each_and_the_same_bytes_each_time():
    given, body = written(album.FORMS["zip"])
    assert written(album.FORMS["zip"])[1] == body
    assert np.array_equal([picture.pixels for picture, _, _ in given], PICTURES)
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        assert packed.namelist() == ["000000.png", "000001.png", "000002.png"]


def test_a_single_picture_has_nothing_around_it():
    [(picture, _, _)], _ = written(album.SINGLE["png"], PICTURES[:1])
    assert np.array_equal(picture.pixels, PICTURES[0])
