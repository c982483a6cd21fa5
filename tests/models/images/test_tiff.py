"""TIFF of every depth and layout comes out as it should, of whole numbers and of floating point ones."""

import struct
from itertools import product

import numpy as np
import pytest
from files import encoded, laid_tiff, noise, tiff
from PIL import Image

from models import images
from models.images import DamagedPicture, PictureError, UnsupportedDepth


@pytest.mark.parametrize("end", ["<", ">"])
@pytest.mark.parametrize(("channels", "more"), [(1, {}), (3, {}), (4, {"t338": 2}), (4, {"t338": 0})])
def test_tiff_of_16_bits(end: str, channels: int, more: dict[str, int]) -> None:
    samples = noise(5, 7, channels, dtype=np.uint16)
    picture = images.read(tiff(samples, end, **more))
    assert picture.pixels.dtype == np.uint16
    assert np.array_equal(picture.pixels, samples[..., :3])
    assert (picture.alpha is not None) == (more == {"t338": 2})
    assert picture.alpha is None or np.array_equal(picture.alpha, samples[..., 3])


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("end", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_however_it_is_laid(dtype: type, end: str, channels: int, compression: int) -> None:
    samples = noise(37, 53, channels, dtype=dtype)
    extra = {} if channels in (1, 3) else {"t338": 2}
    for tiled, planar, differences in product([False, True], [False, True], [False, True]):
        if (differences and compression not in (5, 8)) or (planar and channels == 1):
            continue
        picture = images.read(laid_tiff(samples, end, compression, tiled, planar, differences, **extra))
        assert picture.pixels.dtype == dtype
        assert np.array_equal(picture.pixels, samples[..., : 1 if channels < 3 else 3])
        assert (picture.alpha is not None) == (channels in (2, 4))
        assert picture.alpha is None or np.array_equal(picture.alpha, samples[..., -1])


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_that_is_multiplied_in_is_taken_out(dtype: type, channels: int, planar: bool) -> None:
    white = int(np.iinfo(dtype).max)
    samples = np.full((1, 5, channels), white // 4, dtype)
    samples[0, :, -1] = [white, white // 2, white // 4, white // 8, 0]
    data = laid_tiff(samples, planar=planar, t338=1)
    picture = images.read(data)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, samples[..., -1])
    wanted = np.array([white // 4, white // 2, white, white])
    assert np.abs(picture.pixels[0, :-1].astype(int) - wanted[:, None]).max() <= 3


def test_what_is_no_alpha_is_left_out() -> None:
    for channels in (2, 4):
        samples = noise(5, 7, channels, dtype=np.uint16)
        picture = images.read(laid_tiff(samples, t338=0))
        assert picture.alpha is None
        assert np.array_equal(picture.pixels, samples[..., :-1])


@pytest.mark.parametrize("channels", [1, 2])
def test_tiff_of_16_bits_with_white_at_zero(channels: int) -> None:
    samples = noise(5, 7, channels, dtype=np.uint16)
    picture = images.read(laid_tiff(samples, t262=0))
    assert np.array_equal(picture.pixels, 65_535 - samples[..., :1])
    assert picture.alpha is None or np.array_equal(picture.alpha, samples[..., 1])


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_tiff_of_16_bits_is_told_from_a_small_one(orientation: int) -> None:
    """Read as grey it is three or four times as wide; the limits are those of the picture."""
    data = laid_tiff(noise(20, 60, 4, dtype=np.uint16), t338=2, t274=orientation)
    assert images.read(data, images.Limits(max_pixels=1200, max_side=60)).height in (20, 60)
    for limits in (images.Limits(max_pixels=1199), images.Limits(max_side=59)):
        with pytest.raises(images.PictureTooLarge):
            images.read(data, limits)


@pytest.mark.parametrize("planar", [False, True])
def test_tiff_of_16_bits_cut_short(planar: bool) -> None:
    whole = laid_tiff(noise(40, 50, 3, dtype=np.uint16), compression=8, planar=planar)
    for tenth in range(10):
        with pytest.raises(PictureError):
            images.read(whole[: len(whole) * tenth // 10])


@pytest.mark.parametrize(
    "data",
    [
        tiff(noise(9, 11, 3), t278=8),
        tiff(noise(9, 11, 3), t278=0),
        tiff(noise(9, 11, 1), t257=10, t278=9),
        laid_tiff(noise(16, 32, 3), tiled=True, t257=17),
        laid_tiff(noise(16, 32, 3), tiled=True, t256=33),
        laid_tiff(noise(16, 32, 1), planar=True, t277=3, t262=2),
    ],
    ids=["rows", "none", "height", "tiles down", "tiles across", "planes"],
)
def test_tiff_of_fewer_parts_than_its_size_takes(data: bytes) -> None:
    with pytest.raises(DamagedPicture):
        images.read(data)


def test_tiff_of_12_bits_reaches_white() -> None:
    data = tiff(np.full((1, 2, 1), 0xFFFF, np.uint16)).replace(
        struct.pack("<HHIH", 258, 3, 1, 16), struct.pack("<HHIH", 258, 3, 1, 12)
    )
    assert images.read(data).pixels.tolist() == [[[65_535], [65_535]]]


GREYS = np.linspace(0, 1, 15, dtype=np.float32).reshape(3, 5, 1)


@pytest.mark.parametrize("end", ["<", ">"])
@pytest.mark.parametrize("scaled", [GREYS, GREYS * 255, GREYS - 9, (GREYS - 0.5) * 3e38])
def test_floats_become_16_bits(scaled: np.ndarray, end: str) -> None:
    """White is 1 where nothing is above it, and the greatest where something is."""
    whole = (GREYS * 65_535).round()
    for channels in (1, 3):
        samples = np.repeat(scaled, channels, 2)
        laid = [laid_tiff(samples, end, compression=8, t339=3)]
        laid += [laid_tiff(samples, end, planar=True, t339=3)] if channels == 3 else []
        for data in (tiff(samples, end, t339=3), *laid):
            picture = images.read(data)
            assert picture.pixels.dtype == np.uint16
            assert np.abs(picture.pixels - np.repeat(whole, channels, 2)).max() <= 1


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("end", ["<", ">"])
def test_floats_however_they_are_laid(end: str, dtype: type, compression: int) -> None:
    samples = np.random.default_rng(0).random((37, 53, 4)).astype(dtype)
    samples[0, 0], samples[0, 1] = 0, 1
    whole = (samples.astype(np.float64) * 65_535).round()
    for channels, tiled, planar, differences in product((1, 2, 3, 4), *[[False, True]] * 3):
        if (differences and compression not in (5, 8)) or (planar and channels == 1):
            continue
        extra = {} if channels in (1, 3) else {"t338": 2}
        data = laid_tiff(samples[..., :channels], end, compression, tiled, planar, differences, t339=3, **extra)
        picture = images.read(data)
        assert picture.pixels.dtype == np.uint16
        assert np.abs(picture.pixels - whole[..., : 1 if channels < 3 else 3]).max() <= 1
        assert (picture.alpha is not None) == (channels in (2, 4))
        assert picture.alpha is None or np.abs(picture.alpha - whole[..., channels - 1]).max() <= 1


def test_floats_told_as_differences_are_those_that_libtiff_wrote() -> None:
    image = Image.fromarray(GREYS[..., 0], "F")
    data = encoded(image, "TIFF", compression="tiff_lzw", tiffinfo={317: 3})
    assert np.abs(images.read(data).pixels - (GREYS * 65_535).round()).max() <= 1


def test_alpha_that_is_multiplied_into_floats_is_taken_out() -> None:
    samples = np.full((1, 4, 4), 0.25, np.float32)
    samples[0, :, 3] = [1, 0.5, 0.25, 0]
    picture = images.read(tiff(samples, t338=1, t339=3))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[65_535, 32_768, 16_384, 0]]
    assert picture.pixels[0, :, 0].tolist() == [16_384, 32_768, 65_535, 0]


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_alpha_of_floats_has_to_be_finite_and_between_0_and_1(odd: float) -> None:
    samples = np.zeros((2, 2, 2), np.float32)
    samples[0, 0, 1] = odd
    with np.errstate(all="ignore"), pytest.raises((DamagedPicture, UnsupportedDepth)):
        images.read(tiff(samples, t338=2, t339=3))
    with pytest.raises(UnsupportedDepth, match="transparency"):
        images.read(tiff(np.full((2, 2, 2), 7, np.float32), t338=2, t339=3))


@pytest.mark.parametrize("compression", [1, 8])
def test_grey_with_white_at_zero_keeps_its_alpha(compression: int) -> None:
    samples = noise(20, 7, 2)
    for differences in (False, True) if compression == 8 else (False,):
        picture = images.read(laid_tiff(samples, compression=compression, differences=differences, t262=0, t338=2))
        assert np.array_equal(picture.pixels, 255 - samples[..., :1])
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, samples[..., 1])


def test_floats_may_use_a_part_of_the_scale_or_none() -> None:
    assert images.read(tiff(GREYS / 4, t339=3)).pixels.max() == round(65_535 / 4)
    assert images.read(tiff(GREYS, photometric=0, t339=3)).pixels[0, 0] == 65_535
    assert images.read(tiff(np.full((2, 2, 1), 7, np.float32), t339=3)).pixels.max() == 0


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 3])
def test_floats_that_are_not_finite_are_damaged(odd: float, channels: int) -> None:
    samples = np.repeat(GREYS, channels, 2)
    samples[1, 2] = odd
    # Silent, as outside of tests: here a warning is an error, which would be told as damage as well.
    with np.errstate(all="ignore"), pytest.raises(DamagedPicture):
        images.read(tiff(samples, t339=3))
