"""More clients than can be served: each is served or told when to come back, and health is told all the while."""

import asyncio
import gc
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
from answers import encoded
from conftest import scene
from serving import Server, Usage, cpu_seconds, settled

from service.batcher import FARTHEST, Batcher, Overloaded
from service.settings import cores_given
from tests.load.clients import Address, Reply, ask, get, post

Serve = Callable[..., Server]
BUSY = {"DENOIR_MAX_WAITING": "1", "DENOIR_TILE": "256"}
MEMORY = 1_500_000_000
"""Bytes that a crowd may take: two decoders with a picture each, and what waits."""

LEFT = 300_000_000

IDLE = """
import asyncio
async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass
class Told:
    """What a crowd was told.

    health, control: the server's, and those of one that does nothing else. first: whether those who came back when they
    were told to were let in then. most: bytes that the server took.
    """

    replies: list[Reply] = field(default_factory=list)
    health: list[Reply] = field(default_factory=list)
    control: list[Reply] = field(default_factory=list)
    first: list[bool] = field(default_factory=list)
    most: int = 0


def picture(side: int) -> bytes:
    return encoded(scene(side, side, 1), "png")


async def one_client(server: Server, request: bytes, until: float, told: Told) -> None:
    """Asks again and again; refused, it waits for as long as it is told to."""
    refused = False
    while time.monotonic() < until:
        reply = await ask(server.address, request)
        told.replies.append(reply)
        if refused:
            told.first.append(reply.status == 200)
        refused = reply.status == 503
        if refused:
            await asyncio.sleep(int(reply.headers["retry-after"]))


async def looking_after(server: Server, control: Address, until: float, told: Told) -> None:
    """Asks how it is, and what it takes, several times a second."""
    while time.monotonic() < until:
        told.health.append(await ask(server.address, get("/healthz")))
        told.control.append(await ask(control, get("/")))
        told.most = max(told.most, (await asyncio.to_thread(Usage.of, server.process.pid)).memory)
        await asyncio.sleep(0.1)


@contextmanager
def beside() -> Iterator[Address]:
    """A server that does nothing else than answer: what it takes to answer is the machine's and the client's doing."""
    told = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", IDLE], **told) as process:
        yield "127.0.0.1", int(process.stdout.readline())
        process.kill()


def crowd(server: Server, clients: int, seconds: float, side: int) -> Told:
    request, told = post("/denoise?model=tiny-photo&sigma=20", picture(side)), Told()

    async def all_of_them() -> None:
        until = time.monotonic() + seconds
        here = [one_client(server, request, until, told) for _ in range(clients)]
        await asyncio.gather(looking_after(server, control, until, told), *here)

    with beside() as control:
        asyncio.run(all_of_them())
    return told


def slow(replies: list[Reply]) -> float:
    """Seconds within which 99 of 100 are there."""
    return float(np.quantile([reply.seconds for reply in replies], 0.99))


def checked(told: Told) -> None:
    """That all were served, or told in good order that they are not."""
    assert {reply.slug for reply in told.replies} == {"", "overloaded"}
    assert all(1 <= int(reply.headers["retry-after"]) <= FARTHEST for reply in told.replies if reply.status == 503)
    assert all(reply.status == 200 for reply in told.health)
    assert told.most < MEMORY


def test_a_crowd_is_served_or_told_when_to_come_back(serve: Serve) -> None:
    server = serve(**BUSY)
    before = settled(server)
    checked(crowd(server, clients=40, seconds=3, side=768))
    after = settled(server)
    assert after.memory < before.memory + LEFT
    assert (after.descriptors, after.processes) == (before.descriptors, before.processes)


class Sent:
    """Stands for what a client has sent."""


def test_what_fails_is_let_go_of_at_once() -> None:
    """A task, its error, the frames of that and what they hold must not hold one another: the collector of such rings
    comes by so rarely that a crowd's bodies would be there all at once."""
    held: list[weakref.ref] = []

    async def journey(batcher: Batcher) -> None:
        sent = Sent()
        held.append(weakref.ref(sent))
        async with batcher.admit("kind", 1) as job:
            job.expect(10**12)

    async def refused() -> None:
        batcher = Batcher(lambda kind, payloads: payloads, lambda kind: 1)
        async with batcher.admit("kind", 10**9):
            with pytest.raises(Overloaded):
                await asyncio.create_task(journey(batcher))

    gc.disable()
    try:
        asyncio.run(refused())
        assert held[0]() is None
    finally:
        gc.enable()


@pytest.mark.slow
def test_two_hundred_clients_for_twenty_seconds(serve: Serve) -> None:
    server = serve(**BUSY)
    before, computed = settled(server), cpu_seconds(server.process.pid)
    told = crowd(server, clients=200, seconds=20, side=768)
    given = (cpu_seconds(server.process.pid) - computed) / 20
    checked(told)
    slowest, control = (slow(replies) for replies in (told.health, told.control))
    served = sum(reply.status == 200 for reply in told.replies)
    share = sum(told.first) / max(1, len(told.first))
    print(
        f"with {given:.1f} of {cores_given()} cores: {served} served, {len(told.replies) - served} told to come back, "
        f"{share:.0%} of whom got in at once then;"
    )
    print(f"health within {slowest:.3f} s for 99 of 100, where an idle server took {control:.3f};")
    print(f"{told.most / 1e6:.0f} MB at most, {before.memory / 1e6:.0f} before")
    assert slowest < control + max(1, cores_given() / given)  # what others have of the cores is not the server's fault
    after = settled(server)
    assert after.memory < before.memory + LEFT
    assert (after.descriptors, after.processes) == (before.descriptors, before.processes)
