"""What a header tells is enough to refuse: no pixel of such a file is decoded."""

import struct
import tracemalloc

import numpy as np
import pytest
from files import chunk, encoded, laid_tiff, noise, png, scene, tiff
from PIL import Image

from models import images
from models.images import (
    FORMATS,
    AnimatedPicture,
    DamagedPicture,
    EmptyPicture,
    Limits,
    PictureError,
    PictureTooLarge,
    UnsupportedDepth,
    UnsupportedFormat,
)


@pytest.mark.parametrize(
    "data",
    [
        laid_tiff(noise(5, 7, 3).astype(np.float32), compression=8, t339=3, t317=2),
        tiff(noise(5, 7, 4).astype(np.float32), t339=3, t338=2),
        tiff(noise(5, 7, 5).astype(np.float64), t339=3),
        tiff(noise(5, 7, 1).astype(np.float16), t339=3, t266=2),
        tiff(noise(5, 7, 5), photometric=5, t338=2),
        tiff(noise(5, 7, 1).astype(np.int32), t339=2),
        tiff(noise(5, 7, 1).astype(np.uint32)),
        tiff(noise(5, 7, 1).astype(np.int16), t339=2),
        tiff(noise(5, 7, 1).astype(np.int8), t339=2),
        tiff(noise(5, 7, 4, dtype=np.uint16), photometric=5),
        tiff(noise(5, 7, 3, dtype=np.uint16), photometric=8),
        tiff(noise(5, 7, 3, dtype=np.uint16), photometric=1),
        tiff(noise(5, 7, 5, dtype=np.uint16), photometric=2),
        tiff(noise(5, 7, 3, dtype=np.uint16), t266=2),
        tiff(noise(5, 7, 3, dtype=np.uint16), t339=2),
    ],
)
def test_depths_that_would_be_cut_are_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedDepth):
        images.read(data)


def test_transparency_in_a_plane_of_jpeg_is_refused() -> None:
    """Such planes are mixed up: all of it would come out as transparent."""
    with pytest.raises(UnsupportedDepth, match="transparency in a plane"):
        images.read(laid_tiff(np.full((16, 16, 2), 99, np.uint8), compression=7, planar=True, t338=2))


@pytest.mark.skipif("avif" not in FORMATS, reason="no AVIF in this build of the image library")
def test_avif_of_10_bits_is_refused() -> None:
    data = bytearray(encoded(scene(), "AVIF"))
    data[data.index(b"av1C") + 6] |= 0x40
    with pytest.raises(UnsupportedDepth):
        images.read(bytes(data))


