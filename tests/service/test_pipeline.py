import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models import colour
from models.images import EmptyPicture, Picture
from models.images.declared import Declared
from models.restore import Tiling
from models.types import Needs
from service import errors, pipeline
from service.answers import until_gone
from service.batcher import BATCHES_AHEAD, Batcher, Promises
from service.engine import Kind, Loaded, OutOfMemory, grey_tile
from service.pipeline import Parts, Timing
from service.processes import NoDecoder
from service.repository import measure

TILE = 32
LARGE = Picture(np.zeros((600, 600, 3), np.uint8))
"""Hundreds of tiles."""


def loaded() -> Any:
    """A model that is told the level, as far as a journey looks at it."""
    described = SimpleNamespace(title="fake@1", asks=("denoise",))
    session = SimpleNamespace(needs=Needs(channels=3, level=True))
    return Loaded(described, session, Tiling(TILE, 4))  # type: ignore[arg-type]


def untold(done: int, tiles: int) -> None:
    """Progress that nobody asked for."""


class Device:
    """Gives tiles back as they came, and looks at how many are queued meanwhile."""

    def __init__(self, slow: float):
        self.batcher: Any = None
        self.queued: list[int] = []
        self.slow = slow

    def run(self, kind: Kind, payloads: list[Any]) -> list[Any]:
        time.sleep(self.slow)
        self.queued.append(len(self.batcher.heap) + len(payloads))
        return [tile for tile, _ in payloads]


class Decoders:
    """Reads every body as one picture. reads, writes: seconds that this is said to take. unseen: pixels along each side
    of what a body is said to hold."""

    reads, writes, unseen = 0.0, 0.0, 1

    def __init__(self, picture: Picture):
        self.picture, self.read_ = picture, 0

    def presumed(self, body: bytes) -> Declared:
        return Declared(self.unseen, self.unseen, 3)

    def expected(self, body: bytes) -> float:
        return self.reads + self.writes

    def writing(self, form: str, size: int, **options: int) -> float:
        return self.writes

    async def read(self, body: bytes) -> Picture:
        self.read_ += 1
        return self.picture

    async def write(self, picture: Picture, form: str) -> bytes:
        return picture.pixels.tobytes()


def device_of(parts: Parts) -> Device:
    return parts.batcher.run.__self__  # type: ignore[attr-defined]


def journey(test: Any, picture: Picture | None = None, capacity: int = 2, slow: float = 0.0, **settings: Any) -> Device:
    """Runs `test(parts)` with a batcher at work; `slow`: seconds of a batch."""
    device = Device(slow)

    async def run() -> None:
        device.batcher = Batcher(device.run, lambda kind: capacity, lambda kind: (kind.model, kind.task), **settings)
        device.batcher.start()
        examples = [grey_tile("fake@1", loaded())]
        engine: Any = SimpleNamespace(capacity=lambda kind: capacity, examples=lambda *titles: examples)
        decoders: Any = Decoders(picture or Picture(np.zeros((50, 70, 3), np.uint8)))
        try:
            await test(Parts(engine, device.batcher, decoders))
        finally:
            await device.batcher.close()

    asyncio.run(run())
    return device


def test_a_picture_passes_in_tiles_of_which_few_are_queued_at_a_time():
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)

    async def test(parts: Parts) -> None:
        timing = Timing()
        async with parts.admitted(Kind("fake@1", "restore"), 1) as job:
            assert np.array_equal(await pipeline.restored(job, loaded(), pixels, 5.0, timing, untold), pixels)
        assert list(timing.seconds) == ["queue", "model"]

    device = journey(test)
    assert len(device.queued) > 20
    assert max(device.queued) == BATCHES_AHEAD * 2


def test_what_the_rest_of_a_picture_will_take_counts_before_it_is_queued():
    async def test(parts: Parts) -> None:
        async with parts.admitted(Kind("fake@1", "restore"), TILE**2) as job:
            before = job.left
            await pipeline.opened(parts, job, loaded(), b"", 5.0)
            assert job.left > 50 * 70 > before
            assert job.size == 2 * 50 * 70 * 3

    journey(test)


def test_a_picture_without_noise_takes_none_of_the_model():
    async def test(parts: Parts) -> None:
        async with parts.admitted(Kind("fake@1", "restore"), TILE**2) as job:
            await pipeline.opened(parts, job, loaded(), b"", 0.0)
            assert job.left == 0

    journey(test)


