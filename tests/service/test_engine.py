from pathlib import Path

import numpy as np
import pytest

from models.catalog import Catalog, UnknownModel
from models.checkpoints import CheckpointError
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


def test_a_batch_is_bounded_by_pixels(engine: Engine):
    assert engine.capacity(Kind("tiny-photo@1", "restore", (128, 128, 3))) == 1
    assert engine.capacity(Kind("tiny-photo@1", "restore", (32, 32, 3))) == 16
    assert engine.capacity(Kind("tiny-vae@1", "decode")) == 16


def test_warming_up_asks_everything(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    asked, run = set(), engine.run
    monkeypatch.setattr(engine, "run", lambda kind, payloads: asked.add((kind.model, kind.task)) or run(kind, payloads))
    engine.warm_up()
    assert asked == {("tiny-photo@1", "restore"), ("tiny-denoise@1", "restore"), ("tiny-vae@1", "decode")}


def test_a_bad_checkpoint_on_the_shelf_is_refused_by_name(tmp_path: Path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="broken"):
        Engine(Catalog.of(tmp_path), Settings(device="cpu"))
