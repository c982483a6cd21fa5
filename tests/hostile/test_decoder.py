"""Hostile files at the processes that decode: each is refused or read, none ends a process, and memory has a bound."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from models.images import Picture, PictureError
from service import errors
from service.decoders import Decoders
from service.processes import DecodeFailed
from tests.hostile import spoilt
from tests.hostile.bombs import BOMBS, READ, SLOW, Bomb
from tests.hostile.others import OTHERS
from tests.hostile.pictures import VALID

FOUND = Path(__file__).parent / "found"
REFUSED = {"damaged-image", "unsupported-format", "unsupported-depth", "image-too-large", "animated", "empty-upload"}
ALLOWED = 250_000_000
"""Bytes that a process may grow by, beside the pixels that it hands over."""

PER_PIXEL = 8
"""Bytes that decoding one may take."""

Answer = Picture | str
"""A picture, or why there is none: the slug that the service would tell."""


async def asked(decoders: Decoders, data: bytes) -> Answer:
    try:
        return await decoders.read(data)
    except DecodeFailed:
        return "failed"
    except PictureError as error:
        return errors.of_picture(error).slug


def answers(files: Iterable[bytes]) -> list[Answer]:
    """What becomes of each, in two processes that have to live through all of them."""

    async def all_asked() -> list[Answer]:
        async with Decoders(2) as decoders:
            found = await asyncio.gather(*(asked(decoders, data) for data in files))
            assert decoders.replaced == 0
            return found

    return asyncio.run(all_asked())


def same(a: Picture, b: Picture) -> bool:
    return np.array_equal(a.pixels, b.pixels) and (a.alpha is None or np.array_equal(a.alpha, b.alpha))


@pytest.mark.parametrize("step", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_a_picture_cut_short_is_refused_or_whole(step: int) -> None:
    """All valid pictures; those of which only what follows the pixels is lost come back whole."""
    whole = dict(zip(VALID, answers(VALID.values()), strict=True))
    assert all(isinstance(one, Picture) for one in whole.values())
    files = list(spoilt.cut(step))
    for (name, data), answer in zip(files, answers(data for _, data in files), strict=True):
        if isinstance(answer, Picture):
            assert same(answer, whole[name]), f"{name}, cut at {len(data)} of {len(VALID[name])}"
        else:
            assert answer in {"damaged-image", "unsupported-format", "empty-upload"}


@pytest.mark.parametrize(
    ("spoil", "count"),
    [
        (spoilt.flipped, 5000),
        (spoilt.overwritten, 1000),
        pytest.param(spoilt.overwritten, 100_000, marks=pytest.mark.slow),
    ],
)
def test_spoilt_pictures_are_refused_or_read(spoil, count: int) -> None:
    found = Counter(READ if isinstance(one, Picture) else one for one in answers(data for _, data in spoil(count)))
    assert set(found) <= REFUSED | {READ}
    assert found["damaged-image"] > count // 5


def test_other_formats_are_not_parsed() -> None:
    assert dict(zip(OTHERS, answers(OTHERS.values()), strict=True)) == dict.fromkeys(OTHERS, "unsupported-format")


@pytest.mark.parametrize("path", sorted(FOUND.iterdir()), ids=lambda path: path.name)
def test_what_was_found_once_stays_mended(path: Path) -> None:
    """Files that a fuzzer found; see `make fuzz`."""
    (answer,) = answers([path.read_bytes()])
    assert isinstance(answer, Picture) or answer in REFUSED


class Watched(threading.Thread):
    """By how many bytes a process grows at most."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process, self.grown, self.over = Path(f"/proc/{pid}"), 0, threading.Event()
        (self.process / "clear_refs").write_text("5")  # the high-water mark begins anew
        self.before = self.told("VmRSS")

    def told(self, what: str) -> int:
        status = (self.process / "status").read_text()
        return 1024 * int(status.partition(f"{what}:")[2].split()[0])

    def look(self) -> None:
        self.grown = max(self.grown, self.told("VmHWM") - self.before)

    def run(self) -> None:
        with suppress(OSError, IndexError):  # it was killed
            while not self.over.wait(0.01):
                self.look()
            self.look()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


def wrongly_answered(bombs: dict[str, Bomb], deadline: float) -> dict[str, str]:
    """Which of them are not answered as they should be, or take too much memory."""

    async def one(decoders: Decoders, make: Bomb) -> str | None:
        data, expected = make[0](), make[1].split(" or ")
        while not decoders.pids:  # noqa: ASYNC110  the last one was killed
            await asyncio.sleep(0.05)
        with Watched(decoders.pids[0]) as watched:
            answer = await asked(decoders, data)
        pixels = answer.width * answer.height if isinstance(answer, Picture) else 0
        if watched.grown > ALLOWED + PER_PIXEL * pixels:
            return f"took {watched.grown / 1e6:.0f} MB"
        told = READ if isinstance(answer, Picture) else "damaged-image" if answer == "failed" else answer
        return None if told in expected else told

    async def all_of_them() -> dict[str, str]:
        async with Decoders(1, deadline) as decoders:
            found = {name: await one(decoders, bomb) for name, bomb in bombs.items()}
        return {name: what for name, what in found.items() if what}

    return asyncio.run(all_of_them())


def test_what_asks_for_much_gets_little() -> None:
    assert wrongly_answered(BOMBS, deadline=60.0) == {}


@pytest.mark.slow
def test_what_asks_for_all_the_time_there_is_gets_that_and_no_more() -> None:
    assert wrongly_answered(SLOW, deadline=5.0) == {}
