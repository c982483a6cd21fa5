import asyncio
import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import encoded
from conftest import TINY, stocked

from models import checkpoints
from models.catalog import Catalog, UnknownModel
from models.checkpoints import CheckpointError
from service.app import running
from service.engine import Engine
from service.pipeline import Parts
from service.settings import Settings
from tests.service.conftest import asked, until

PHOTO, VAE = "tiny-photo@1", "tiny-vae@1"
LONGEST = 120.0
"""Seconds that a new version may take to be loaded and warm, on a machine that is busy."""


@pytest.fixture(autouse=True)
def drawn_apart(in_pytorch: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose graphs would have been drawn in another process; here they run in PyTorch, which is ready
    sooner."""
    names: list[str] = []
    monkeypatch.setattr("models.sessions.draw_apart", lambda folder, asks, graphs: names.append(folder.name))
    return names


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A shelf of a test's own."""
    return stocked(tmp_path / "shelf", {name: TINY[name] for name in ("tiny-photo", "tiny-vae")})


def newer(shelf: Path, name: str, version: str = "2", **changed: Any) -> Path:
    """Puts a model on the shelf again, as another version."""
    model = checkpoints.load(shelf / name)
    weights = {key: 0.5 * value for key, value in model.network.state_dict().items() if value.is_floating_point()}
    folder = shelf.parent / "beside"
    checkpoints.save(folder, replace(model.description, version=version, **changed), weights)
    return folder.rename(shelf / f"{name}@{version}")


def repository(test: Any, shelf: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Runs `test(parts)` with the models of that shelf alone."""
    monkeypatch.setattr("service.app.SHIPPED", shelf / "nothing ships")
    set_to = {"models": shelf, "device": "cpu", "decoders": 1, "tile": 128, "metrics_port": 0} | settings

    async def run() -> None:
        async with running(Settings(**set_to)) as parts:
            await test(parts)

    asyncio.run(run())


def loaded(parts: Parts) -> list[str]:
    return sorted(parts.engine.loaded)


def test_models_may_be_loaded_when_they_are_first_asked_for(
    shelf: Path, drawn_apart: list[str], monkeypatch: pytest.MonkeyPatch
):
    async def test(parts: Parts) -> None:
        assert loaded(parts) == []
        first, second = await asyncio.gather(parts.models.find("tiny-vae"), parts.models.find(VAE))
        assert first is second
        assert loaded(parts) == [VAE]
        assert drawn_apart == ["tiny-vae"]
        assert (VAE, "decode") in parts.batcher.rates, "it is warm, and its rate is known"
        with pytest.raises(UnknownModel):
            await parts.models.find("nobody")

    repository(test, shelf, monkeypatch, preload=False)


@pytest.mark.parametrize(
    "error", [FileNotFoundError("model.safetensors"), RuntimeError("out of memory"), MemoryError()]
)
def test_whatever_goes_wrong_while_one_is_loaded_is_told_of_it(
    error: Exception, shelf: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(*asked: Any, **more: Any) -> Any:
        raise error

    async def test(parts: Parts) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("service.engine.Session", fails)
            with pytest.raises(CheckpointError, match=PHOTO):
                await parts.models.find("tiny-photo")
        assert loaded(parts) == []
        await parts.models.find("tiny-photo")
        assert loaded(parts) == [PHOTO]

    repository(test, shelf, monkeypatch, preload=False)


def test_weights_that_are_gone_are_told_of_their_model(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    async def test(parts: Parts) -> None:
        (shelf / "tiny-photo" / checkpoints.WEIGHTS).unlink()
        with pytest.raises(CheckpointError, match="tiny-photo"):
            await parts.models.find("tiny-photo")

    repository(test, shelf, monkeypatch, preload=False)


def test_a_model_is_loaded_however_much_is_held(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    async def test(parts: Parts) -> None:
        await parts.models.find("tiny-photo")
        kind, cost, _ = next(parts.engine.examples(PHOTO))
        async with parts.batcher.admit(kind, cost, 10**12):
            await parts.models.find("tiny-vae")
        assert loaded(parts) == [PHOTO, VAE]

    repository(test, shelf, monkeypatch, preload=False)


def test_one_that_is_bad_ends_the_start_even_if_it_would_be_loaded_later(shelf: Path):
    (shelf / "tiny-vae" / checkpoints.WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="tiny-vae"):
        Engine(Catalog.of(shelf), Settings(device="cpu", preload=False))


def test_where_memory_is_bounded_the_longest_unused_goes_and_never_one_at_work(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
):
    newer(shelf, "tiny-photo")
    newer(shelf, "tiny-vae")

    async def test(parts: Parts) -> None:
        engine = parts.engine
        for title in ("tiny-photo@2", PHOTO, "tiny-vae@2"):
            await parts.models.find(title)
        engine.sizes.update(dict.fromkeys(engine.loaded, 100))
        engine.limit = 300
        await parts.models.find("tiny-photo@2")
        engine.sizes[VAE] = 100
        monkeypatch.setattr(Engine, "memory", 10**12)  # what is measured then is at least the weights
        monkeypatch.setattr("models.sessions.Session.size", 100)
        kind, cost, _ = next(engine.examples(PHOTO))
        async with parts.batcher.admit(kind, cost):
            await parts.models.find(VAE)
        assert loaded(parts) == [PHOTO, "tiny-photo@2", VAE], "the longest unused is at work, and so the next one went"
        assert engine.held == 300

    repository(test, shelf, monkeypatch, model_memory=10**12)


def test_who_holds_a_model_may_use_it_after_it_was_let_go_of(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    async def test(parts: Parts) -> None:
        held = await parts.models.find(VAE)
        kind, _, payload = next(parts.engine.examples(VAE))
        parts.engine.unload(VAE)
        assert len(parts.engine.run(kind, [payload])) == 1
        del held
        with pytest.raises(KeyError):
            parts.engine.run(kind, [payload])

    repository(test, shelf, monkeypatch)


def test_a_new_version_takes_over_and_one_that_is_taken_away_goes(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    async def test(parts: Parts) -> None:
        old = await parts.models.find("tiny-vae")
        folder = newer(shelf, "tiny-vae")
        await parts.models.look()
        new = await parts.models.find("tiny-vae")
        assert new.description.title == "tiny-vae@2"
        assert await parts.models.find(VAE) is old
        assert ("tiny-vae@2", "decode") in parts.batcher.rates
        shutil.rmtree(folder)
        await parts.models.look()
        assert await parts.models.find("tiny-vae") is old
        assert "tiny-vae@2" not in parts.engine.loaded
        shelf.rename(shelf.with_name("a disk that is away"))  # noqa: ASYNC240
        await parts.models.look()
        assert await parts.models.find("tiny-vae") is old

    repository(test, shelf, monkeypatch)


def spoil_weights(folder: Path) -> None:
    (folder / checkpoints.WEIGHTS).write_bytes(b"nothing")


def spoil_config(folder: Path) -> None:
    (folder / checkpoints.CONFIG).write_text("{")


def claim_to_be_the_first(folder: Path) -> None:
    described = json.loads((folder / checkpoints.CONFIG).read_text())
    (folder / checkpoints.CONFIG).write_text(json.dumps(described | {"version": "1"}))


@pytest.mark.parametrize("spoil", [spoil_weights, spoil_config, claim_to_be_the_first])
def test_a_bad_checkpoint_is_refused_by_name_once_and_the_old_one_serves_on(
    spoil: Any, shelf: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def test(parts: Parts) -> None:
        old = await parts.models.find("tiny-vae")
        spoil(newer(shelf, "tiny-vae"))
        for _ in range(2):
            await parts.models.look()
        assert await parts.models.find("tiny-vae") is old
        assert parts.engine.catalog.titles == [PHOTO, VAE]
        (told,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
        assert "tiny-vae@" in told

    repository(test, shelf, monkeypatch)


def test_no_request_is_lost_while_a_new_version_comes(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    told: list[tuple[int, str]] = []
    seen, end = threading.Event(), time.monotonic() + LONGEST
    data = encoded(np.full((40, 300, 3), 99, np.uint8), "png")
    monkeypatch.setenv("DENOIR_WATCH", "0.05")
    monkeypatch.setenv("DENOIR_METRICS_PORT", "0")
    with asked(shelf) as client:

        def ask() -> None:
            while not seen.is_set() and time.monotonic() < end:
                answer = client.post("/denoise?model=tiny-photo&sigma=9", content=data)
                told.append((answer.status_code, answer.headers.get("denoir-model", "")))
                if told[-1] != (200, PHOTO):
                    seen.set()

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for one in clients:
            one.start()
        until(lambda: bool(told))
        newer(shelf, "tiny-photo")
        for one in clients:
            one.join()
        assert client.get("/models/tiny-photo").json()["version"] == "2"
    assert set(told) == {(200, PHOTO), (200, "tiny-photo@2")}