def test_who_has_no_room_is_refused_before_the_picture_is_decoded():
    async def test(parts: Parts) -> None:
        parts.batcher.learn(Kind("fake@1", "restore"), 100, 1.0)
        parts.decoders.unseen = 100  # type: ignore[attr-defined]
        async with parts.admitted(Kind("fake@1", "restore"), 10_000):
            with pytest.raises(errors.Problem) as refused:
                await pipeline.denoise(parts, loaded(), b"", 5.0, [])
        assert (refused.value.status, refused.value.slug) == (503, "overloaded")
        assert int(refused.value.headers["Retry-After"]) > 0
        assert parts.decoders.read_ == 0  # type: ignore[attr-defined]

    journey(test, max_waiting=5.0)


def test_what_a_file_declares_counts_among_what_is_held():
    async def test(parts: Parts) -> None:
        parts.decoders.unseen = 100  # type: ignore[attr-defined]
        parts.batcher.max_held = 2 * 3 * 100**2 + 1
        async with parts.admitted(Kind("fake@1", "restore"), 1, 2):
            with pytest.raises(errors.Problem) as refused:
                await pipeline.denoise(parts, loaded(), b"", 0.0, [])
            assert refused.value.slug == "overloaded"
            assert parts.decoders.read_ == 0  # type: ignore[attr-defined]
        await pipeline.denoise(parts, loaded(), b"", 0.0, [])

    journey(test)


def test_what_takes_long_to_decode_or_encode_is_refused_as_well_and_let_in_when_that_is_done():
    async def test(parts: Parts) -> None:
        parts.decoders.reads, parts.decoders.writes = 2.0, 3.0  # type: ignore[attr-defined]
        untouched = pipeline.denoise(parts, loaded(), b"", 0.0, [])
        async with parts.admitted(Kind("fake@1", "restore"), 1, aside=parts.decoders.expected(b"")) as job:
            with pytest.raises(errors.Problem) as refused:
                await pipeline.denoise(parts, loaded(), b"", 0.0, [])
            assert (refused.value.slug, refused.value.headers["Retry-After"]) == ("overloaded", "2")
            assert parts.decoders.read_ == 0  # type: ignore[attr-defined]
            await pipeline.opened(parts, job, loaded(), b"", 0.0)
            assert job.aside == 3.0, "only the encoding is left"
            parts.batcher.promises = Promises()
            await untouched

    journey(test, max_waiting=4.0)


@pytest.mark.parametrize(("side", "sigma", "cost"), [(0, 5.0, 1), (20, 5.0, 400), (40, 5.0, 2 * 40 * 24), (40, 0.0, 0)])
def test_an_unseen_picture_stands_for_what_its_file_should_hold(side: int, sigma: float, cost: int):
    """A square; of several tiles where it is larger than one, and nothing where there is nothing to be computed."""

    async def test(parts: Parts) -> None:
        async def read(body: bytes) -> Picture:
            assert [job.left for job in parts.batcher.jobs] == [cost]
            raise EmptyPicture

        parts.decoders.unseen, parts.decoders.read = side or 1, read  # type: ignore[attr-defined]
        with pytest.raises(EmptyPicture):
            await pipeline.denoise(parts, loaded(), b"", sigma, [])

    journey(test)


def test_a_crowd_that_comes_before_any_picture_was_seen_is_told_by_what_its_files_should_hold():
    """Each of 1.9 s; so the last of those who are refused can't be let in before the others have had theirs."""

    async def test(parts: Parts) -> None:
        async def read(body: bytes) -> Picture:
            return await asyncio.Event().wait()  # type: ignore[return-value]

        parts.batcher.learn(Kind("fake@1", "restore"), 1e6, 1e3)
        parts.decoders.unseen, parts.decoders.read = 40, read  # type: ignore[attr-defined]
        crowd = [asyncio.create_task(pipeline.denoise(parts, loaded(), b"", 5.0, [])) for _ in range(12)]
        await asyncio.sleep(0.1)
        refused: Any = [one.exception() for one in crowd if one.done()]
        assert 6 < len(refused) < 12
        assert max(int(one.headers["Retry-After"]) for one in refused) > 1.9 * len(refused)
        for one in crowd:
            one.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)

    journey(test, max_waiting=5.0)


def test_who_turns_out_to_have_no_room_is_refused_then():
    async def test(parts: Parts) -> None:
        async with parts.admitted(Kind("fake@1", "restore"), 1, size=10_000):
            with pytest.raises(errors.Problem) as refused:
                await pipeline.denoise(parts, loaded(), b"", 5.0, [])
        assert refused.value.slug == "overloaded"
        assert parts.decoders.read_ == 1  # type: ignore[attr-defined]
        assert not parts.batcher.jobs

    journey(test, max_held=20_000)


