"""The size that coded data have, against that which the boxes tell."""

import struct

import pytest
from files import SRGB, encoded, exif_with, scene

from models import images
from models.images import FORMATS, DamagedPicture, av1
from models.images.header import _meta_box

pytestmark = pytest.mark.skipif("avif" not in FORMATS, reason="no AVIF in this build of the image library")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (24, 16), (301, 7), (2500, 1300)])
@pytest.mark.parametrize("more", [{}, {"exif": exif_with(6), "icc_profile": SRGB}])
def test_what_an_encoder_wrote(mode: str, size: tuple[int, int], more: dict) -> None:
    data = encoded(scene(mode).resize(size), "AVIF", **more)
    assert av1.sizes(data, _meta_box(data)) == {size}


# Profile and flags; no clock, no delay, one operating point; its layers; level 4.1; tier; bits of the sides; the sides.
FULL = "000100000000" + "0" * 12 + "01001010111010" + f"{4000 - 1:012b}{1500 - 1:011b}"


def test_a_header_that_is_not_reduced() -> None:
    assert av1._size(b"\x12\x00\x0a\x0b" + int(FULL.ljust(88, "0"), 2).to_bytes(11, "big")) == (4000, 1500)
    assert av1._size(b"\x0a\x0b" + int(("000101" + FULL[6:]).ljust(88, "0"), 2).to_bytes(11, "big")) is None


@pytest.mark.parametrize("told", [(48, 32), (24, 17), (12, 16)])
def test_a_size_that_the_data_do_not_have(told: tuple[int, int]) -> None:
    data = bytearray(encoded(scene(), "AVIF"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", *told)
    with pytest.raises(DamagedPicture):
        images.read(bytes(data))
