import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SAMPLES, write_shots
from PIL import Image
from torch import Generator

from models import grain, scenes
from models.camera import Camera
from models.corruptions import Nothing
from models.evaluation import floats_of, to_pixels
from models.grain import __main__ as training
from models.grain.statistics import in_step, statistics
from models.jpeg import Jpeg

CAMERA = Camera(resized=0.0, retouched=0.0, compressed=0.0)


def photograph(name: str = "bridge") -> np.ndarray:
    with Image.open(SAMPLES / f"{name}.jpg") as image:
        return np.array(image.convert("RGB"))


def taken(clean: np.ndarray, shot: float, seed: int = 0) -> tuple[np.ndarray, float]:
    """By a camera of so much shot noise: the picture, and the root mean square of its noise."""
    given = floats_of(clean)
    spoilt = replace(CAMERA, low=shot, high=shot)(given, Generator().manual_seed(seed))
    return to_pixels(spoilt.pixels)[0], 255 * float((spoilt.pixels - spoilt.target(given)).square().mean().sqrt())


@pytest.mark.parametrize("name", ["bridge", "cat", "coffee", "rocket"])
@pytest.mark.parametrize("shot", [3e-4, 3e-3])
def test_a_cameras_noise_is_told_within_half_and_twice(name: str, shot: float):
    picture, level = taken(photograph(name), shot)
    assert grain.estimate(picture) == pytest.approx(level, rel=0.5)


@pytest.mark.parametrize("name", ["bridge", "cat", "coffee", "rocket"])
def test_a_photograph_without_noise_has_hardly_any(name: str):
    assert grain.estimate(photograph(name)) < 1.5


def test_more_noise_is_more():
    found = [grain.estimate(taken(photograph(), shot)[0]) for shot in (1e-4, 1e-3, 1e-2)]
    assert found == sorted(found)
    assert found[2] > 3 * found[0]


def test_two_depths_of_one_picture_have_one_level():
    picture, _ = taken(photograph(), 1e-3)
    assert grain.estimate(picture.astype(np.uint16) * 257) == pytest.approx(grain.estimate(picture), rel=1e-3)


def test_grey_in_one_channel_is_grey_in_three():
    grey = taken(photograph(), 1e-3)[0][..., :1]
    assert grain.estimate(grey) == pytest.approx(grain.estimate(np.repeat(grey, 3, 2)), rel=1e-3)


def test_what_alpha_hides_is_not_looked_at():
    picture, _ = taken(photograph(), 1e-3)
    other, alpha = picture.copy(), np.full(picture.shape[:2], 255, np.uint8)
    other[:, 150:], alpha[:, 150:] = 77, 0
    alone = picture.copy()
    alone[:, 150:] = 200
    assert grain.estimate(other, alpha) == grain.estimate(alone, alpha) > 0


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (15, 15), (16, 16), (17, 40)])
def test_of_a_few_pixels_nothing_is_told(size: tuple[int, int]):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    found = grain.estimate(noise)
    assert (found is None) == (min(size) < 16 or size[0] * size[1] < 300)
    assert found is None or 0 <= found <= grain.LOUDEST


CLIPPED = [(0, 0, 0), (255, 255, 255), (255, 0, 0)]


@pytest.mark.parametrize("colour", [*CLIPPED, (128, 128, 128), (255, 248, 231), (0, 128, 255)])
def test_one_colour_has_none(colour: tuple[int, int, int]):
    """What is black or white in all channels may have been clipped."""
    picture = np.full((64, 64, 3), colour, np.uint8)
    assert grain.estimate(picture) == (0.0 if colour in CLIPPED else None)


def test_no_more_patches_are_looked_at_in_a_large_picture():
    large = np.random.default_rng(0).integers(100, 140, (600, 800, 3), dtype=np.uint8)
    assert statistics(large).shape == statistics(large[:100, :100]).shape


def test_the_grid_of_jpeg_is_seen_wherever_it_begins():
    clean = floats_of(photograph())
    squeezed = to_pixels(Jpeg(low=50, high=50)(clean, Generator().manual_seed(0)).pixels)[0]
    starts = np.arange(120)

    def steps(picture: np.ndarray, shift: int) -> float:
        luma = picture[..., 1].astype(np.float32)
        windows = np.stack(
            [
                luma[row : row + 16, column + shift : column + shift + 16]
                for row in range(0, 64, 16)
                for column in starts
            ]
        )
        return in_step(windows, np.tile(starts, 4))

    for shift in (0, 3, 5):
        assert steps(squeezed, shift) > 2 * steps(photograph(), shift)


def test_of_a_shot_of_a_scene_the_noise_is_told_with_its_colour_and_without(tmp_path: Path):
    clean, random = np.full((200, 200, 3), 120.0), np.random.default_rng(0)
    shots = [np.rint(clean + 9 * random.normal(size=clean.shape)).astype(np.uint8) for _ in range(3)]
    write_shots(tmp_path / "one", shots)
    some = scenes.load(tmp_path, 3, 128, 1.0, torch.device("cpu"))
    drawn = [training.shot(some, random) for _ in range(60)]
    assert {one.shape[1] for one, _ in drawn} == {3}
    assert len({one.shape[2] for one, _ in drawn}) > 20
    colourless = [float((one[:, 0] - one[:, 2]).abs().max()) == 0 for one, _ in drawn]
    assert 0 < sum(colourless) < 20
    of_luma = 9 * (0.299**2 + 0.587**2 + 0.114**2) ** 0.5
    for grey, (one, level) in zip(colourless, drawn, strict=True):
        assert level == pytest.approx(of_luma if grey else 9, rel=0.05)
        assert 255 * float(one.std()) == pytest.approx(level, rel=0.1)


def test_it_is_learned_anew_by_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("bridge", "cat", "coffee", "rocket"):
        Image.fromarray(photograph(name)).save(photos / f"{name}.png")
    kinds = {"noise": training.Kind(0.6, CAMERA), "none": training.Kind(0.4, Nothing())}
    for name, value in {"COUNT": 60, "CHECKED": 20, "KINDS": kinds, "EPOCHS": 40, "SIDES": (64, 96)}.items():
        monkeypatch.setattr(training, name, value)
    monkeypatch.setattr(grain, "WEIGHTS", tmp_path / "weights.npz")
    for number, name in enumerate(("bridge", "cat")):
        write_shots(
            tmp_path / "scenes" / name, [taken(photograph(name), 3e-3, seed)[0] for seed in (number, number + 2)]
        )
    monkeypatch.setattr(sys, "argv", ["models.grain", str(photos), str(tmp_path / "scenes"), str(photos)])
    grain.layers.cache_clear()
    try:
        training.main()
        loud, faint = (grain.estimate(taken(photograph(), shot)[0]) for shot in (1e-2, 1e-5))
    finally:
        grain.layers.cache_clear()
    assert loud > faint
    assert "none, 0 to 0.5: " in capsys.readouterr().out