def test_who_is_late_is_told_so_and_no_more_is_run():
    async def test(parts: Parts) -> None:
        parts.batcher.deadline = 0.2
        parts.batcher.learn(Kind("fake@1", "restore"), 1e9, 1.0)
        with pytest.raises(errors.Problem) as late:
            await pipeline.denoise(parts, loaded(), b"", 5.0, [])
        assert (late.value.status, late.value.slug) == (504, "deadline")
        assert not parts.batcher.jobs

    assert len(journey(test, LARGE, slow=0.05).queued) < 20


def test_a_journey_ends_at_the_next_tile_when_its_client_has_gone():
    async def test(parts: Parts) -> None:
        async def receive() -> dict[str, str]:
            while not device_of(parts).queued:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        client: Any = SimpleNamespace(receive=receive)
        with pytest.raises(errors.Problem) as gone:
            await until_gone(client, pipeline.denoise(parts, loaded(), b"", 5.0, []))
        assert gone.value.slug == "client-gone"
        assert not parts.batcher.jobs

    assert len(journey(test, LARGE, slow=0.05).queued) < 20


def test_where_there_is_no_memory_the_client_is_told_when_to_come_again():
    async def test(parts: Parts) -> None:
        parts.batcher.run = lambda kind, payloads: [OutOfMemory()] * len(payloads)
        parts.batcher.learn(Kind("fake@1", "restore"), 100, 1.0)
        with pytest.raises(errors.Problem) as full:
            await pipeline.denoise(parts, loaded(), b"", 5.0, [])
        assert (full.value.status, full.value.slug) == (503, "out-of-memory")
        assert int(full.value.headers["Retry-After"]) >= 1

    journey(test)


def test_where_there_is_no_process_to_read_or_write_a_picture_it_is_not_the_pictures_fault():
    async def nobody(*_: object) -> Any:
        raise NoDecoder

    async def test(parts: Parts) -> None:
        for does in ("write", "read"):
            setattr(parts.decoders, does, nobody)
            with pytest.raises(errors.Problem) as lacking:
                await pipeline.denoise(parts, loaded(), b"", 5.0, [])
            assert (lacking.value.status, lacking.value.slug) == (503, "no-decoder")
            assert int(lacking.value.headers["Retry-After"]) >= 1
        assert not parts.batcher.jobs

    journey(test)


def test_a_thumbnail_is_cleaned_while_a_scan_is_painted(monkeypatch: pytest.MonkeyPatch):
    paints: Any = loaded()
    paints.session.needs = Needs(channels=3, whole=TILE)
    asked: list[np.ndarray] = []
    under_way, cleaned = threading.Event(), threading.Event()

    def slow(rows: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        under_way.set()
        cleaned.wait(20)
        return rows + offsets

    monkeypatch.setattr(colour, "joined", slow)

    def run(kind: Kind, payloads: list[Any]) -> list[Any]:
        asked.extend(given for given, _ in payloads)
        return asked[-1:] if kind.task == "restore" else [np.zeros((TILE // 2, TILE // 2, 2), np.float32)]

    async def test(parts: Parts) -> None:
        parts.batcher.run = run
        scan = asyncio.create_task(pipeline.colorize(parts, paints, b"", []))
        await asyncio.to_thread(under_way.wait, 20)
        (job,) = parts.batcher.jobs
        assert job.aside == parts.painter.predicted(LARGE.pixels.nbytes) > 0
        parts.decoders.picture = Picture(np.zeros((TILE, TILE, 3), np.uint8))  # type: ignore[attr-defined]
        await pipeline.denoise(parts, loaded(), b"", 5.0, [])
        assert not scan.done()
        cleaned.set()
        assert len((await scan).body) == LARGE.pixels.nbytes

    journey(test, LARGE)
    assert [one.shape for one in asked] == [(TILE, TILE, 1), (TILE, TILE, 3)], "the device sees but a sketch of a scan"


def test_every_rate_is_known_after_a_full_batch_of_each():
    async def test(parts: Parts) -> None:
        await measure(parts.engine, parts.batcher)
        assert list(parts.batcher.rates) == [("fake@1", "restore")]

    assert journey(test, capacity=3).queued == [3]


def test_a_model_that_fails_from_the_start_is_named():
    async def test(parts: Parts) -> None:
        parts.batcher.run = lambda kind, payloads: [ArithmeticError("not finite")]
        with pytest.raises(RuntimeError, match="fake@1 fails at its first restore: not finite"):
            await measure(parts.engine, parts.batcher)

    journey(test, capacity=1)
