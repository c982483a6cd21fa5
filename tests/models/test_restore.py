from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.restore import Tiling, blended, cut, cuts, filled, join, kept, shown, spans, split

numbers = st.tuples(st.sampled_from([1, 4, 8]), st.integers(0, 5), st.integers(1, 20), st.booleans())


def made(multiple: int, halo: int, core: int, with_buckets: bool) -> Tiling:
    """A tiling out of drawn numbers, in steps of its multiple."""
    tile = (2 * halo + core) * multiple
    buckets = tuple(side for side in (32, 64, 128, 256) if side <= tile) if with_buckets else ()
    return Tiling(tile, halo * multiple, multiple, buckets)


@given(side=st.integers(1, 900), drawn=numbers)
def test_every_pixel_is_kept_once_and_a_halo_away_from_inner_edges(side: int, drawn: tuple):
    tiling = made(*drawn)
    for cut_so in cuts(side, tiling):
        found = spans(side, cut_so, tiling)
        assert len(found) == cut_so.windows
        assert [pixel for span in found for pixel in range(span.keep, span.until)] == list(range(side))
        for span in found:
            assert span.stop - span.start == cut_so.length
            assert span.start % tiling.multiple == cut_so.length % tiling.multiple == 0
        for before, after in pairwise(found):
            assert before.stop - before.until >= tiling.halo
            assert after.keep - after.start >= tiling.halo


@given(height=st.integers(1, 150), width=st.integers(1, 150), drawn=numbers)
def test_cut_and_joined_untouched_a_picture_is_itself(height: int, width: int, drawn: tuple):
    tiling = made(*drawn)
    picture = np.random.default_rng(0).integers(0, 65535, (height, width, 3), np.uint16)
    canvas = np.zeros_like(picture)
    for window in split(height, width, tiling):
        tile = cut(picture, window)
        assert tile.shape[:2] == window.shape
        assert tile.shape[0] * tile.shape[1] <= tiling.tile**2
        assert not tiling.buckets or max(window.shape) <= tiling.tile
        join(canvas, window, kept(picture, None, window, tile))
    assert np.array_equal(canvas, picture)


@given(drawn=numbers)
def test_blurring_tiles_is_blurring_the_picture(drawn: tuple):
    """A network of reach `halo`: the answer by tiles is the answer to the whole, seams and edges included."""
    tiling = made(*drawn)
    picture = np.random.default_rng(1).integers(0, 255, (96, 120, 1)).astype(np.uint16)
    canvas = np.zeros_like(picture)
    for window in split(96, 120, Tiling(tiling.tile, tiling.halo, tiling.multiple)):
        join(canvas, window, kept(picture, None, window, blurred(cut(picture, window), tiling.halo)))
    assert np.array_equal(canvas, blurred(picture, tiling.halo))


def test_windows_are_no_larger_than_they_need_be():
    assert {window.shape for window in split(600, 100, Tiling(512, 48, 8))} == {(600, 104)}
    assert {window.shape for window in split(600, 100, Tiling(200, 48, 8))} == {(352, 104)}


def test_pictures_are_cut_so_that_little_is_computed_twice():
    windows = split(2000, 2000, Tiling(896, 56, 8))
    assert {window.shape for window in windows} == {(1056, 744)}
    assert len(windows) == 6, "nine squares would compute a twentieth more"
    assert {window.shape for window in split(16, 30_000, Tiling(896, 56, 8))} == {(16, 30_000)}


def test_buckets_are_the_only_sides_there_are():
    shapes = {window.shape for window in split(70, 300, Tiling(256, 16, 8, (64, 128, 256)))}
    assert shapes == {(128, 128)}, "three of 128 are fewer pixels than two of 256"


def test_a_tile_must_hold_more_than_its_halos():
    with pytest.raises(ValueError, match="two halos"):
        Tiling(64, 32, 8)
    with pytest.raises(ValueError, match="divide by 8"):
        Tiling(64, 12, 8)


