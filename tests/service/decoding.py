"""A pool of decoders as tests have it, and what the system tells of its processes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from models import images
from models.images import Picture
from service.decoders import Decoders

LARGE_MEMORY = 512 << 20

SMALL = images.write(Picture(np.zeros((3, 5, 1), np.uint8)), "png")


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


@asynccontextmanager
async def pool(workers: int = 1, **settings: Any) -> AsyncIterator[Decoders]:
    async with Decoders(workers, **{"memory": LARGE_MEMORY} | settings) as decoders:
        yield decoders


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  there is no event to wait for
        await asyncio.sleep(0.01)


def told_of(pid: int, what: str) -> bytes:
    return Path(f"/proc/{pid}/{what}").read_bytes()


def alive(pid: int) -> bool:
    try:
        return told_of(pid, "stat").split()[2] != b"Z"
    except FileNotFoundError:
        return False
