import numpy as np
import pytest
from files import noise

from models.images import Picture


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_on_white_paper(dtype: type) -> None:
    peak = int(np.iinfo(dtype).max)
    pixels, alpha = np.full((1, 3, 3), 100, dtype), np.array([[0, peak // 2, peak]], dtype)
    assert np.allclose(Picture(pixels, alpha).on_white[0, :, 0], [peak, (100 + peak) / 2, 100], atol=1)
    assert Picture(pixels).on_white is pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_network_that_knows_transparency_is_shown_colours_multiplied_by_it(dtype: type) -> None:
    peak = int(np.iinfo(dtype).max)
    pixels, alpha = np.full((1, 3, 3), 100, dtype), np.array([[0, peak // 2, peak]], dtype)
    seen = Picture(pixels, alpha).seen(4)
    assert seen.shape == (1, 3, 4)
    assert seen.dtype == dtype
    assert np.allclose(seen[0, :, :3].T, [0, 50, 100], atol=1)
    assert np.array_equal(seen[..., 3], alpha)
    assert np.array_equal(Picture(pixels, alpha).seen(3), Picture(pixels, alpha).on_white)
    opaque = Picture(pixels[..., :1]).seen(4)
    assert np.array_equal(opaque[0, 0], [100, 100, 100, peak])


def test_what_a_network_says_is_a_picture() -> None:
    samples = noise(7, 9, 4)
    samples[..., :3] = np.minimum(samples[..., :3], samples[..., 3:])  # as it is of colours that were multiplied
    picture = Picture.of(samples)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, samples[..., 3])
    assert np.abs(picture.seen(4).astype(int) - samples).max() <= 1
    for channels in (1, 3):
        plain = Picture.of(samples[..., :channels])
        assert plain.alpha is None
        assert np.array_equal(plain.pixels, samples[..., :channels])


def test_a_profile_is_kept_where_grey_stays_grey_and_colour_colour() -> None:
    given = Picture(noise(4, 5, 3), noise(4, 5), b"profile", "tiff")
    other = given.repainted(Picture(noise(2, 2, 3)))
    assert (other.profile, other.format, other.alpha, other.width) == (b"profile", "tiff", None, 2)
    assert given.repainted(Picture(noise(2, 2, 1))).profile is None


def test_colours_brighter_than_their_alpha_are_as_bright_as_can_be() -> None:
    assert np.array_equal(Picture.of(np.array([[[9, 2, 0, 4]]], np.uint8)).pixels[0, 0], [255, 128, 0])
    assert np.array_equal(Picture.of(np.array([[[9, 0, 0, 0]]], np.uint8)).pixels[0, 0], [255, 0, 0])


@pytest.mark.parametrize(
    "fields", [(noise(4, 4),), (noise(4, 4, 4),), (noise(4, 4, 3).astype(float),), (noise(4, 4, 3), noise(3, 4))]
)
def test_a_picture_is_what_it_says(fields: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Picture(*fields)