@given(
    before=st.lists(st.integers(0, 65_535), min_size=1, max_size=9),
    after=st.integers(0, 65_535),
    strength=st.floats(0, 1),
    deep=st.booleans(),
)
def test_strength_is_the_share_of_the_change_rounded_once(before: list[int], after: int, strength: float, deep: bool):
    dtype, by = (np.uint16, 1) if deep else (np.uint8, 257)
    old = (np.array(before).reshape(-1, 1, 1) // by).astype(dtype)
    new = np.full_like(old, after // by)
    found = blended(old, new, strength)
    assert found.dtype == dtype
    assert np.abs(found - (old + strength * (new.astype(float) - old))).max() <= 0.51
    assert np.array_equal(blended(old, new, 0.0), old)
    assert np.array_equal(blended(old, new, 1.0), new)
    assert np.array_equal(blended(old, old, strength), old)


def test_half_the_strength_is_half_way():
    old, new = np.array([[[0], [10], [255]]], np.uint8), np.array([[[100], [0], [1]]], np.uint8)
    assert blended(old, new, 0.5).tolist() == [[[50], [5], [128]]]
    assert blended(old, new, 0.9).tolist() == [[[90], [1], [26]]]


sides = st.integers(1, 12)


@given(height=sides, width=sides, seed=st.integers(0, 99), share=st.sampled_from([0.05, 0.5, 0.95]))
def test_what_is_hidden_is_filled_with_what_is_seen_near_it(height: int, width: int, seed: int, share: float):
    rng = np.random.default_rng(seed)
    tile = rng.integers(0, 256, (height, width, 3), np.uint8)
    alpha = (rng.random((height, width)) < share).astype(np.uint8) * 9
    found = filled(tile, alpha)
    assert np.array_equal(found[alpha > 0], tile[alpha > 0])
    if (alpha > 0).any():
        colours = {tuple(colour) for colour in tile[alpha > 0].tolist()}
        assert {tuple(colour) for colour in found.reshape(-1, 3).tolist()} <= colours
        other = np.where(alpha[..., None] > 0, tile, 255 - tile)
        assert np.array_equal(filled(other, alpha), found)
    else:
        assert np.array_equal(found, tile)


def test_the_nearest_pixel_of_the_nearest_row_is_taken():
    alpha = np.array([[0, 0, 0, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]])
    tile = np.arange(15).reshape(3, 5, 1)
    assert filled(tile, alpha)[..., 0].tolist() == [[6, 6, 6, 9, 9]] * 3


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_what_is_hidden_is_neither_looked_at_nor_changed(strength: float):
    tiling = Tiling(16, 3)
    rng = np.random.default_rng(0)
    picture, alpha = rng.integers(0, 256, (20, 30, 3), np.uint8), rng.integers(0, 3, (20, 30), np.uint8)
    answers = []
    for unseen in (0, 255):
        given_picture = np.where(alpha[..., None] > 0, picture, np.uint8(unseen))
        canvas = np.zeros_like(picture)
        for window in split(20, 30, tiling):
            answer = blurred(shown(given_picture, alpha, window).astype(int), 3).astype(np.uint8)
            join(canvas, window, kept(given_picture, alpha, window, answer, strength))
        assert (canvas[alpha == 0] == unseen).all()
        answers.append(canvas[alpha > 0])
    assert np.array_equal(*answers)
    assert not np.array_equal(answers[0], picture[alpha > 0])


def blurred(picture: np.ndarray, reach: int) -> np.ndarray:
    """The sum over a column of 2 * reach + 1 pixels and a row of as many, nothing beyond the edge."""
    padded = np.pad(picture, [(reach, reach), (reach, reach), (0, 0)])
    height, width = picture.shape[:2]
    rows = sum(padded[reach + d : reach + d + height, reach : reach + width] for d in range(-reach, reach + 1))
    columns = sum(padded[reach : reach + height, reach + d : reach + d + width] for d in range(-reach, reach + 1))
    return rows + columns
