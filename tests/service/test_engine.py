from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from models import checkpoints
from models.catalog import Catalog, UnknownModel
from models.checkpoints import CheckpointError, Description
from models.colorizer import Colorizer, ColorizerConfig
from models.inference import NotFinite
from service.engine import Engine, Kind
from service.settings import Settings


@pytest.fixture(scope="module")
def engine(shelf: Path) -> Engine:
    return Engine(Catalog.of(shelf), Settings(device="cpu", tile=128))


def test_every_model_is_loaded_and_found_by_name_or_title(engine: Engine):
    assert sorted(engine.loaded) == ["tiny-denoise@1", "tiny-photo@1", "tiny-vae@1"]
    assert engine.find("tiny-vae") is engine.find("tiny-vae@1")
    with pytest.raises(UnknownModel):
        engine.find("nobody")


def test_tiles_of_several_requests_come_back_in_order(engine: Engine):
    tiles = [np.full((32, 40, 3), value, np.uint8) for value in (10, 200)]
    kind = Kind("tiny-photo@1", "restore", tiles[0].shape)
    together = engine.run(kind, [(tiles[0], 5.0), (tiles[1], 50.0)])
    alone = [engine.run(kind, [(tiles[0], 5.0)])[0], engine.run(kind, [(tiles[1], 50.0)])[0]]
    for one, other in zip(together, alone, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_pictures_that_share_a_batch_are_rebuilt_and_encoded_each_by_its_own_code(engine: Engine):
    tiles = [np.full((12, 10, 1), value, np.uint8) for value in (10, 200)]
    rebuilt = engine.run(Kind("tiny-vae@1", "reconstruct", (12, 10, 1)), tiles)
    codes = engine.run(Kind("tiny-vae@1", "encode", (12, 10, 1)), tiles)
    assert [one.shape for one in (*rebuilt, *codes)] == [(12, 10, 1)] * 2 + [(5,)] * 2
    decoded = engine.run(Kind("tiny-vae@1", "decode"), codes)
    for one, other in zip(rebuilt, decoded, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_a_batch_is_bounded_by_pixels(engine: Engine):
    assert engine.capacity(Kind("tiny-photo@1", "restore", (128, 128, 3))) == 1
    assert engine.capacity(Kind("tiny-photo@1", "restore", (32, 32, 3))) == 16
    assert engine.capacity(Kind("tiny-vae@1", "decode")) == 16
    assert engine.capacity(Kind("tiny-vae@1", "encode", (12, 10, 1))) == 128**2 // 120


def test_warming_up_asks_everything(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    asked, run = set(), engine.run
    monkeypatch.setattr(engine, "run", lambda kind, payloads: asked.add((kind.model, kind.task)) or run(kind, payloads))
    engine.warm_up()
    rebuilt = {("tiny-vae@1", task) for task in ("decode", "encode", "reconstruct")}
    assert asked == {("tiny-photo@1", "restore"), ("tiny-denoise@1", "restore")} | rebuilt


def test_a_colorizer_is_warmed_up_and_takes_whole_pictures_one_by_one(tmp_path: Path):
    config = ColorizerConfig(side=24, widths=(4, 8), bins=5)
    for name, bias in (("paints", 0.0), ("broken", float("nan"))):
        described = Description(name, "1", "colorize", "colorizer", ("colorize",), asdict(config))
        weights = Colorizer(config).state_dict() | {"tail.bias": torch.full((25,), bias)}
        checkpoints.save(tmp_path / name, described, weights)
    engine = Engine(Catalog.of(tmp_path), Settings(device="cpu"))
    engine.warm_up()
    kind = Kind("paints@1", "colorize")
    assert engine.capacity(kind) == 1
    assert engine.run(kind, [np.full((50, 31, 1), 9, np.uint8)])[0].shape == (50, 31, 3)
    told = engine.run(Kind("broken@1", "colorize"), [np.full((50, 31, 1), 9, np.uint8)])[0]
    assert isinstance(told, NotFinite)


def test_a_bad_checkpoint_on_the_shelf_is_refused_by_name(tmp_path: Path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="broken"):
        Engine(Catalog.of(tmp_path), Settings(device="cpu"))
