"""Clients that are slow, or silent, or a thousand: each is cut at its limit, and the others are served meanwhile."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from answers import encoded
from conftest import scene
from serving import Server, settled

from tests.load.clients import ask, get, post

Serve = Callable[..., Server]
LIMIT = 2.0
SHORT = {
    "DENOIR_HEAD_DEADLINE": f"{LIMIT}",
    "DENOIR_BODY_PAUSE": f"{LIMIT}",
    "DENOIR_BODY_START": f"{LIMIT}",
    "DENOIR_BODY_RATE": "100000",
    "DENOIR_KEEP_ALIVE": f"{LIMIT}",
    "DENOIR_TILE": "256",
}
PICTURE = encoded(scene(64, 64, 0), "png")
HEAD = b"POST /denoise?model=tiny-photo&sigma=20 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
PATIENCE = 60.0


@dataclass(frozen=True)
class Slow:
    """How a client is slow: what it sends at once, and then a byte at a time; how it is told."""

    first: bytes
    then: bytes
    statuses: tuple[bytes, ...] = (b"",)


KINDS = {
    "silent": Slow(b"", b""),
    "half a head": Slow(b"GET /healthz HTTP/1.1\r\nHost:", b""),
    "a head by bytes": Slow(b"GET /healthz HTTP/1.1\r\n", b"x" * 10_000),
    "idle after an answer": Slow(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"", (b"200",)),
    "half a body": Slow(HEAD + PICTURE[:1000], b"", (b"408",)),
    "a body by bytes": Slow(HEAD, b"x" * 10_000, (b"408",)),
    "a chunk by bytes": Slow(
        HEAD.replace(b"Content-Length: 1000000", b"Transfer-Encoding: chunked"), b"0" * 10_000, (b"408",)
    ),
}


DEFAULT = dict(zip(KINDS, (10, 10, 10, 5, 10, 30, 30), strict=True))
"""Seconds after which each is cut where nothing is set."""


async def endured(server: Server, kind: Slow) -> tuple[bytes, float]:
    """What a slow client is told in the end, and the seconds until it is cut."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(*server.address)

    async def dribble() -> None:
        for at in range(len(kind.then)):
            writer.write(kind.then[at : at + 1])
            await asyncio.sleep(0.1)

    writer.write(kind.first)
    dribbling = asyncio.create_task(dribble())
    try:
        async with asyncio.timeout(PATIENCE):
            said = await reader.read(-1)
    except ConnectionError:
        said = b""
    finally:
        dribbling.cancel()
        await asyncio.gather(dribbling, return_exceptions=True)
        writer.close()
    return said[9:12], time.monotonic() - began


async def others(server: Server, over: asyncio.Event) -> int:
    """How many ordinary requests are served until it is over; none may fail."""
    served = 0
    while not over.is_set():
        for request in (get("/healthz"), post("/denoise?model=tiny-photo&sigma=20", PICTURE)):
            reply = await ask(server.address, request)
            assert reply.status == 200, reply.body
            served += 1
    return served


def meanwhile(server: Server, *slow: Slow) -> tuple[list[tuple[bytes, float]], int]:
    """What becomes of slow clients, and how many requests of others were served meanwhile."""

    async def both() -> Any:
        over = asyncio.Event()
        beside = asyncio.create_task(others(server, over))
        ends = await asyncio.gather(*(endured(server, kind) for kind in slow))
        over.set()
        return ends, await beside

    return asyncio.run(both())


def test_slow_clients_are_cut_and_others_served(serve: Serve) -> None:
    ends, served = meanwhile(serve(**SHORT), *KINDS.values())
    for (name, kind), (said, seconds) in zip(KINDS.items(), ends, strict=True):
        assert said in kind.statuses, name
        assert seconds > 0.9 * LIMIT, name
    assert served >= 2


@pytest.mark.parametrize("count", [140, pytest.param(1050, marks=pytest.mark.slow)])
def test_many_slow_clients_leave_nothing_behind(serve: Serve, count: int) -> None:
    server = serve(**SHORT)
    before = settled(server)
    ends, served = meanwhile(server, *list(KINDS.values()) * (count // len(KINDS)))
    assert {said for said, _ in ends} == {b"", b"200", b"408"}
    assert served >= 2
    after = settled(server)
    assert after.descriptors == before.descriptors
    assert after.memory < before.memory + 100_000_000


@pytest.mark.slow
def test_each_is_cut_at_the_limit_that_holds_where_nothing_is_set(serve: Serve) -> None:
    ends, served = meanwhile(serve(), *KINDS.values())
    for (name, kind), (said, seconds) in zip(KINDS.items(), ends, strict=True):
        assert said in kind.statuses, name
        assert DEFAULT[name] - 0.5 < seconds < DEFAULT[name] + 5, f"{name}, after {seconds:.1f} s"
    assert served >= 10