@pytest.mark.parametrize("bits", [12, 16])
def test_jpeg_of_more_bits_is_refused(bits: int) -> None:
    data = bytearray(encoded(scene(), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = bits
    with pytest.raises(UnsupportedDepth, match=f"{bits}-bit"):
        images.read(bytes(data))


def test_a_raw_file_of_a_camera_is_no_tiff() -> None:
    with pytest.raises(UnsupportedFormat):
        images.read(tiff(noise(5, 7, 3), t50706=1))


def test_empty() -> None:
    with pytest.raises(EmptyPicture):
        images.read(b"")


@pytest.mark.parametrize("form", ["png", "gif", "webp", "tiff"])
def test_several_frames(form: str) -> None:
    data = encoded(scene(), form, save_all=True, append_images=[scene().rotate(180)])
    for look in (images.inspect, images.read):
        with pytest.raises(AnimatedPicture):
            look(data)


def test_of_a_two_picture_jpeg_the_first_is_read() -> None:
    data = encoded(scene(), "MPO", save_all=True, append_images=[scene().rotate(180)])
    picture = images.read(data)
    assert picture.format == "jpeg"
    assert np.abs(picture.pixels.astype(int) - np.asarray(scene())).mean() < 20


def declaring(form: str, width: int, height: int) -> bytes:
    """A small file whose header tells another size."""
    data = bytearray(encoded(scene(), form))
    if form == "png":
        return png(width, height, 8, 2)
    if form == "jpeg":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    if form == "bmp":
        data[18:26] = struct.pack("<ii", width, height)
    if form == "gif":
        data[6:10] = struct.pack("<HH", width, height)
    if form == "webp":
        at = data.index(b"\x9d\x01\x2a")
        data[at + 3 : at + 7] = struct.pack("<HH", width, height)
    if form == "tiff":
        return tiff(noise(1, 1, 3), t256=width, t257=height)
    if form in ("avif", "heic"):
        at = data.index(b"ispe")
        data[at + 8 : at + 16] = struct.pack(">II", width, height)
    return bytes(data)


@pytest.mark.parametrize("form", list(FORMATS))
def test_declared_pixels_are_refused_before_any_is_decoded(form: str) -> None:
    data = declaring(form, 13_000, 13_000)
    tracemalloc.start()
    for look in (images.inspect, images.read):
        with pytest.raises(PictureTooLarge) as caught:
            look(data)
        assert (caught.value.width, caught.value.height, caught.value.max_pixels) == (13_000, 13_000, 50_000_000)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_deep_tiff_is_refused_before_it_is_read() -> None:
    with pytest.raises(PictureTooLarge):
        images.read(tiff(noise(1, 1, 3, dtype=np.uint16), t256=13_000, t257=13_000))


@pytest.mark.parametrize("form", sorted({"avif", "heic"} & set(FORMATS)))
def test_what_is_declared_among_the_pixels_does_not_count(form: str) -> None:
    data = encoded(scene(), form)
    assert images.inspect(data + struct.pack(">I4sIII", 20, b"ispe", 0, 13_000, 13_000)).width == 24


@pytest.mark.parametrize("form", sorted({"avif", "heic"} & set(FORMATS)))
def test_a_file_of_many_empty_boxes(form: str) -> None:
    start = encoded(scene(), form)[:32]
    for boxes in (struct.pack(">I4s", 8, b"free") * 100_000, struct.pack(">I4sQ", 1, b"free", 0) * 100_000):
        with pytest.raises(DamagedPicture):
            images.read(start[: int.from_bytes(start[:4], "big")] + boxes)


def test_a_second_header_does_not_get_past_the_limit() -> None:
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 13_000, 13_000, 8, 2, 0, 0, 0))
    with pytest.raises(PictureTooLarge):
        images.read(png(4, 4, 8, 2, before=second))


def test_a_gif_frame_that_reaches_beyond_its_screen() -> None:
    frame = b"," + struct.pack("<HHHHB", 60_000, 60_000, 100, 100, 0) + b"\x08\x01\0\0;"
    data = b"GIF89a" + struct.pack("<HHBBB", 10, 10, 0, 0, 0) + frame
    with pytest.raises(PictureError):
        images.read(data)


def test_sides() -> None:
    with pytest.raises(PictureTooLarge, match="side"):
        images.read(png(70_000, 1, 8, 0))
    with pytest.raises(PictureTooLarge):
        images.read(encoded(scene(), "PNG"), Limits(max_side=20))
    with pytest.raises(PictureTooLarge):
        images.read(encoded(scene(), "PNG"), Limits(max_pixels=24 * 16 - 1))
    assert images.read(encoded(scene(), "PNG"), Limits(max_pixels=24 * 16, max_side=24)).width == 24


def test_a_higher_limit_than_the_librarys_own_is_given_way_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert images.read(encoded(scene(), "TIFF"), Limits(max_pixels=500)).width == 24
    assert Image.MAX_IMAGE_PIXELS == 500


@pytest.mark.parametrize("form", list(FORMATS))
def test_inspect_tells_what_read_finds(form: str) -> None:
    header = images.inspect(encoded(scene(), form))
    assert (header.width, header.height, header.format) == (24, 16, form)
