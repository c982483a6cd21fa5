import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import stocked
from torch import Tensor

from models import checkpoints, data, features
from models.checkpoints import Model
from models.data import as_floats
from models.evaluation.likeness import Sets, blurred, compared, flat, noisy, samples
from models.evaluation.pixels import floats_of_many, whole
from models.sessions import Session
from models.vae import VAEConfig

pytestmark = pytest.mark.usefixtures("in_pytorch")


def strokes(count: int, seed: int) -> np.ndarray:
    """Bars of many places and directions, `n 28 28` uint8."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :28] - 13.5
    angles, offsets = generator.uniform(0, np.pi, count), generator.uniform(-6, 6, count)
    across = [x * np.cos(angle) + y * np.sin(angle) - offset for angle, offset in zip(angles, offsets, strict=True)]
    return np.stack([255 * (np.abs(one) < 2) * (np.hypot(x, y) < 10) for one in across]).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strokes")
    for part, count in (("train", 144), ("t10k", 60)):
        head = b"\x00\x00\x08\x03" + struct.pack(">3I", count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + strokes(count, count).tobytes())
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    shelf = stocked(tmp_path_factory.mktemp("shelf"), {"mine": ("digits-vae", VAEConfig(widths=(4, 8), latent=5))})
    return checkpoints.load(shelf / "mine")


def test_test_pictures_are_held_against_as_many_training_pictures(model: Model, pictures: Path):
    clean = torch.stack(data.measured_part(pictures))
    sets = Sets.of(model, clean, pictures)
    assert sets.real is sets.unseen is clean
    assert torch.equal(sets.others, sets.taught[:60])
    assert len(sets.taught) == 132


def test_without_a_test_part_every_second_picture_is_held_against_the_rest(model: Model, photographs: Path):
    known = data.load(photographs)
    sets = Sets.of(model, torch.zeros(1, 1, 28, 28, dtype=torch.uint8), photographs)
    everything = whole(model, known.train + known.held_out)
    assert torch.equal(sets.real, everything[::2])
    assert torch.equal(sets.others, everything[1::2])
    assert (len(sets.taught), len(sets.unseen)) == (len(known.train), len(known.held_out))


def test_real_pictures_are_more_like_than_noisy_ones_and_those_of_an_untaught_model(model: Model, pictures: Path):
    session = Session(model.network, torch.device("cpu"))
    tables = compared(model, session, Sets.of(model, torch.stack(data.measured_part(pictures)), pictures))
    nearest, likeness = tables.values()
    assert [row["in"] for row in nearest] == ["pixels", "features of digits"]
    assert list(tables)[1] == "Likeness to 60 real pictures, in features of digits"
    distances = {row["pictures"]: row["frechet"] for row in likeness}
    real = distances.pop("other real pictures")
    assert real < distances.pop("those with noise of 50")
    assert real < min(distances.pop(f"drawn, temperature {t}") for t in ("1", "0.8"))
    assert list(distances) == ["those blurred by 1 px"]


def test_without_features_pixels_alone_are_compared(model: Model, pictures: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(checkpoints.RECIPES, "digits-vae", checkpoints.RECIPES["vae"])
    session = Session(model.network, torch.device("cpu"))
    tables = compared(model, session, Sets.of(model, torch.stack(data.measured_part(pictures)), pictures))
    assert [[row["in"] for row in rows] for rows in tables.values()] == [["pixels"]]


@pytest.mark.parametrize(("real", "others"), [(6, 5), (5, 6), (1, 1), (6, 6)])
def test_of_few_pictures_likeness_is_left_out_and_that_is_said(model: Model, capsys, real: int, others: int):
    pictures = torch.from_numpy(strokes(12, 0))[:, None]
    sets = Sets(pictures[:real], pictures[real : real + others], pictures, pictures[:1])
    tables = compared(model, Session(model.network, torch.device("cpu")), sets)
    told = capsys.readouterr().out
    assert [title.split()[0] for title in tables] == (["Median", "Likeness"] if others == real == 6 else ["Median"])
    few = f"likeness in features of digits is left out: of {min(real, others)} pictures none has 5 neighbours"
    assert told.strip() == ("" if others == real == 6 else few)


def test_features_that_can_not_be_had_are_told(model: Model, pictures: Path, monkeypatch, capsys):
    monkeypatch.setitem(features.HASHES, "digits", "another")
    session = Session(model.network, torch.device("cpu"))
    assert len(compared(model, session, Sets.of(model, torch.stack(data.measured_part(pictures)), pictures))) == 1
    assert "digits" in capsys.readouterr().out


def test_samples_are_the_pictures_that_are_served(model: Model):
    session = Session(model.network, torch.device("cpu"))
    served, _ = session.decode(session.draw(0, 3, 2, 0.8))
    assert torch.equal(as_floats(samples(session, 5, 0.8)[3:]), floats_of_many(served))


def test_a_blur_keeps_the_light_and_takes_the_edges():
    pictures = torch.from_numpy(strokes(8, 0))[:, None]
    soft = blurred(pictures)
    assert soft.shape == pictures.shape
    assert float(soft.float().mean()) == pytest.approx(float(pictures.float().mean()), rel=0.02)
    assert edges(soft) < 0.8 * edges(pictures)
    even = torch.full((1, 3, 9, 9), 100, dtype=torch.uint8)
    assert torch.equal(blurred(even), even)


def edges(pictures: Tensor) -> float:
    return float(pictures.float().diff(dim=3).square().mean())


def test_noise_is_of_its_level_and_the_same_each_time():
    pictures = torch.full((4, 1, 64, 64), 128, dtype=torch.uint8)
    spoilt = noisy(pictures)
    assert float((spoilt.float() - 128).std()) == pytest.approx(50, rel=0.05)
    assert torch.equal(spoilt, noisy(pictures))


def test_pixels_are_compared_as_they_are():
    assert flat(torch.full((2, 1, 3, 4), 51, dtype=torch.uint8)).tolist() == [[pytest.approx(0.2)] * 12] * 2
