from io import BytesIO
from itertools import product

import numpy as np
import pytest
from files import MAKER, SRGB, encoded, noise, scene
from PIL import Image

from models import images
from models.images import AS_IT_CAME, WRITTEN, Picture, PictureTooLarge, UnsupportedFormat


@pytest.mark.parametrize("form", list(WRITTEN))
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (7, 5)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_size_comes_back_as_it_was(form: str, shape: tuple[int, int], channels: int, dtype: type) -> None:
    picture = Picture(noise(*shape, channels, dtype=dtype))
    again = images.read(images.write(picture, form, quality=100))
    assert again.pixels.shape[:2] == shape
    assert again.alpha is None
    assert again.depth == (picture.depth if WRITTEN[form].deep else 8)
    if WRITTEN[form].deep:
        assert np.array_equal(again.pixels, picture.pixels)
    elif not WRITTEN[form].lossy or form == "webp":
        rounded = (picture.pixels.astype(int) + 128) // 257 if dtype == np.uint16 else picture.pixels
        assert (again.pixels == rounded).all()


@pytest.mark.parametrize("form", ["png", "webp", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_put_back(form: str, channels: int, dtype: type) -> None:
    picture = Picture(noise(6, 5, channels, dtype=dtype), noise(6, 5, dtype=dtype))
    again = images.read(images.write(picture, form, quality=100))
    assert again.alpha is not None
    if WRITTEN[form].deep or dtype == np.uint8:
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
    for form, dtype, seen_through in product(("png", "tiff"), (np.uint8, np.uint16), (False, True)):
        alpha = noise(3, 3, dtype=dtype) if seen_through else None
        for profile, channels in ((grey.profile, 1), (SRGB, 3)):
            picture = Picture(noise(3, 3, channels, dtype=dtype), alpha, profile)
            assert images.read(images.write(picture, form)).profile == profile
    assert "icc_profile" not in Image.open(BytesIO(images.write(grey, "webp"))).info


@pytest.mark.parametrize("form", list(WRITTEN))
def test_the_same_picture_is_the_same_bytes(form: str) -> None:
    picture = Picture(noise(30, 40, 3), noise(30, 40), SRGB)
    assert images.write(picture, form) == images.write(picture, form)
    assert images.format_of(images.write(picture, form, effort=9)) == form
    assert images.format_of(images.write(picture, form, effort=0, quality=1)) == form


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("see_through", [False, True])
def test_frames_are_shown_in_turn(channels: int, see_through: bool) -> None:
    strip = noise(3 * 6, 8, channels)
    alpha = noise(3 * 6, 8) if see_through else None
    data = images.write(Picture(strip, alpha), "webp", quality=100, frames=3)
    with Image.open(BytesIO(data)) as film:
        assert (film.size, film.n_frames, film.info["loop"]) == ((8, 6), 3, 0)  # type: ignore[attr-defined]
        for number in range(3):
            film.seek(number)
            frame = np.asarray(film.convert("RGBA"))
            part = slice(6 * number, 6 * number + 6)
            if alpha is None:
                assert np.array_equal(frame[..., :3], np.broadcast_to(strip[part], (6, 8, 3)))
            else:
                assert np.array_equal(frame[..., 3], alpha[part])


@pytest.mark.parametrize(("form", "frames"), [("png", 3), ("webp", 4), ("webp", 0), ("webp", 2048)])
def test_what_is_no_strip_of_frames_is_refused(form: str, frames: int) -> None:
    with pytest.raises(ValueError, match="frames"):
        images.write(Picture(noise(max(18, frames), 8, 1)), form, frames=frames)


def test_the_side_of_a_frame_is_bounded_and_not_the_strips() -> None:
    strip = np.zeros((100 * 200, 1, 1), np.uint8)
    assert images.write(Picture(strip), "webp", frames=100)
    with pytest.raises(PictureTooLarge):
        images.write(Picture(strip), "webp")


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
    ("shape", "dtype", "alpha", "came", "wished", "answered"),
    [
        ((3, 3, 3), np.uint8, False, "jpeg", (), "jpeg"),
        ((3, 3, 3), np.uint8, False, "heic", (), "png"),
        ((3, 3, 3), np.uint8, True, "bmp", (), "png"),
        ((3, 3, 3), np.uint8, True, "png", ("jpeg", "png"), "png"),
        ((3, 3, 3), np.uint8, True, "png", ("jpeg",), "jpeg"),
        ((3, 3, 1), np.uint16, False, "png", ("avif", "webp", "png"), "png"),
        ((1, 17_000, 1), np.uint8, False, "png", ("webp", "jpeg"), "jpeg"),
        ((3, 3, 1), np.uint16, False, "png", ("webp", AS_IT_CAME), "png"),
        ((3, 3, 1), np.uint8, False, "jpeg", ("webp", AS_IT_CAME), "webp"),
        ((1, 17_000, 1), np.uint8, True, "bmp", ("webp", AS_IT_CAME), "png"),
        ((1, 33_000, 1), np.uint8, False, "png", ("avif", "png"), "png"),
    ],
)
def test_the_format_of_an_answer_is_the_best_that_holds_all_of_it(
    shape: tuple[int, ...], dtype: type, alpha: bool, came: str, wished: tuple[str, ...], answered: str
) -> None:
    picture = Picture(np.zeros(shape, dtype), np.zeros(shape[:2], dtype) if alpha else None, format=came)
    assert images.format_for(picture, [one for one in wished if one in (*WRITTEN, AS_IT_CAME)]) == answered


@pytest.mark.parametrize("quality", [90, 100])
@pytest.mark.parametrize("form", images.WRITTEN)
def test_more_effort_takes_no_less_time(form: str, quality: int):
    toils = [images.toil(form, quality, effort) for effort in range(10)]
    assert toils == sorted(toils)
    assert toils[0] >= 1
    assert images.toil(form) == 1
    for wrong in ({"quality": 0}, {"effort": 10}):
        with pytest.raises(ValueError, match="quality is 1 to 100"):
            images.toil(form, **wrong)
