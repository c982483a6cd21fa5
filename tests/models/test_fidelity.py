import numpy as np
import pytest

from models.fidelity import frechet, likeness, memory, nearest, radii


def cloud(seed: int, count: int = 2000, size: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, size))


def test_the_frechet_distance_of_normals_is_the_closed_form():
    a = cloud(0, 200_000, 2)
    b = 3 * cloud(1, 200_000, 2) + np.array([1.0, 2.0])
    assert frechet(a, b) == pytest.approx(1 + 4 + 2 * (3 - 1) ** 2, rel=0.02)
    turned = a @ np.array([[2.0, 1.0], [0.0, 1.0]])  # covariances that don't commute
    narrow = b * np.array([1 / 3, 0.5 / 3])
    product = np.linalg.eigvals(np.cov(turned.T) @ np.cov(narrow.T))
    apart = ((turned.mean(0) - narrow.mean(0)) ** 2).sum()
    expected = apart + turned.var(0).sum() + narrow.var(0).sum() - 2 * np.sqrt(product.real).sum()
    assert frechet(turned, narrow) == pytest.approx(expected, rel=0.001)


def test_the_frechet_distance_of_a_set_to_itself_is_nothing_and_it_has_no_sides():
    a, b = cloud(0), 1.5 * cloud(1)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, b) == pytest.approx(frechet(b, a))


def test_draws_of_the_same_kind_are_like():
    found = likeness(cloud(0), cloud(1))
    assert found.precision > 0.9
    assert found.recall > 0.9
    assert found.density == pytest.approx(1, abs=0.1)
    assert found.coverage == pytest.approx(1 - 0.5**5, abs=0.02)  # Naeem et al., lemma 2: of equal sets


def test_draws_of_one_part_alone_are_precise_and_miss_the_rest():
    real = np.concatenate([cloud(0, 500), cloud(1, 500) + 100])
    found = likeness(real, cloud(2, 1000))
    assert found.precision > 0.9
    assert found.recall == pytest.approx(0.5, abs=0.05)
    assert found.coverage == pytest.approx(0.5, abs=0.05)


def test_draws_that_lie_elsewhere_are_neither():
    found = likeness(cloud(0), cloud(1) + 50)
    assert found[1:] == (0, 0, 0, 0)
    assert found.frechet == pytest.approx(4 * 50**2, rel=0.01)


def test_draws_that_lie_too_wide_recall_all_and_are_not_precise():
    found = likeness(cloud(0), 5 * cloud(1))
    assert found.recall > 0.9
    assert found.precision < 0.3


def test_a_neighbourhood_reaches_to_the_nth_other():
    x = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert radii(x, 1).tolist() == [1, 1, 4, 16]
    assert radii(x, 2).tolist() == [9, 4, 9, 36]


def test_the_nearest_is_found_whatever_the_number():
    of, among = cloud(0, 1200), cloud(1, 700)
    expected = np.linalg.norm(of[:, None] - among.astype(np.float32), axis=2).min(1)
    assert np.allclose(nearest(of, among), expected, atol=1e-5)
    assert nearest(among[:3].astype(np.float32), among).max() == 0


def test_copies_are_told_from_draws():
    taught, unseen = cloud(0), cloud(1)
    honest = memory(taught, cloud(2), unseen)
    assert honest.drawn == pytest.approx(honest.unseen, rel=0.05)
    assert honest.copied == pytest.approx(0.01, abs=0.01)
    copying = memory(taught, taught[:500] + 1e-3, unseen)
    assert copying.copied > 0.95
    assert copying.drawn < 0.05 * copying.unseen
