from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.restore import Tiling, cut, join, spans, split

numbers = st.tuples(st.sampled_from([1, 4, 8]), st.integers(0, 5), st.integers(1, 20), st.booleans())


def made(multiple: int, halo: int, core: int, with_buckets: bool) -> Tiling:
    """A tiling out of drawn numbers, in steps of its multiple."""
    tile = (2 * halo + core) * multiple
    buckets = tuple(side for side in (32, 64, 128, 256) if side <= tile) if with_buckets else ()
    return Tiling(tile, halo * multiple, multiple, buckets)


@given(side=st.integers(1, 900), drawn=numbers)
def test_every_pixel_is_kept_once_and_a_halo_away_from_inner_edges(side: int, drawn: tuple):
    tiling = made(*drawn)
    found = spans(side, tiling)
    assert [pixel for span in found for pixel in range(span.keep, span.until)] == list(range(side))
    assert len({span.stop - span.start for span in found}) == 1
    assert found[0].stop - found[0].start <= tiling.tile
    for span in found:
        assert span.start % tiling.multiple == (span.stop - span.start) % tiling.multiple == 0
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
        join(canvas, window, tile)
    assert np.array_equal(canvas, picture)


@given(drawn=numbers)
def test_blurring_tiles_is_blurring_the_picture(drawn: tuple):
    """A network of reach `halo`: the answer by tiles is the answer to the whole, seams and edges included."""
    tiling = made(*drawn)
    picture = np.random.default_rng(1).integers(0, 255, (96, 120, 1)).astype(np.uint16)
    canvas = np.zeros_like(picture)
    for window in split(96, 120, Tiling(tiling.tile, tiling.halo, tiling.multiple)):
        join(canvas, window, blurred(cut(picture, window), tiling.halo))
    assert np.array_equal(canvas, blurred(picture, tiling.halo))


def test_windows_are_no_larger_than_they_need_be():
    shapes = {window.shape for window in split(600, 100, Tiling(512, 48, 8))}
    assert shapes == {(352, 104)}


def test_buckets_are_the_only_sides_there_are():
    shapes = {window.shape for window in split(70, 300, Tiling(256, 16, 8, (64, 128, 256)))}
    assert shapes == {(128, 256)}


def test_a_tile_must_hold_more_than_its_halos():
    with pytest.raises(ValueError, match="two halos"):
        Tiling(64, 32, 8)
    with pytest.raises(ValueError, match="divide by 8"):
        Tiling(64, 12, 8)


def blurred(picture: np.ndarray, reach: int) -> np.ndarray:
    """The sum over a column of 2 * reach + 1 pixels and a row of as many, nothing beyond the edge."""
    padded = np.pad(picture, [(reach, reach), (reach, reach), (0, 0)])
    height, width = picture.shape[:2]
    rows = sum(padded[reach + d : reach + d + height, reach : reach + width] for d in range(-reach, reach + 1))
    columns = sum(padded[reach : reach + height, reach + d : reach + d + width] for d in range(-reach, reach + 1))
    return rows + columns
