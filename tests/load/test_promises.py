"""What a refusal tells comes true on a real server: who waits for so long gets in. The device is one that takes its
time, the same for each tile, so that the machine's own speed plays no part."""

import asyncio
from collections.abc import Iterator

import pytest
from answers import encoded
from conftest import TINY, scene, stocked
from serving import Server, started

from tests.load.clients import Reply, ask, post

CLIENTS = 30
SECONDS = 0.25
"""That a tile takes."""

SLOW = f"""
import time
from pathlib import Path
from service import app, cli, engine
app.SHIPPED = Path("nothing ships")
def run(self, kind, payloads):
    time.sleep({SECONDS} * len(payloads))
    return [tile for tile, _ in payloads]
engine.Engine.run = run
cli.main()
"""
LIMITS = {
    "DENOIR_MAX_WAITING": "2",
    "DENOIR_TILE": "128",
    "DENOIR_BATCH_PIXELS": str(128**2),  # tiles that come back together would hide who waited for which
    "DENOIR_DEVICE": "cpu",
    "DENOIR_METRICS_PORT": "0",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("shelf")
    cache = str(tmp_path_factory.mktemp("graphs"))
    with started(stocked(folder, {"tiny-photo": TINY["tiny-photo"]}), SLOW, DENOIR_CACHE=cache, **LIMITS) as server:
        yield server


async def until_served(server: Server, request: bytes, tries: int = 10) -> list[Reply]:
    """All that one client is told; it comes again when it was told to."""
    replies = [await ask(server.address, request)]
    while replies[-1].status == 503 and len(replies) < tries:
        await asyncio.sleep(int(replies[-1].headers["retry-after"]))
        replies.append(await ask(server.address, request))
    return replies


def crowd(server: Server, request: bytes, clients: int = CLIENTS) -> list[list[Reply]]:
    async def all_of_them() -> list[list[Reply]]:
        return await asyncio.gather(*(until_served(server, request) for _ in range(clients)))

    return asyncio.run(all_of_them())


def checked(told: list[list[Reply]]) -> None:
    """That all are served in the end, and of those who were refused nearly all as soon as they had waited."""
    assert {one.slug for replies in told for one in replies} == {"", "overloaded"}
    assert all(replies[-1].status == 200 for replies in told)
    refused = [len(replies) for replies in told if len(replies) > 1]
    assert len(refused) >= CLIENTS // 3
    assert sum(tries == 2 for tries in refused) >= 0.9 * len(refused)


def test_who_waits_as_long_as_told_gets_in(server: Server) -> None:
    """The first picture tells what such files hold; of a crowd that comes before it a few more are told too early."""
    request = post("/denoise?model=tiny-photo&sigma=20", encoded(scene(128, 128, 1), "png"))
    assert crowd(server, request, clients=1)[0][0].status == 200
    checked(crowd(server, request))


@pytest.mark.slow
def test_what_is_costly_to_decode_and_encode_alone_is_refused_too(server: Server) -> None:
    """Without noise the model has nothing to do; what a picture takes to be written as AVIF is known from the first."""
    request = post("/denoise?model=tiny-photo&sigma=0&format=avif&effort=9", encoded(scene(200, 200, 1), "png"))
    assert crowd(server, request, clients=1)[0][0].status == 200
    told = crowd(server, request, clients=12)
    assert {one.slug for replies in told for one in replies} == {"", "overloaded"}
    assert all(replies[-1].status == 200 for replies in told)
