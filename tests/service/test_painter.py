import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest

from models import colour
from service.painter import BANDS, Painter
from service.rates import EACH

TINT = np.random.default_rng(1).uniform(-0.4, 0.4, (4, 6, 2)).astype(np.float32)
SCAN, THUMBNAIL = np.full((200, colour.BAND, 1), 128, np.uint8), np.full((20, 30, 1), 128, np.uint8)
"""Of 200 bands, and of one."""


def painting(test: Callable[[Painter], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await test(Painter())

    asyncio.run(run())


@pytest.fixture
def bands(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows the picture has of which a band was painted, one after another; they are painted with nothing."""
    painted: list[int] = []

    def all_bands(canvas: np.ndarray, pixels: np.ndarray, tint: np.ndarray) -> Iterator[int]:
        for number in range(max(1, pixels.shape[0] * pixels.shape[1] // colour.BAND)):
            painted.append(len(pixels))
            yield number + 1

    monkeypatch.setattr(colour, "painting", all_bands)
    return painted


def test_a_picture_is_painted_whole_in_another_thread_and_what_that_takes_is_learned(monkeypatch: pytest.MonkeyPatch):
    given = np.random.default_rng(0).integers(0, 256, (40 * BANDS, colour.BAND // 16, 3), np.uint8)
    threads: set[int] = set()
    joined = colour.joined
    monkeypatch.setattr(colour, "joined", lambda *told: threads.add(threading.get_ident()) or joined(*told))

    async def test(painter: Painter) -> None:
        guessed = painter.predicted(given.nbytes)
        answer = await painter.painted(given, TINT)
        assert threading.get_ident() not in threads
        assert np.array_equal(answer, colour.painted(given, TINT))
        assert painter.predicted(given.nbytes) != guessed
        assert painter.rate.cost > given.nbytes + EACH

    painting(test)


def test_a_thumbnail_waits_for_some_bands_of_a_scan_and_no_more(bands: list[int]):
    async def test(painter: Painter) -> None:
        scan = asyncio.create_task(painter.painted(SCAN, TINT))
        await asyncio.sleep(0)
        await painter.painted(THUMBNAIL, TINT)
        assert bands.index(20) == BANDS
        await scan
        assert bands.count(200) == 200

    painting(test)


def test_for_who_has_gone_no_more_bands_are_painted(bands: list[int]):
    async def test(painter: Painter) -> None:
        scan = asyncio.create_task(painter.painted(SCAN, TINT))
        await asyncio.sleep(0)
        scan.cancel()
        await asyncio.wait([scan])
        await painter.painted(THUMBNAIL, TINT)
        assert bands.count(200) <= BANDS

    painting(test)
