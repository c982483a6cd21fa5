import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from models.mixture import Mixture
from models.sampling import PATHS, around, between, draw_codes, generator_of, grid, sphere, straight

CODES = arrays(np.float32, 5, elements=some.floats(-100, 100, width=32))


def test_a_code_depends_on_the_seed_and_its_number_alone():
    many = draw_codes(8, seed=7, first=0, count=20)
    assert np.array_equal(many[5:9], draw_codes(8, seed=7, first=5, count=4))
    assert not np.array_equal(many, draw_codes(8, seed=8, first=0, count=20))
    assert not np.array_equal(many[1:], draw_codes(8, seed=8, first=0, count=19))


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, 2**62 + 5, 2**128 + 3])
@pytest.mark.parametrize("number", [0, 3, 2**32 + 1])
def test_a_generator_is_that_of_numpys_spawned_seeds(seed: int, number: int):
    spawned = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    assert np.array_equal(generator_of(seed, number).integers(2**63, size=4), spawned.integers(2**63, size=4))


def test_all_bits_of_a_seed_count():
    codes = [draw_codes(8, seed, 0, 4) for seed in (5, 2**32 + 5, 2**62 + 5)]
    assert len({code.tobytes() for some in codes for code in some}) == 12


def test_temperature_scales_the_same_code():
    assert np.allclose(0.5 * draw_codes(8, 3, 0, 2), draw_codes(8, 3, 0, 2, temperature=0.5))
    assert not draw_codes(8, 3, 0, 2, temperature=0.0).any()


def test_codes_are_standard_normal():
    codes = draw_codes(50, 2**63 - 1, 0, 200)
    assert abs(float(codes.mean())) < 0.05
    assert abs(float(codes.std()) - 1) < 0.05


def test_codes_of_a_prior_depend_on_the_seed_and_their_number_alone():
    prior = Mixture(np.array([0.5, 0.5]), np.array([[0.0] * 3, [100.0] * 3]), np.stack([np.eye(3)] * 2))
    many = draw_codes(3, 7, 0, 40, prior=prior)
    assert np.array_equal(many[5:9], draw_codes(3, 7, 5, 4, prior=prior))
    assert 5 < (many.mean(1) > 50).sum() < 35
    still = draw_codes(3, 7, 0, 40, temperature=0.0, prior=prior)
    assert np.array_equal(still, 100.0 * (many.mean(1, keepdims=True) > 50) * np.ones(3))


def test_a_grid_is_about_square_and_holds_every_picture_in_order():
    pictures = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 1), np.uint8)
    sheet = grid(pictures, gap=1)
    assert sheet.shape == (1 + 2 * 5, 1 + 3 * 7, 1)
    assert [int(sheet[1, 1, 0]), int(sheet[1, 8, 0]), int(sheet[6, 1, 0]), int(sheet[6, 15, 0])] == [0, 1, 3, 255]


def test_between_pictures_that_may_be_transparent_is_nothing():
    assert not grid(np.full((3, 4, 6, 4), 9, np.uint8), gap=1)[[0, 5, -1]].any()
    assert (grid(np.full((3, 4, 6, 3), 9, np.uint8), gap=1)[0] == 255).all()


def test_the_way_on_a_sphere_keeps_its_length_and_its_pace():
    a, b = np.array([3.0, 0.0]), np.array([0.0, 3.0])
    codes = sphere(a, b, np.array([0, 1 / 3, 2 / 3, 1]))
    assert np.allclose(np.linalg.norm(codes, axis=1), 3)
    assert np.allclose(np.degrees(np.arctan2(codes[:, 1], codes[:, 0])), [0, 30, 60, 90])


def test_lengths_change_evenly_on_the_way():
    codes = sphere(np.array([1.0, 0.0]), np.array([0.0, 3.0]), np.array([0.25, 0.5]))
    assert np.allclose(np.linalg.norm(codes, axis=1), [1.5, 2])


def test_codes_that_are_nearly_opposed_stay_within_bounds():
    codes = sphere(np.array([1.0, 0.0]), np.array([-2.0, 1e-5]), np.linspace(0, 1, 5))
    assert np.allclose(np.linalg.norm(codes, axis=1), [1, 1.25, 1.5, 1.75, 2])


def test_the_straight_way_is_straight():
    assert np.allclose(straight(np.array([0.0, 2.0]), np.array([4.0, 0.0]), np.array([0.25])), [[1.0, 1.5]])


@pytest.mark.parametrize("b", [[2, 0], [4, 0], [-2, 0], [0, 0], [2, 1e-30]])
def test_parallel_opposed_and_nought_codes_have_a_straight_way(b: list[float]):
    codes = between(np.array([2, 0], np.float32), np.array(b, np.float32), 3)
    assert np.allclose(codes[1], [(2 + b[0]) / 2, 0])


@pytest.mark.parametrize("path", PATHS)
@given(CODES, CODES, some.integers(2, 9))
def test_the_ends_are_exactly_the_two_codes_and_all_between_is_finite(path: str, a, b, steps: int):
    codes = between(a, b, steps, path)
    assert codes.shape == (steps, 5)
    assert codes.dtype == np.float32
    assert np.array_equal(codes[[0, -1]], [a, b])
    assert np.linalg.norm(codes, axis=1).max() <= 1.001 * max(np.linalg.norm(a), np.linalg.norm(b))


def test_nearly_the_same_code_is_no_leap():
    a = draw_codes(8, 1, 0, 1)[0]
    assert np.allclose(between(a, a * np.float32(1.0000001), 5), a, rtol=1e-5)


def test_around_a_code_one_direction_moves_and_the_middle_is_the_code():
    code = draw_codes(4, 1, 0, 1)[0]
    codes = around(code, (2,), span=3.0, steps=5)
    assert np.allclose(codes[:, 2] - code[2], [-3, -1.5, 0, 1.5, 3])
    assert np.array_equal(np.delete(codes, 2, 1), np.repeat(np.delete(code, 2)[None], 5, 0))
    assert np.array_equal(codes[2], code)


def test_two_directions_go_down_and_across():
    code = np.zeros(4, np.float32)
    codes = around(code, (3, 1), span=1.0, steps=3).reshape(3, 3, 4)
    assert np.array_equal(codes[:, 0, 3], [-1, 0, 1])
    assert np.array_equal(codes[0, :, 1], [-1, 0, 1])
    assert not codes[..., [0, 2]].any()
