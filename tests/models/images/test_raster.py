"""Pillow and numpy see the same memory; where they can't, what is seen is the same all the same."""

from io import BytesIO

import numpy as np
import pytest
from files import encoded, noise, png16, tiff
from PIL import Image

from models import images
from models.images import Limits, Picture, raster
from models.images.header import opened

MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def samples_of(mode: str) -> np.ndarray:
    samples = noise(7, 9, MODES[mode])
    return samples[..., 0] if mode == "L" else samples


@pytest.mark.parametrize("form", ["png", "tiff", "jpeg", "webp", "bmp"])
@pytest.mark.parametrize("mode", list(MODES))
def test_a_file_is_decoded_into_memory_of_ours(form: str, mode: str) -> None:
    if form in ("jpeg", "bmp") and "A" in mode:
        pytest.skip("it holds no alpha")
    data = encoded(Image.fromarray(samples_of(mode)), form)
    image = opened(data, Limits())
    samples = raster.decoded(image)
    assert samples is not None
    with Image.open(BytesIO(data)) as wanted:
        assert np.array_equal(samples, np.asarray(wanted).reshape(samples.shape))
    samples[2, 3] = 99
    assert set(np.atleast_1d(image.getpixel((3, 2)))) == {99}


def test_16_bits_of_grey_too() -> None:
    for data in (png16(noise(7, 9, 1, dtype=np.uint16)), tiff(noise(7, 9, 1, dtype=np.uint16))):
        image = opened(data, Limits())
        samples = raster.decoded(image)
        assert samples is not None
        samples[2, 3] = 999
        assert image.getpixel((3, 2)) == 999


@pytest.mark.parametrize("mode", ["1", "P", "CMYK"])
def test_other_modes_are_left_alone(mode: str) -> None:
    assert raster.decoded(opened(encoded(Image.new(mode, (5, 4)), "TIFF"), Limits())) is None


@pytest.mark.parametrize("mode", list(MODES))
def test_what_was_read_is_encoded_from_where_it_lies(mode: str) -> None:
    picture = images.read(encoded(Image.fromarray(samples_of(mode)), "PNG"))
    image = raster.image_of(picture.pixels, picture.alpha)
    assert image.mode == mode
    assert np.array_equal(np.asarray(image), samples_of(mode))
    picture.pixels[2, 3] = 99
    assert np.atleast_1d(image.getpixel((3, 2)))[0] == 99
    assert np.shares_memory(raster.stacked(picture.pixels, picture.alpha), picture.pixels)


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_lies_elsewhere_is_copied(mode: str, dtype: type) -> None:
    colours = noise(7, 9, 1 if mode[0] == "L" else 3, dtype=dtype)
    alpha = noise(7, 9, dtype=dtype) if "A" in mode else None
    wanted = colours if alpha is None else np.dstack((colours, alpha))
    assert np.array_equal(raster.stacked(colours, alpha), wanted)
    if dtype == np.uint8:
        assert np.array_equal(np.asarray(raster.image_of(colours, alpha)).reshape(wanted.shape), wanted)


@pytest.mark.parametrize("form", ["png", "tiff", "jpeg"])
def test_parts_of_what_was_read_are_not_taken_for_the_whole(form: str) -> None:
    whole = images.read(encoded(Image.fromarray(noise(8, 10, 4)), "PNG"))
    assert whole.alpha is not None
    for part in (slice(None, None, -1), slice(2, 6), slice(None, None, 2)):
        picture = Picture(whole.pixels[part], whole.alpha[part])
        copied = Picture(picture.pixels.copy(), picture.alpha.copy())
        assert images.write(picture, form) == images.write(copied, form)
    swapped = Picture(whole.pixels[..., ::-1], whole.pixels[..., 0])
    copied = Picture(swapped.pixels.copy(), swapped.alpha.copy())
    assert images.write(swapped, form) == images.write(copied, form)
