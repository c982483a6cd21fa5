"""Every mode a file can have comes out as it should, and nothing spoilt gets further than a PictureError."""

import struct
import zlib
from contextlib import suppress
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from files import ORIENTATION, SRGB, chunk, encoded, exif_with, heic, laid_tiff, noise, png, png16, scene, tiff
from PIL import Image, ImageCms

from models import images
from models.images import FORMATS, AnimatedPicture, DamagedPicture, PictureError, raster
from tests.hostile import spoilt


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


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_of_one_grey_has_enough_data(progressive: bool) -> None:
    """As little as a picture can have; it is just not called cut short."""
    image = Image.new("L", (2000, 1500), 77)
    data = encoded(image, "JPEG", progressive=progressive, optimize=True)
    assert (images.read(data).pixels == 77).all()
    short = bytearray(data)
    at = short.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    short[at + 5 : at + 9] = struct.pack(">HH", 15_000, 3000)
    with pytest.raises(DamagedPicture):
        images.read(bytes(short))


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
    laid = [laid_tiff(samples, t274=6), laid_tiff(samples, planar=True, t274=6)]
    for data in (png16(samples, chunk(b"eXIf", exif_with(6)[6:])), tiff(samples, t274=6), *laid):
        assert np.array_equal(images.read(data).pixels, np.rot90(samples, -1))


needs_heic = pytest.mark.skipif("heic" not in FORMATS, reason="pillow-heif is not installed")


@needs_heic
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_heic_of_8_bits(mode: str) -> None:
    samples = noise(70, 66, {"L": 1, "RGB": 3, "RGBA": 4}[mode])
    picture = images.read(heic(Image.fromarray(samples.squeeze(), mode=None)))
    assert picture.format == "heic"
    assert np.array_equal(picture.pixels, samples[..., :3])
    assert (picture.alpha is None) == (mode != "RGBA")
    assert picture.alpha is None or np.array_equal(picture.alpha, samples[..., 3])


@needs_heic
@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_heic_of_more_bits_reaches_white(bits: int, channels: int) -> None:
    coded = noise(65, 80, channels, dtype=np.uint16) >> (16 - bits)
    coded[0, 0] = (1 << bits) - 1
    picture = images.read(heic(coded << (16 - bits), bits))
    whole = picture.pixels if picture.alpha is None else np.dstack((picture.pixels, picture.alpha))
    assert whole.dtype == np.uint16
    assert (whole[0, 0] == 65_535).all()
    assert np.array_equal(whole, coded << (16 - bits) | coded >> (2 * bits - 16))


@needs_heic
def test_heic_is_turned_once_and_keeps_its_profile() -> None:
    samples = noise(64, 80, 3)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture = images.read(heic(Image.fromarray(samples), exif=exif.tobytes(), icc_profile=SRGB))
    assert np.array_equal(picture.pixels, np.rot90(samples, -1))
    assert picture.profile == SRGB


@needs_heic
def test_several_heic_pictures_are_not_one() -> None:
    with pytest.raises(AnimatedPicture):
        images.read(heic(scene(), append_images=[scene()]))


@needs_heic
def test_heic_with_alpha_multiplied_in() -> None:
    import pillow_heif

    samples = np.full((64, 64, 4), 60, np.uint8)
    samples[:32, :, 3], samples[32:, :, 3] = 120, 0
    coded = pillow_heif.from_bytes("RGBa", (64, 64), samples.tobytes())
    stream = BytesIO()
    coded.save(stream, quality=-1, chroma=444, matrix_coefficients=0)
    picture = images.read(stream.getvalue())
    assert np.abs(picture.pixels[:32].astype(int) - 128).max() <= 1
    assert picture.pixels[32:].max() == 0


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("size", [(40, 30), (40, 1)])
def test_cut_short_anywhere(form: str, size: tuple[int, int]) -> None:
    data = encoded(Image.fromarray(noise(size[1], size[0], 3)), form)
    for tenth in range(20):
        with pytest.raises(PictureError):
            images.read(data[: len(data) * tenth // 20])


@pytest.mark.parametrize("form", list(FORMATS))
def test_spoilt_anywhere(form: str) -> None:
    whole = encoded(Image.fromarray(noise(20, 20, 3)), form, icc_profile=SRGB[:300])
    generator = np.random.default_rng(1)
    for _ in range(40):
        data = bytearray(whole)
        for place in generator.integers(0, len(data), 3):
            data[place] = generator.integers(0, 256)
        try:
            picture = images.read(bytes(data))
        except PictureError:
            continue
        assert picture.pixels.size
        assert picture.format == form


@pytest.mark.parametrize(
    "data",
    [
        png(2, 1, 8, 2).replace(chunk(b"IDAT", zlib.compress(b"")), b""),
        png(2, 1, 8, 3, [bytes(2)]),
        png(2, 1, 8, 3, [bytes(2)], chunk(b"PLTE", b"")),
    ],
    ids=["pixels", "palette", "colours"],
)
def test_a_png_that_lacks_what_it_needs(data: bytes) -> None:
    with pytest.raises(DamagedPicture):
        images.read(data)


def test_no_pixel_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a decoder leaves out would have the colour of the memory that it decodes into."""

    def read_over(data: bytes, colour: int) -> images.Picture | None:
        memory = SimpleNamespace(**vars(np) | {"zeros": lambda *shape: np.full(shape[0], colour, shape[1])})
        monkeypatch.setattr(raster, "np", memory)
        with suppress(PictureError):
            return images.read(data)

    for name, data in spoilt.overwritten(2000):
        one, other = (read_over(data, colour) for colour in (0, 171))
        assert (one is None) == (other is None), name
        assert one is None or np.array_equal(one.pixels, other.pixels), name  # type: ignore[union-attr]


def test_a_text_bomb_is_damaged() -> None:
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000)))
    with pytest.raises(DamagedPicture):
        images.read(png(2, 1, 8, 2, [bytes(6)], bomb))


def test_out_of_memory_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "zeros", none_left)
    with pytest.raises(DamagedPicture) as caught:
        images.read(encoded(scene(), "PNG"))
    assert isinstance(caught.value.__cause__, MemoryError)
