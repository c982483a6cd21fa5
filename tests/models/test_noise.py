import numpy as np
import pytest

from models import noise


def scene(height: int = 96, width: int = 128, channels: int = 3) -> np.ndarray:
    """A clean picture, `h w c` floats in 0..255: a slanting gradient, a disc, a striped square."""
    y, x = np.mgrid[:height, :width].astype(float)
    grey = 50 + 150 * (x + y) / (height + width)
    grey[(y - height / 3) ** 2 + (x - width / 3) ** 2 < (height / 5) ** 2] = 190
    stripes = (y > height * 0.6) & (x > width * 0.6)
    grey[stripes] = np.where(x[stripes] % 6 < 3, 70, 170)
    return np.stack([grey * share for share in (1.0, 0.8, 0.6)[:channels]], axis=2)


def coded(values: np.ndarray, depth: type = np.uint8) -> np.ndarray:
    top = np.iinfo(depth).max
    return np.clip(np.round(values * (top / 255)), 0, top).astype(depth)


def noisy(clean: np.ndarray, level: float, depth: type = np.uint8, seed: int = 0) -> np.ndarray:
    return coded(clean + level * np.random.default_rng(seed).standard_normal(clean.shape), depth)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("level", [2, 5, 15, 25, 50, 75])
def test_the_level_before_clipping_is_told(level: float, depth: type, channels: int):
    picture = noisy(scene(channels=channels), level, depth)
    assert noise.estimate(picture) == pytest.approx(level, rel=0.06)


def test_a_clean_picture_has_hardly_any_noise():
    assert noise.estimate(coded(scene())) < 0.5


def test_two_depths_of_one_picture_have_one_level():
    picture = noisy(scene(), 20)
    assert noise.estimate(picture.astype(np.uint16) * 257) == pytest.approx(noise.estimate(picture), rel=0.01)


def test_a_fine_16_bit_level_is_told():
    assert noise.estimate(noisy(scene(), 0.2, np.uint16)) == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize("value", [20, 235])
def test_noise_that_is_clipped_nearly_everywhere(value: float):
    picture = noisy(np.full((96, 96, 3), value), 50)
    assert picture.std() < 40
    assert noise.estimate(picture) == pytest.approx(50, rel=0.08)


@pytest.mark.parametrize("value", [0, 255])
def test_noise_on_black_and_white_alone_is_told_roughly(value: float):
    assert noise.estimate(noisy(np.full((96, 96, 3), value), 50)) == pytest.approx(50, rel=0.15)


def test_no_level_above_a_hundred():
    assert noise.estimate(noisy(scene(), 180)) == 100.0


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("value", [0, 90, 255])
def test_a_picture_of_one_colour_has_none(value: float, depth: type):
    assert noise.estimate(coded(np.full((40, 50, 3), value), depth)) == 0.0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (4, 4), (5, 5)])
def test_a_few_pixels_tell_nothing(size: tuple[int, int], channels: int):
    assert noise.estimate(noisy(np.full((*size, channels), 120), 30)) == 0.0


@pytest.mark.parametrize("size", [(1, 400), (400, 1), (3, 200), (16, 16), (32, 32)])
def test_small_and_thin_pictures(size: tuple[int, int]):
    assert noise.estimate(noisy(np.full((*size, 3), 120), 15)) == pytest.approx(15, rel=0.2)


def test_every_small_size_gets_a_finite_level():
    levels = [noise.estimate(noisy(scene(height, width), 20)) for height in range(1, 13) for width in range(1, 13)]
    assert all(0 <= level <= 100 for level in levels)


def test_grey_in_three_channels_is_grey():
    grey = noisy(scene(channels=1), 20)
    assert noise.estimate(np.repeat(grey, 3, axis=2)) == noise.estimate(grey)


def test_black_bars_and_blown_areas_are_left_out():
    picture = noisy(scene(), 20)
    picture[:12] = 0
    picture[-12:] = 255
    assert noise.estimate(picture) == pytest.approx(20, rel=0.06)


@pytest.mark.parametrize("hidden", [0.0, 99.0, "noise"])
def test_what_alpha_hides_is_not_looked_at(hidden: float | str):
    alpha = np.full((96, 128), 255, np.uint8)
    alpha[:, 40:] = 0
    picture = noisy(scene(), 20)
    picture[:, 40:] = noisy(scene(), 60)[:, 40:] if hidden == "noise" else hidden
    assert noise.estimate(picture, alpha) == pytest.approx(20, rel=0.1)
    assert noise.estimate(picture, np.zeros_like(alpha)) == 0.0


def test_a_channel_without_light_is_left_out():
    picture = noisy(scene(), 20)
    picture[:, :, 2] = 0
    assert noise.estimate(picture) == pytest.approx(20, rel=0.06)


@pytest.mark.parametrize("paper", [240, 255])
def test_strokes_on_paper_are_no_noise(paper: int):
    strokes = np.kron(np.random.default_rng(0).random((60, 80)) < 0.3, np.ones((2, 2)))
    strokes[::8] = strokes[1::8] = strokes[2::8] = 0
    assert noise.estimate(coded(np.where(strokes, 20, paper)[:, :, None])) == 0.0


@pytest.mark.parametrize("period", [1, 2, 4])
def test_a_chequered_picture_is_no_noise(period: int):
    y, x = np.mgrid[:128, :128] // period
    assert noise.estimate(coded(np.where((x + y) % 2, 40, 220)[:, :, None])) == 0.0


def test_the_same_pixels_get_the_same_level_and_are_left_alone():
    picture = noisy(scene(), 25)
    before = picture.copy()
    picture.setflags(write=False)
    assert noise.estimate(picture) == noise.estimate(picture)
    assert np.array_equal(picture, before)


def test_a_view_with_odd_strides_reads_the_same():
    picture = noisy(scene(), 25)
    wide = np.repeat(picture, 2, axis=1)
    assert noise.estimate(wide[:, ::2]) == noise.estimate(picture)


def test_a_huge_picture_costs_no_more_patches():
    huge = np.broadcast_to(noisy(scene(1, 6000), 10), (8000, 6000, 3))
    windows, size = noise.sample(huge)
    assert windows.shape == (noise.PATCHES, 3, 25)
    assert size == (5, 5)


def test_the_sampled_places_are_spread_evenly():
    places = noise.golden(1000, 1_000_000)
    assert places.min() >= 0
    assert places.max() < 1_000_000
    assert np.diff(np.sort(places)).max() < 3000


@pytest.mark.parametrize("level", [5.0, 50.0, 100.0])
def test_clipped_moments_are_those_of_clipped_samples(level: float):
    values = np.array([0.0, 30.0, 128.0, 255.0])
    samples = values + level * np.random.default_rng(0).standard_normal((200_000, 4))
    clipped = samples.clip(0, 255)
    mean, deviation = noise.clipped_moments(values, level)
    assert mean == pytest.approx(clipped.mean(0), abs=0.01 * level)
    assert deviation == pytest.approx(clipped.std(0), rel=0.01)


def test_cosines_are_orthonormal_and_blind_to_the_mean():
    fine, coarse = noise.cosines(5, 5)
    rows = np.concatenate([fine, coarse])
    assert rows @ rows.T == pytest.approx(np.eye(24), abs=1e-5)
    assert rows.sum(1) == pytest.approx(np.zeros(24), abs=1e-5)


def test_texture_is_cut_from_the_variances():
    assert noise.flat_part(np.array([0.9, 1.0, 1.1, 40.0, 500.0])) == pytest.approx(1.0)
