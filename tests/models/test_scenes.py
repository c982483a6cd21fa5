import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_shots
from PIL import Image
from torch import Generator, Tensor

from models import scenes
from models.corruptions import Spoilt
from models.data import DataError
from models.scenes import Scenes

CPU = torch.device("cpu")


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def shots(count: int, sigma: float, base: float = 120, side: int = 64, seed: int = 0) -> np.ndarray:
    """`n s s 3` of an even grey."""
    noise = np.random.default_rng(seed).normal(size=(count, side, side, 3))
    return np.rint(np.clip(base + sigma * noise, 0, 255)).astype(np.uint8)


def loaded(folder: Path, channels: int = 3, side: int = 32, share: float = 0.5) -> Scenes:
    return scenes.load(folder, channels, side, share, CPU)


def spoilt_among(some: Scenes, clean: Tensor, seed: int = 0) -> Spoilt:
    return some.among(clean, Spoilt(clean, clean.new_full((len(clean),), 0.9)), seeded(seed))


@pytest.mark.parametrize("count", [2, 4])
def test_how_strong_the_noise_is_is_told_of_the_shot_alone(tmp_path: Path, count: int):
    write_shots(tmp_path / "a", shots(count, 10))
    shot, mean, level = loaded(tmp_path).drawn(8, seeded())
    assert shot.shape == mean.shape == (8, 3, 32, 32)
    assert 255 * level.numpy() == pytest.approx(np.full(8, 10.0), rel=0.05)
    assert 255 * float((mean - 120 / 255).std()) == pytest.approx(10 / (count - 1) ** 0.5, rel=0.05)


def test_a_shot_and_what_it_is_to_become_are_of_one_place_of_one_scene(tmp_path: Path):
    ramp = np.arange(64, dtype=np.uint8)[None, :, None] * 2 + np.zeros((64, 64, 3), np.uint8)
    write_shots(tmp_path / "ramp", np.stack([ramp, ramp]))
    write_shots(tmp_path / "other", np.stack([ramp[::-1, ::-1] // 2 + 100] * 3))
    shot, mean, level = loaded(tmp_path).drawn(16, seeded())
    assert torch.allclose(shot, mean, atol=1e-6)
    assert float(level.max()) < 1e-6
    assert len({float(one.mean()) for one in shot}) > 8  # from many places


def test_a_shot_is_never_among_what_it_is_to_become(tmp_path: Path):
    write_shots(tmp_path / "a", np.stack([np.full((64, 64, 3), grey, np.uint8) for grey in (0, 100, 200)]))
    shot, mean, _ = loaded(tmp_path).drawn(32, seeded())
    pairs = {(round(255 * float(a.mean())), round(255 * float(b.mean()))) for a, b in zip(shot, mean, strict=True)}
    assert pairs == {(0, 150), (100, 100), (200, 50)}


def test_so_many_of_a_batch_are_shots_and_the_rest_stays_as_it_was_spoilt(tmp_path: Path):
    write_shots(tmp_path / "a", shots(3, 10, base=40))
    clean = torch.full((400, 3, 32, 32), 0.7)
    spoilt = spoilt_among(loaded(tmp_path, share=0.25), clean)
    ours = spoilt.pixels.mean((1, 2, 3)) < 0.5
    assert 70 < int(ours.sum()) < 130
    assert torch.equal(spoilt.pixels[~ours], clean[~ours])
    assert torch.equal(spoilt.target(clean)[~ours], clean[~ours])
    assert float(spoilt.target(clean)[ours].mean()) == pytest.approx(40 / 255, abs=0.005)
    assert bool((spoilt.level[~ours] == 0.9).all())
    assert 0.7 < float(255 * spoilt.level[ours].median() / 10) < 1.4  # told as an estimator would, so not exactly


def test_the_same_generator_draws_the_same(tmp_path: Path):
    write_shots(tmp_path / "a", shots(3, 10))
    some, clean = loaded(tmp_path), torch.full((4, 3, 32, 32), 0.7)
    first, second, other = (spoilt_among(some, clean, seed) for seed in (1, 1, 2))
    assert torch.equal(first.pixels, second.pixels)
    assert torch.equal(first.level, second.level)
    assert not torch.equal(first.pixels, other.pixels)


def test_pictures_straight_in_the_folder_are_a_scene_and_a_zip_is_a_folder(tmp_path: Path):
    write_shots(tmp_path / "set", shots(2, 5))
    write_shots(tmp_path / "set" / "deeper" / "b", shots(3, 5))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        for path in sorted((tmp_path / "set").rglob("*.png")):
            packed.write(path, path.relative_to(tmp_path / "set"))
    for where in (tmp_path / "set", tmp_path / "set.zip"):
        assert [len(scene) for scene in loaded(where).crops.pictures.train] == [2 * 3, 3 * 3]


def test_shots_become_grey_for_a_network_that_is(tmp_path: Path):
    write_shots(tmp_path / "a", shots(2, 5))
    assert loaded(tmp_path, channels=1).drawn(2, seeded())[0].shape == (2, 1, 32, 32)


def test_what_is_wrong_with_scenes_is_told_by_name(tmp_path: Path):
    write_shots(tmp_path / "single" / "one", shots(1, 5))
    write_shots(tmp_path / "sizes" / "two", shots(1, 5))
    buffer = io.BytesIO()
    Image.fromarray(shots(1, 5, side=48)[0]).save(buffer, "PNG")
    (tmp_path / "sizes" / "two" / "1.png").write_bytes(buffer.getvalue())
    write_shots(tmp_path / "small" / "three", shots(2, 5, side=16))
    write_shots(tmp_path / "broken" / "four", shots(2, 5))
    (tmp_path / "broken" / "four" / "2.png").write_bytes(buffer.getvalue()[:60])
    (tmp_path / "empty").mkdir()
    told = {"single": "one has a single", "sizes": "two are of several sizes: 48x48, 64x64", "small": "16x16 px"}
    told |= {"broken": "four/2.png can't be read", "empty": "no picture in", "nowhere": "there is no"}
    for name, words in told.items():
        with pytest.raises(DataError, match=words):
            loaded(tmp_path / name)
