import struct

import numpy as np
import pytest
from files import chunk, encoded, noise, png, png16, tiff
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models import images
from models.images import FORMATS, WRITTEN, Picture
from models.images.declared import declared
from models.images.formats import format_of

FILES = {form: images.write(Picture(noise(40, 70, 3)), form) for form in WRITTEN}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [(7, 5), (300, 41), (65, 258)])
def test_a_file_declares_what_is_read_of_it(form: str, size: tuple[int, int]):
    for mode in ("L", "RGB", "RGBA"):
        if mode == "RGBA" and form in ("jpeg", "gif"):
            continue
        data = encoded(Image.new(mode, size), form)
        found, picture = declared(data), images.read(data)
        assert found
        assert (picture.width, picture.height) == size
        filled_up = 64 if form == "heic" else 1  # pixels of a block; what lies beyond the picture is cut away
        assert 0 <= found.width - picture.width < filled_up
        assert 0 <= found.height - picture.height < filled_up
        samples = picture.pixels.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)
        assert form == "heic" or samples / 4 <= found.samples <= 3 * samples
        if form in ("png", "tiff"):
            assert found.samples == samples


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_two_bytes(channels: int):
    samples = noise(9, 4, channels, dtype=np.uint16)
    for data in (png16(samples), tiff(samples), tiff(samples, ">")):
        found = declared(data)
        assert found
        assert (found.width, found.height, found.samples) == (4, 9, samples.nbytes)


def test_a_flat_picture_of_few_bytes_is_as_large_as_it_says():
    data = png(7000, 7000, 8, 2)
    found = declared(data)
    assert found
    assert found.samples == 3 * 7000**2 > 1000 * len(data)


def test_lossless_and_extended_webp_and_bitmaps_of_old_and_from_the_top():
    transparent = Image.new("RGBA", (9, 4), (1, 2, 3, 99))
    for data, depth in (
        (encoded(transparent, "webp", lossless=True), 4),
        (encoded(transparent, "webp"), 4),
        (encoded(Image.new("RGB", (9, 4)), "webp", lossless=True), 3),
        (b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 9, 4, 1, 24), 3),
        (b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 9, -4, 1, 32), 4),
    ):
        found = declared(data)
        assert found
        assert tuple(found) == (9, 4, depth)


def test_what_stands_before_a_jpegs_size_is_passed_over_if_it_is_not_too_much():
    start, rest = FILES["jpeg"][:2], FILES["jpeg"][2:]
    comment = b"\xff\xff\xff\xfe\x00\x06word"
    assert declared(start + 9 * comment + rest) == declared(start + rest)
    assert declared(start + 5000 * comment + rest) is None


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"no picture", png(0, 5, 8, 2)])
def test_what_does_not_tell_declares_nothing(data: bytes):
    assert declared(data) is None


def test_no_thumbnail_is_taken_for_the_picture():
    parts = b"".join(struct.pack(">I4sIII", 20, b"ispe", 0, *size) for size in ((16, 12), (4000, 3000), (320, 240)))
    found = declared(struct.pack(">I", 16) + b"ftypavif" + bytes(4) + parts)
    if "avif" in FORMATS:
        assert found
        assert (found.width, found.height) == (4000, 3000)


@pytest.mark.parametrize("form", WRITTEN)
@given(st.data())
def test_whatever_comes_it_is_told_or_not_and_never_fails(form: str, data: st.DataObject):
    whole = bytearray(FILES[form][: data.draw(st.integers(0, 400))])
    for _ in range(data.draw(st.integers(0, 6))):
        if whole:
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = declared(bytes(whole))
    assert found is None or (min(found) > 0 and format_of(bytes(whole)))


def test_an_animation_says_its_size_as_well():
    data = FILES["png"]
    moving = data[:33] + chunk(b"acTL", struct.pack(">II", 2, 0)) + data[33:]
    assert declared(moving) == declared(data)
