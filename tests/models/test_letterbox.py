import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import letterbox
from models.letterbox import CannotFit, fitted, placed, resampled, weights


def noise(height: int, width: int, channels: int = 1, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (height, width, channels)).astype(dtype)


@given(
    given=st.tuples(st.integers(1, 300), st.integers(1, 300)), size=st.tuples(st.integers(1, 80), st.integers(1, 80))
)
def test_the_box_is_within_touches_two_edges_and_keeps_proportions(given: tuple[int, int], size: tuple[int, int]):
    try:
        box = placed(given, size)
    except CannotFit:
        return
    assert 0 <= box.top <= box.top + box.height <= size[0]
    assert 0 <= box.left <= box.left + box.width <= size[1]
    assert box.height == size[0] or box.width == size[1]
    scale = min(size[0] / given[0], size[1] / given[1])
    assert abs(box.height - given[0] * scale) <= 0.5
    assert abs(box.width - given[1] * scale) <= 0.5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_depth_and_channels_stay(dtype: Any, channels: int):
    pixels, _ = fitted(noise(40, 23, channels, dtype), (28, 28))
    assert (pixels.shape, pixels.dtype) == ((28, 28, channels), dtype)


def test_a_picture_of_that_size_is_itself():
    picture = noise(28, 20)
    pixels, placement = fitted(picture, (28, 20))
    assert pixels is picture
    assert placement.untouched


def test_the_bars_continue_the_paper():
    picture = np.full((10, 30, 3), (250, 240, 230), np.uint8)
    picture[3:7, 10:20] = 0
    pixels, placement = fitted(picture, (30, 30))
    assert str(placement) == "30x10 to 30x10+0+10 of 30x30"
    assert np.array_equal(pixels[placement.box], picture)
    assert (pixels[:10] == (250, 240, 230)).all()


def test_what_was_done_is_said():
    assert str(placed((100, 50), (28, 28))) == "50x100 to 14x28+7+0 of 28x28"
    assert str(placed((28, 28), (28, 28))) == "28x28, as it is"


def test_a_picture_that_would_vanish_is_refused():
    with pytest.raises(CannotFit, match="5000x2"):
        fitted(noise(2, 5000), (28, 28))
    assert fitted(noise(2, 56), (28, 28))[1].height == 1


@given(st.integers(1, 400), st.integers(1, 90))
def test_each_sample_is_a_mean_of_those_around(given: int, wanted: int):
    matrix = weights(given, wanted)
    assert matrix.min() >= 0
    assert np.allclose(matrix.sum(1), 1, atol=1e-5)


def test_halving_keeps_the_mean_and_no_stripes():
    stripes = np.tile(np.array([0, 255], np.uint8), 40)[None, :, None].repeat(8, 0)
    halved = resampled(stripes, (4, 40))
    assert np.abs(halved[:, 2:-2] - 127.5).max() < 1


def test_growing_is_linear_between_samples():
    assert np.allclose(resampled(np.array([[[0], [100]]], np.uint8), (1, 4))[0, :, 0], [0, 25, 75, 100])


def test_rows_taken_in_parts_are_rows_taken_together(monkeypatch: pytest.MonkeyPatch):
    picture = noise(300, 17, 3)
    together = resampled(picture, (31, 40))
    monkeypatch.setattr(letterbox, "ROWS", 7)
    assert np.allclose(resampled(picture, (31, 40)), together, atol=1e-3)


def test_rows_of_a_stretched_picture_are_those_of_the_whole():
    picture = resampled(noise(9, 5, 2), (9, 5))
    whole = resampled(picture, (40, 5))
    parts = [letterbox.stretched(picture, 40, start, min(start + 7, 40)) for start in range(0, 40, 7)]
    assert np.allclose(np.concatenate(parts), whole, atol=1e-3)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([4, 16]))
def test_a_picture_is_brought_to_about_one_size_and_never_to_a_strip_without_end(
    height: int, width: int, multiple: int
):
    tall, wide = letterbox.of_area(height, width, 64, multiple)
    assert tall % multiple == wide % multiple == 0
    assert 0 < tall * wide <= 64**2 * 1.5
    assert max(tall, wide) <= 4 * 64


@pytest.mark.parametrize(("given", "wanted"), [(700, 90), (90, 700), (513, 512), (1, 5)])
def test_some_of_the_weights_are_those_of_all(given: int, wanted: int):
    whole = weights(given, wanted)
    assert np.allclose(whole.sum(1), 1)
    rows, samples = slice(wanted // 3, wanted // 3 + 4), slice(given // 4, given // 2 + 1)
    assert np.array_equal(weights(given, wanted, rows, samples), whole[rows, samples])


def test_of_a_long_picture_no_more_is_held_than_it_takes():
    tracemalloc.start()
    try:
        resampled(np.zeros((65_535, 8, 1), np.uint8), (900, 8))
        assert tracemalloc.get_traced_memory()[1] < 20e6  # the weights of all samples would be 236 MB
    finally:
        tracemalloc.stop()
