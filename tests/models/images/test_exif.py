import struct
from io import BytesIO

import numpy as np
import pytest
from files import EXIF_IFD, GPS_IFD, MAKER, ORIENTATION, encoded, exif_with, noise, scene
from PIL import ExifTags, Image

from models import images
from models.images import FORMATS, Picture


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x01\x02\x03", b"Exif\0\0nonsense", exif_with(99)])
def test_unreadable_notes_are_no_reason_to_refuse(exif: bytes) -> None:
    assert images.read(encoded(scene(), "JPEG", exif=exif)).pixels.shape == (16, 24, 3)


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_notes_can_be_carried_over(form: str, dtype: type) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKER] = 6, "Maker"
    exif[EXIF_IFD], exif[GPS_IFD] = {36867: "2020:01:01 00:00:00"}, {1: "N", 2: (1.0, 2.0, 3.0)}
    for original in ("jpeg", "tiff"):
        notes = images.exif_of(images.write(Picture(noise(4, 5, 3)), original, metadata=exif.tobytes()))
        written = images.write(Picture(noise(4, 5, 3, dtype=dtype)), form, metadata=notes)
        found = Image.open(BytesIO(written)).getexif()
        assert found[MAKER] == "Maker"
        assert ORIENTATION not in found
        assert found.get_ifd(EXIF_IFD)[36867] == "2020:01:01 00:00:00"
        assert found.get_ifd(GPS_IFD)[2] == (1.0, 2.0, 3.0)
        assert images.read(written).pixels.shape == (4, 5, 3)


def test_a_thumbnail_is_not_carried_over() -> None:
    small = encoded(scene(), "JPEG")
    first = struct.pack("<HHHI4sI", 1, MAKER, 2, 4, b"Abc\0", 26)
    second = struct.pack("<HHHIIHHIII", 2, 513, 4, 1, 26 + 30, 514, 4, 1, len(small), 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + first + second + small
    assert Image.open(BytesIO(encoded(scene(), "JPEG", exif=exif))).getexif().get_ifd(ExifTags.IFD.IFD1)
    notes = images.exif_of(encoded(scene(), "JPEG", exif=exif))
    assert notes is not None
    assert b"Abc" in notes
    assert b"\xff\xd8" not in notes


@pytest.mark.parametrize("form", list(FORMATS))
def test_no_notes(form: str) -> None:
    assert images.exif_of(encoded(scene(), form)) is None
