import numpy as np
import pytest

from models.mixture import Mixture, fitted


def two_clouds() -> np.ndarray:
    generator = np.random.default_rng(0)
    left = generator.normal(0, 1, (600, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]]) + np.array([-5, 0])
    right = generator.normal(0, 0.5, (200, 2)) + np.array([5, 1])
    return np.concatenate([left, right]).astype(np.float32)


def test_two_clouds_are_found_with_their_shares_places_and_shapes():
    mixture = fitted(two_clouds(), 2, seed=1)
    order = mixture.means[:, 0].argsort()
    assert np.allclose(mixture.weights[order], (0.75, 0.25), atol=0.02)
    assert np.allclose(mixture.means[order], [(-5, 0), (5, 1)], atol=0.15)
    lower = mixture.factors[order[0]]
    assert np.allclose(lower @ lower.T, [[1, 0.8], [0.8, 1]], atol=0.25)


def test_what_is_fitted_depends_on_codes_and_seed_alone():
    codes = two_clouds()
    first, again = fitted(codes, 3, seed=5), fitted(codes, 3, seed=5)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    "codes", [np.zeros((1, 3)), np.ones((5, 3)), np.eye(3), np.random.default_rng(0).random((4, 9))]
)
def test_few_or_equal_codes_still_make_a_mixture_of_finite_numbers(codes: np.ndarray):
    mixture = fitted(codes.astype(np.float32), 10)
    assert mixture.factors.shape == (10, codes.shape[1], codes.shape[1])
    assert all(np.isfinite(part).all() for part in mixture)
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("codes", [np.zeros((0, 3)), np.full((2, 3), np.nan)])
def test_codes_that_are_none_are_refused(codes: np.ndarray):
    with pytest.raises(ValueError, match="no codes"):
        fitted(codes, 2)


def test_codes_are_drawn_from_its_components_by_their_chances():
    mixture = Mixture(
        np.array([0.25, 0.75], np.float32),
        np.array([[0.0, 0.0], [9.0, 9.0]], np.float32),
        np.array([np.eye(2), [[2.0, 0.0], [1.0, 1.0]]], np.float32),
    )
    normal = np.array([1.0, -1.0], np.float32)
    assert np.array_equal(mixture.drawn(0.2, normal), [1, -1])
    assert np.array_equal(mixture.drawn(0.25, normal), [11, 9])
    assert np.array_equal(mixture.drawn(0.999, normal, temperature=0.0), [9, 9])
