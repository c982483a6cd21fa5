from copy import copy
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import NO_MEMORY

from models import checkpoints
from models.catalog import Catalog
from models.checkpoints import CheckpointError, Description
from models.colorizer import Colorizer, ColorizerConfig
from models.inference import NotFinite
from models.restore import Tiling
from models.sessions import Session
from models.tasks import DECODE_BATCH
from service.engine import Engine, Kind, OutOfMemory, smaller
from service.settings import Settings


@pytest.fixture(scope="module")
def engine(shelf: Path) -> Engine:
    return Engine(Catalog.of(shelf), Settings(device="cpu", tile=128))


def test_every_model_is_loaded_and_what_it_takes_is_counted(engine: Engine):
    assert sorted(engine.loaded) == ["tiny-denoise@1", "tiny-photo@1", "tiny-vae@1"]
    assert sorted(engine.needs) == sorted(engine.loaded)
    assert all(size >= engine.loaded[title].session.size > 0 for title, size in engine.sizes.items())


def test_what_requests_took_meanwhile_counts_for_no_longer_than_it_is_there(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    crowd = 10**12
    monkeypatch.setitem(engine.sizes, "tiny-vae@1", crowd)
    monkeypatch.setattr(engine, "before", 2**20)  # other tests' memory may have been let go of since
    assert 0 < engine.held <= engine.memory < crowd
    monkeypatch.setattr(Engine, "memory", crowd)
    assert engine.held == crowd - engine.before


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


def test_a_full_batch_of_codes_is_one_piece_and_each_of_it_the_same(engine: Engine):
    codes = engine.loaded["tiny-vae@1"].session.draw(0, 0, DECODE_BATCH)
    (together,) = engine.run(Kind("tiny-vae@1", "decode", codes.shape), [codes])
    assert np.array_equal(together, np.stack(engine.run(Kind("tiny-vae@1", "decode"), list(codes))))
    codes[3] = np.nan
    (failed,) = engine.run(Kind("tiny-vae@1", "decode", codes.shape), [codes])
    assert isinstance(failed, NotFinite)


def test_a_batch_is_bounded_by_pixels(engine: Engine):
    assert engine.capacity(Kind("tiny-photo@1", "restore", (128, 128, 3))) == 4
    assert engine.capacity(Kind("tiny-photo@1", "restore", (32, 32, 3))) == 64
    assert engine.capacity(Kind("tiny-photo@1", "restore", (512, 512, 3))) == 1
    assert engine.capacity(Kind("tiny-photo@1", "restore", (100, 128, 3))) == 5
    card = copy(engine)
    card.buckets, card.batch_pixels = (64, 128, 896), 2048**2
    assert card.capacity(Kind("tiny-photo@1", "restore", (896, 896, 3))) == 4, "five would be filled up to eight"
    assert engine.capacity(Kind("tiny-vae@1", "decode")) == DECODE_BATCH
    assert engine.capacity(Kind("tiny-vae@1", "decode", (DECODE_BATCH, 8))) == 1
    assert engine.capacity(Kind("tiny-vae@1", "encode", (12, 10, 1))) == 256**2 // 120


def test_warming_up_asks_everything(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    asked, run = set(), engine.run
    monkeypatch.setattr(engine, "run", lambda kind, payloads: asked.add((kind.model, kind.task)) or run(kind, payloads))
    engine.warm_up()
    rebuilt = {("tiny-vae@1", task) for task in ("decode", "encode", "reconstruct")}
    assert asked == {("tiny-photo@1", "restore"), ("tiny-denoise@1", "restore")} | rebuilt


def test_a_colorizer_is_warmed_up_and_takes_whole_pictures_one_by_one_small_as_it_sees_them(tmp_path: Path):
    config = ColorizerConfig(side=24, widths=(4, 8), bins=5)
    for name, bias in (("paints", 0.0), ("broken", 3e38)):
        described = Description(name, "1", "colorize", "colorizer", ("colorize",), asdict(config))
        weights = Colorizer(config).state_dict() | {"tail.bias": torch.full((25,), bias)}
        checkpoints.save(tmp_path / name, described, weights)
    engine = Engine(Catalog.of(tmp_path), Settings(device="cpu"))
    engine.warm_up()
    kind = Kind("paints@1", "colorize")
    assert engine.capacity(kind) == 1
    grey = np.full((40, 24, 1), 9, np.float32)
    assert engine.run(kind, [(grey, 255)])[0].shape == (20, 12, 2)
    told = engine.run(Kind("broken@1", "colorize"), [(grey, 255)])[0]
    assert isinstance(told, NotFinite)


def test_a_bad_checkpoint_on_the_shelf_is_refused_by_name(tmp_path: Path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="broken"):
        Engine(Catalog.of(tmp_path), Settings(device="cpu"))


SIDE = 96
"""Of a square that fits; what is larger doesn't."""


class Crowded:
    """A session whose device has room for so many pixels at a time."""

    def __init__(self, session: Session, room: int, error: Exception):
        self.session, self.room, self.error = session, room, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def restore(self, tiles: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if tiles[..., 0].size > self.room:
            raise self.error
        return self.session.restore(tiles, sigma)


def crowded(engine: Engine, room: int, error: Exception) -> Engine:
    """The engine, with so little memory."""
    other = copy(engine)
    title = "tiny-photo@1"
    session: Any = Crowded(engine.loaded[title].session, room, error)
    other.loaded = engine.loaded | {title: replace(engine.loaded[title], session=session)}
    return other


def tiles_of(count: int, side: int) -> tuple[Kind, list[tuple[np.ndarray, float]]]:
    rng = np.random.default_rng(0)
    tiles = [(rng.integers(0, 256, (side, side, 3), np.uint8), 20.0) for _ in range(count)]
    return Kind("tiny-photo@1", "restore", (side, side, 3)), tiles


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_a_batch_that_finds_no_memory_is_run_by_halves(engine: Engine, error: Exception):
    kind, tiles = tiles_of(5, 64)
    found = crowded(engine, 2 * 64**2, error).run(kind, tiles)
    for one, other in zip(found, engine.run(kind, tiles), strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_a_tile_that_finds_no_memory_is_cut_and_joined_with_its_halo(engine: Engine):
    kind, tiles = tiles_of(2, 512)
    for one, other in zip(crowded(engine, 128**2, NO_MEMORY[0]).run(kind, tiles), engine.run(kind, tiles), strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_a_long_tile_is_cut_by_its_pixels(engine: Engine):
    loaded = engine.loaded["tiny-photo@1"]
    windows = smaller(loaded, Kind("x", "restore", (64, 4096, 3)), 128)
    assert 1 < len(windows) <= 6
    assert windows[0].shape[0] * windows[0].shape[1] <= 256**2
    assert smaller(loaded, Kind("x", "restore", (16, 1024, 3)), 128) == []


def test_tiles_are_not_cut_into_ever_smaller_ones(engine: Engine):
    kind, tiles = tiles_of(3, 256)
    poor = crowded(engine, SIDE**2, NO_MEMORY[0])
    assert [type(one) for one in poor.run(kind, tiles)] == [OutOfMemory] * 3
    poor.least = SIDE
    assert all(isinstance(one, np.ndarray) for one in poor.run(kind, tiles)), "unless that is set"
    small, tiles = tiles_of(1, SIDE)
    assert isinstance(crowded(engine, SIDE**2, NO_MEMORY[0]).run(small, tiles)[0], np.ndarray)


def test_other_errors_are_no_lack_of_memory(engine: Engine):
    kind, tiles = tiles_of(2, 64)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        crowded(engine, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied")).run(kind, tiles)


def test_what_can_not_be_cut_smaller_is_not_cut(engine: Engine):
    loaded = engine.loaded["tiny-photo@1"]
    wide = SimpleNamespace(needs=replace(loaded.needs, halo=64), tiling=Tiling(512, 64, 8, (64, 128, 256, 512)))
    assert smaller(wide, Kind("x", "restore", (512, 512, 3)), 128)  # type: ignore[arg-type]
    assert smaller(wide, Kind("x", "restore", (256, 256, 3)), 128) == []  # type: ignore[arg-type]
    cut = smaller(wide, Kind("x", "restore", (256, 512, 3)), 128)  # type: ignore[arg-type]
    assert {window.shape for window in cut} == {(256, 256)}
    assert smaller(loaded, Kind("x", "decode"), 128) == []
    assert smaller(engine.loaded["tiny-denoise@1"], Kind("x", "restore", (300, 300, 1)), 128) == []


def test_a_model_that_was_let_go_of_and_is_held_is_taken_back_and_not_loaded_twice(shelf: Path):
    engine = Engine(Catalog.of(shelf), Settings(device="cpu", tile=128))
    held, entry = engine.loaded["tiny-vae@1"], engine.catalog.entries["tiny-vae@1"]
    engine.unload("tiny-vae@1")
    assert engine.load(entry) is held
    engine.unload("tiny-vae@1")
    other = replace(entry, description=replace(entry.description, sha256="another"))
    assert engine.still_held(other) is None, "of other weights"
    del held
    assert engine.still_held(entry) is None, "nobody holds it any more"
    assert engine.load(entry) is engine.loaded["tiny-vae@1"]
