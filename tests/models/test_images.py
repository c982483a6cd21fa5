"""Every mode a file can have comes out as it should, and nothing that is sent gets further than a PictureError."""

import pickle
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageDraw

from models import images
from models.images import (
    ACCEPTED,
    FORMATS,
    AnimatedPicture,
    DamagedPicture,
    EmptyPicture,
    Limits,
    Picture,
    PictureError,
    PictureTooLarge,
    UnsupportedDepth,
    UnsupportedFormat,
)

ROOT = Path(__file__).parents[2]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, MAKER, EXIF_IFD, GPS_IFD = 274, 271, 34665, 34853


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def scene(mode: str = "RGB") -> Image.Image:
    """A small picture that survives lossy formats, no two quarters alike."""
    image = Image.new("RGB", (24, 16), (200, 40, 40))
    draw = ImageDraw.Draw(image)
    draw.rectangle((12, 0, 23, 7), (40, 180, 60))
    draw.rectangle((0, 8, 11, 15), (50, 60, 210))
    return image.convert(mode)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, bits: int, kind: int, rows: Iterable[bytes] = (), before: bytes = b"") -> bytes:
    """A PNG put together by hand. Kind: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + head + before + body + chunk(b"IEND", b"")


def png16(samples: np.ndarray, before: bytes = b"") -> bytes:
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2]]
    return png(samples.shape[1], samples.shape[0], 16, kind, (row.astype(">u2").tobytes() for row in samples), before)


def tiff(samples: np.ndarray, end: str = "<", photometric: int | None = None, **more: int) -> bytes:
    """An uncompressed TIFF put together by hand from `h w c`; `more`: tags by number, as in t338=2."""
    height, width, channels = samples.shape
    photometric = (1 if channels < 3 else 2) if photometric is None else photometric
    values = {256: width, 257: height, 259: 1, 262: photometric, 277: channels, 278: height, 279: samples.nbytes}
    values |= {int(name[1:]): value for name, value in more.items()}
    bits = struct.pack(f"{end}{channels}H", *[8 * samples.itemsize] * channels)
    entries = len(values) + 2
    aside = 8 + 2 + 12 * entries + 4
    packed = {tag: struct.pack(f"{end}HHII", tag, 4, 1, value) for tag, value in values.items()}
    packed[258] = struct.pack(f"{end}HHI", 258, 3, channels)
    packed[258] += bits.ljust(4, b"\0") if len(bits) <= 4 else struct.pack(f"{end}I", aside)
    packed[273] = struct.pack(f"{end}HHII", 273, 4, 1, aside + len(bits))
    directory = struct.pack(f"{end}H", entries) + b"".join(packed[tag] for tag in sorted(packed)) + b"\0\0\0\0"
    head = (b"II" if end == "<" else b"MM") + struct.pack(f"{end}HI", 42, 8)
    return head + directory + bits + samples.astype(samples.dtype.newbyteorder(end)).tobytes()


def test_imports_no_torch() -> None:
    code = "import sys, models.images; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# What each mode becomes.


@pytest.mark.parametrize("form", ["png", "bmp", "tiff", "gif"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_lossless_formats_keep_every_mode(form: str, mode: str) -> None:
    image = scene(mode)
    picture = images.read(encoded(image, form))
    expected = np.asarray(image.convert("RGB"))
    assert picture.format == form
    assert picture.alpha is None
    assert picture.depth == 8
    assert (picture.width, picture.height) == image.size
    assert picture.pixels.shape[2] == (1 if mode in ("1", "L") else 3)
    assert np.array_equal(np.broadcast_to(picture.pixels, expected.shape), expected)


@pytest.mark.parametrize("form", [name for name in FORMATS if name != "gif"])
def test_lossy_formats_keep_the_colours_nearly(form: str) -> None:
    picture = images.read(encoded(scene(), form, quality=95))
    assert np.abs(picture.pixels.astype(int) - np.asarray(scene())).mean() < 8


@pytest.mark.parametrize(("mode", "form"), [("LA", "png"), ("LA", "tiff"), ("RGBA", "png"), ("RGBA", "tiff")])
def test_alpha_stands_apart(mode: str, form: str) -> None:
    samples = noise(9, 7, len(mode))
    picture = images.read(encoded(Image.fromarray(samples, mode=None), form))
    assert picture.alpha is not None
    assert np.array_equal(picture.pixels, samples[..., :-1])
    assert np.array_equal(picture.alpha, samples[..., -1])


def test_alpha_of_webp_and_avif() -> None:
    image = scene("RGBA")
    image.putalpha(77)
    for form in {"webp", "avif"} & set(FORMATS):
        alpha = images.read(encoded(image, form)).alpha
        assert alpha is not None
        assert (alpha == 77).all()


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 90])])
def test_palette_with_transparency(transparency: int | bytes) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    picture = images.read(encoded(image, "PNG", transparency=transparency))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0, 90 if isinstance(transparency, bytes) else 255]]
    assert picture.pixels[0].tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]


def test_gif_with_transparency() -> None:
    image = scene("P")
    picture = images.read(encoded(image, "GIF", transparency=image.getpixel((0, 0))))
    assert picture.alpha is not None
    assert (picture.alpha[0, 0], picture.alpha[0, 20]) == (0, 255)


def test_grey_palette_is_grey() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 9, 9, 200, 200, 200])
    image.putdata([1, 0])
    assert images.read(encoded(image, "PNG")).pixels.tolist() == [[[200], [9]]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_any_depth(bits: int) -> None:
    grey = (1 << bits) - 1
    row = (int(f"{grey:0{bits}b}" + "0" * 7 * bits, 2)).to_bytes(bits, "big")  # eight pixels, the first of them white
    picture = images.read(png(8, 1, bits, 0, [row], chunk(b"tRNS", struct.pack(">H", grey))))
    assert picture.alpha is not None
    most = 65_535 if bits == 16 else 255
    assert picture.alpha[0].tolist() == [0] + [most] * 7
    assert picture.pixels[0, 0, 0] == most


def test_a_transparent_colour() -> None:
    samples = np.array([[[1, 2, 3], [300, 2, 3]]], np.uint16)
    for picture in (
        images.read(encoded(Image.fromarray(samples.astype(np.uint8)), "PNG", transparency=(1, 2, 3))),
        images.read(png16(samples, chunk(b"tRNS", struct.pack(">3H", 1, 2, 3)))),
    ):
        assert picture.alpha is not None
        assert picture.alpha.tolist() == [[0, np.iinfo(picture.alpha.dtype).max]]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits(channels: int) -> None:
    samples = noise(5, 7, channels, dtype=np.uint16)
    picture = images.read(png16(samples))
    colours = 1 if channels < 3 else 3
    assert picture.depth == 16
    assert np.array_equal(picture.pixels, samples[..., :colours])
    assert (picture.alpha is not None) == (channels in (2, 4))
    assert picture.alpha is None or np.array_equal(picture.alpha, samples[..., -1])


@pytest.mark.parametrize("end", ["<", ">"])
@pytest.mark.parametrize(("channels", "more"), [(1, {}), (3, {}), (4, {"t338": 2}), (4, {"t338": 0})])
def test_tiff_of_16_bits(end: str, channels: int, more: dict[str, int]) -> None:
    samples = noise(5, 7, channels, dtype=np.uint16)
    picture = images.read(tiff(samples, end, **more))
    assert picture.pixels.dtype == np.uint16
    assert np.array_equal(picture.pixels, samples[..., :3])
    assert (picture.alpha is not None) == (more == {"t338": 2})
    assert picture.alpha is None or np.array_equal(picture.alpha, samples[..., 3])


def test_tiff_of_16_bits_with_white_at_zero() -> None:
    samples = noise(5, 7, 1, dtype=np.uint16)
    assert np.array_equal(images.read(tiff(samples, photometric=0)).pixels, 65_535 - samples)


def test_tiff_of_12_bits_reaches_white() -> None:
    data = tiff(np.full((1, 2, 1), 0xFFFF, np.uint16)).replace(
        struct.pack("<HHIH", 258, 3, 1, 16), struct.pack("<HHIH", 258, 3, 1, 12)
    )
    assert images.read(data).pixels.tolist() == [[[65_535], [65_535]]]


@pytest.mark.parametrize(
    "data",
    [
        tiff(noise(5, 7, 1).astype(np.float32), t339=3),
        tiff(noise(5, 7, 3).astype(np.float32), t339=3),
        tiff(noise(5, 7, 1).astype(np.float64), t339=3),
        tiff(noise(5, 7, 1).astype(np.int32), t339=2),
        tiff(noise(5, 7, 1).astype(np.uint32)),
        tiff(noise(5, 7, 1).astype(np.int16), t339=2),
        tiff(noise(5, 7, 1).astype(np.int8), t339=2),
        tiff(noise(5, 7, 2, dtype=np.uint16), t338=2),
        tiff(noise(5, 7, 3, dtype=np.uint16), t284=2),
        tiff(noise(5, 7, 4, dtype=np.uint16), t338=1),
        tiff(noise(5, 7, 4, dtype=np.uint16), photometric=5),
    ],
)
def test_depths_that_would_be_cut_are_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedDepth):
        images.read(data)


@pytest.mark.skipif("avif" not in FORMATS, reason="no AVIF in this build of the image library")
def test_avif_of_10_bits_is_refused() -> None:
    data = bytearray(encoded(scene(), "AVIF"))
    data[data.index(b"av1C") + 6] |= 0x40
    with pytest.raises(UnsupportedDepth):
        images.read(bytes(data))


def test_a_raw_file_of_a_camera_is_no_tiff() -> None:
    with pytest.raises(UnsupportedFormat):
        images.read(tiff(noise(5, 7, 3), t50706=1))


def test_cmyk_without_profile() -> None:
    for data in (encoded(scene("CMYK"), "JPEG", quality=95, subsampling=0), encoded(scene("CMYK"), "TIFF")):
        picture = images.read(data)
        assert picture.pixels.shape == (16, 24, 3)
        assert np.abs(picture.pixels.astype(int) - np.asarray(scene())).max() < 25


def test_cmyk_drops_its_profile_whatever_it_is() -> None:
    for profile in (b"no profile", SRGB):  # neither is one for CMYK: plain arithmetic is left
        picture = images.read(encoded(scene("CMYK"), "JPEG", icc_profile=profile))
        assert picture.profile is None
        assert np.abs(picture.pixels.astype(int) - np.asarray(scene())).mean() < 8


def black_ink_profile() -> bytes:
    """A profile of a printer whose black ink alone shows: lightness is what is not black, without any colour."""
    ramp = bytes(range(256))
    corners = b"".join(bytes([0 if corner & 1 else 255, 128, 128]) for corner in range(16))  # black changes fastest
    identity = struct.pack(">9i", *(65_536 * (at % 4 == 0) for at in range(9)))
    table = b"mft1\0\0\0\0\4\3\2\0" + identity + 4 * ramp + corners + 3 * ramp
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
    d50 = struct.pack(">3i", 63_190, 65_536, 54_061)
    head = struct.pack(">I4sI4s4s4s", 144 + len(table), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    return (head + bytes(12) + b"acsp" + bytes(28) + d50).ljust(128, b"\0") + tags + table


def test_cmyk_goes_through_its_profile() -> None:
    image = Image.merge("CMYK", [Image.new("L", (8, 4), ink) for ink in (200, 90, 10, 0)])
    image.paste((0, 0, 0, 255), (4, 0, 8, 4))
    for form, options in (("JPEG", {"quality": 100, "subsampling": 0}), ("TIFF", {})):
        picture = images.read(encoded(image, form, icc_profile=black_ink_profile(), **options))
        assert picture.profile is None
        assert picture.pixels[:, :3].min() > 245
        assert picture.pixels[:, 5:].max() < 10


def test_lab_and_ycbcr() -> None:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(scene(), to_lab)
    for image in (lab, scene("YCbCr")):
        picture = images.read(encoded(image, "TIFF"))  # type: ignore[arg-type]
        assert np.abs(picture.pixels.astype(int) - np.asarray(scene())).max() < 12


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turned = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: np.rot90,
    }[orientation](np.asarray(scene()))
    picture = images.read(encoded(scene(), form, exif=exif, quality=95))
    assert picture.pixels.shape == turned.shape
    assert np.abs(picture.pixels.astype(int) - turned).mean() < 8
    again = images.read(images.write(picture, form, quality=95))
    assert again.pixels.shape == turned.shape


def test_orientation_of_16_bits() -> None:
    samples = noise(4, 6, 3, dtype=np.uint16)
    for data in (png16(samples, chunk(b"eXIf", exif_with(6)[6:])), tiff(samples, t274=6)):
        assert np.array_equal(images.read(data).pixels, np.rot90(samples, -1))


def exif_with(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x01\x02\x03", b"Exif\0\0nonsense", exif_with(99)])
def test_unreadable_notes_are_no_reason_to_refuse(exif: bytes) -> None:
    assert images.read(encoded(scene(), "JPEG", exif=exif)).pixels.shape == (16, 24, 3)


# What is refused.


@pytest.mark.parametrize(
    "data", [b"%!PS-Adobe-3.0", b"%PDF-1.7", b"8BPS\0\1", b"<svg/>", b"SIMPLE  = ", b"BMx", b"\0" * 40, b"x"]
)
def test_other_formats_are_never_opened(data: bytes) -> None:
    assert images.format_of(data) is None
    with pytest.raises(UnsupportedFormat, match=", ".join(ACCEPTED)):
        images.read(data * 100)


def test_heic_is_no_avif() -> None:
    assert images.format_of(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(100)) is None
    assert images.format_of(struct.pack(">I", 24) + b"ftypmif1\0\0\0\0avifmif1" + bytes(100)) in ("avif", None)


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
    return bytes(data)


@pytest.mark.parametrize("form", ["png", "jpeg", "bmp", "gif", "webp", "tiff"])
def test_declared_pixels_are_refused_before_any_is_decoded(form: str) -> None:
    data = declaring(form, 13_000, 13_000)
    tracemalloc.start()
    for look in (images.inspect, images.read):
        with pytest.raises(PictureTooLarge) as caught:
            look(data)
        assert (caught.value.width, caught.value.height, caught.value.max_pixels) == (13_000, 13_000, 50_000_000)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


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


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("size", [(40, 30), (40, 1)])
def test_cut_short_anywhere(form: str, size: tuple[int, int]) -> None:
    data = encoded(Image.fromarray(noise(size[1], size[0], 3)), form)
    for tenth in range(20):
        with pytest.raises(PictureError):
            images.read(data[: len(data) * tenth // 20])


@pytest.mark.parametrize("form", list(FORMATS))
def test_spoilt_anywhere(form: str) -> None:
    whole = images.write(Picture(noise(20, 20, 3), profile=SRGB[:300]), form)
    generator = np.random.default_rng(1)
    for _ in range(40):
        data = bytearray(whole)
        for place in generator.integers(0, len(data), 3):
            data[place] = generator.integers(0, 256)
        with suppress(PictureError):
            images.read(bytes(data))


def test_a_text_bomb_is_damaged() -> None:
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000)))
    with pytest.raises(DamagedPicture):
        images.read(png(2, 1, 8, 2, [bytes(6)], bomb))


def test_out_of_memory_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "empty", none_left)
    with pytest.raises(DamagedPicture) as caught:
        images.read(encoded(scene(), "PNG"))
    assert isinstance(caught.value.__cause__, MemoryError)


@pytest.mark.parametrize(
    "error",
    [
        EmptyPicture(),
        UnsupportedFormat(),
        DamagedPicture(),
        PictureTooLarge(9, 8, 7, 6),
        AnimatedPicture(),
        UnsupportedDepth("32-bit samples"),
    ],
)
def test_errors_cross_a_process_border(error: PictureError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)
    assert str(error).endswith(".")


# Small and odd shapes, and what is written.


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (7, 5)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_size_comes_back_as_it_was(form: str, shape: tuple[int, int], channels: int, dtype: type) -> None:
    picture = Picture(noise(*shape, channels, dtype=dtype))
    again = images.read(images.write(picture, form, quality=100))
    assert again.pixels.shape[:2] == shape
    assert again.alpha is None
    assert again.depth == (picture.depth if FORMATS[form].deep else 8)
    if FORMATS[form].deep:
        assert np.array_equal(again.pixels, picture.pixels)
    elif not FORMATS[form].lossy or form == "webp":
        rounded = (picture.pixels.astype(int) + 128) // 257 if dtype == np.uint16 else picture.pixels
        assert (again.pixels == rounded).all()


@pytest.mark.parametrize("form", ["png", "webp", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_put_back(form: str, channels: int, dtype: type) -> None:
    picture = Picture(noise(6, 5, channels, dtype=dtype), noise(6, 5, dtype=dtype))
    again = images.read(images.write(picture, form, quality=100))
    assert again.alpha is not None
    if FORMATS[form].deep or dtype == np.uint8:
        assert (again.pixels == picture.pixels).all()
        assert (again.alpha == picture.alpha).all()


def test_where_there_is_no_alpha_the_paper_is_white() -> None:
    alpha = np.array([[0, 255, 128]], np.uint8)
    picture = Picture(np.full((1, 3, 3), 100, np.uint8), alpha)
    assert images.read(images.write(picture, "bmp")).pixels[0, :, 0].tolist() == [255, 100, 177]
    assert images.read(images.write(picture, "jpeg")).alpha is None


def test_gif_is_transparent_or_not() -> None:
    picture = Picture(np.full((1, 3, 3), 100, np.uint8), np.array([[0, 255, 128]], np.uint8))
    again = images.read(images.write(picture, "gif"))
    assert again.alpha is not None
    assert again.alpha.tolist() == [[0, 255, 255]]
    assert again.pixels[0, 1].tolist() == [100]


def test_metadata_is_gone_and_the_profile_kept() -> None:
    exif = Image.Exif()
    exif[MAKER] = "Maker"
    for form in ("jpeg", "png", "webp", "tiff"):
        data = encoded(scene(), form, exif=exif, icc_profile=SRGB, xmp=b"<x:xmpmeta Secret/>", comment=b"Secret")
        written = images.write(images.read(data), form)
        assert b"Maker" not in written
        assert b"Secret" not in written
        assert Image.open(BytesIO(written)).info["icc_profile"] == SRGB


def test_a_profile_is_kept_only_where_it_fits() -> None:
    assert images.read(encoded(scene("L"), "PNG", icc_profile=SRGB)).profile is None
    grey = Picture(noise(3, 3, 1), profile=SRGB[:16] + b"GRAY" + SRGB[20:])
    assert images.read(images.write(grey, "png")).profile == grey.profile
    assert "icc_profile" not in Image.open(BytesIO(images.write(grey, "webp"))).info


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


@pytest.mark.parametrize("form", list(FORMATS))
def test_the_same_picture_is_the_same_bytes(form: str) -> None:
    picture = Picture(noise(30, 40, 3), noise(30, 40), SRGB)
    assert images.write(picture, form) == images.write(picture, form)
    assert images.format_of(images.write(picture, form, effort=9)) == form
    assert images.format_of(images.write(picture, form, effort=0, quality=1)) == form


def test_16_bits_in_more_than_one_band() -> None:
    samples = np.tile(noise(64, 64, 3, dtype=np.uint16), (10, 10, 1))
    for form in ("png", "tiff"):
        assert np.array_equal(images.read(images.write(Picture(samples), form, effort=1)).pixels, samples)


def test_what_cannot_be_written() -> None:
    picture = Picture(noise(2, 2, 3))
    with pytest.raises(UnsupportedFormat):
        images.write(picture, "pdf")
    for wrong in ({"quality": 0}, {"quality": 101}, {"effort": 10}):
        with pytest.raises(ValueError, match="quality is 1 to 100"):
            images.write(picture, "png", **wrong)
    with pytest.raises(PictureTooLarge, match="16,383"):
        images.write(Picture(np.zeros((1, 16_384, 1), np.uint8)), "webp")


@pytest.mark.parametrize(
    "fields",
    [(noise(4, 4),), (noise(4, 4, 4),), (noise(4, 4, 3).astype(float),), (noise(4, 4, 3), noise(3, 4))],
)
def test_a_picture_is_what_it_says(fields: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Picture(*fields)
