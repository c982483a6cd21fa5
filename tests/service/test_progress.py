"""Answers in parts: what they hold, when they come, and how they end."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from email.message import Message
from email.parser import BytesParser
from types import SimpleNamespace
from typing import Any

import pytest
from answers import encoded
from conftest import scene
from fastapi import FastAPI, Request, Response
from starlette.testclient import TestClient

from service import errors, guards, progress
from service.batcher import Batcher
from service.pipeline import Answer, Progress

from .conftest import Listening, closed, some, until

PARTS = {"Accept": "multipart/mixed"}
NOISY = encoded(scene(300, 200, 1))
ASK = b"POST /make HTTP/1.1\r\nHost: x\r\nAccept: multipart/mixed\r\nContent-Length: 1\r\n\r\nx"
Journey = Callable[[Progress], Coroutine[Any, Any, Answer]]


def parts_of(content_type: str, body: bytes) -> list[Message]:
    """By a parser of mail, which knows nothing of us."""
    message = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    assert message.is_multipart()
    return message.get_payload()  # type: ignore[return-value]


def bytes_of(part: Message) -> bytes:
    return part.get_payload(decode=True)  # type: ignore[return-value]


def test_the_last_part_is_the_answer_and_those_before_tell_of_tiles(client: TestClient):
    alone = client.post("/denoise?model=tiny-photo&sigma=20", content=NOISY)
    answer = client.post("/denoise?model=tiny-photo&sigma=20", content=NOISY, headers=PARTS)
    assert answer.status_code == 200
    *told, picture = parts_of(answer.headers["content-type"], answer.content)
    assert picture.get_content_type() == "image/png"
    assert bytes_of(picture) == alone.content
    assert picture["Denoir-Sigma"] == "20.00"
    assert picture["Denoir-Model"] == alone.headers["Denoir-Model"]
    assert picture["Content-Disposition"] == alone.headers["Content-Disposition"]
    steps = [json.loads(bytes_of(part)) for part in told]
    done = [step["done"] for step in steps]
    assert done == sorted(set(done))
    assert steps[-1] == {"done": done[-1], "tiles": done[-1]}
    assert done[-1] > 1, "the picture has several tiles"


def test_every_part_says_how_long_it_is(client: TestClient):
    answer = client.post("/denoise?model=tiny-photo", content=NOISY, headers=PARTS)
    for part in parts_of(answer.headers["content-type"], answer.content):
        assert int(part["Content-Length"]) == len(bytes_of(part))


def test_a_picture_that_stays_as_it_is_has_no_tiles_to_tell_of(client: TestClient):
    answer = client.post("/denoise?model=tiny-photo&sigma=0", content=NOISY, headers=PARTS)
    (picture,) = parts_of(answer.headers["content-type"], answer.content)
    assert picture.get_content_type() == "image/png"


@pytest.mark.parametrize(
    ("query", "body", "status", "slug"),
    [
        ("model=tiny-photo", b"no picture", 415, "unsupported-format"),
        ("model=tiny-photo", NOISY[:-300], 422, "damaged-image"),
        ("model=tiny-denoise", NOISY, 422, "wrong-size"),
        ("model=tiny-vae", NOISY, 409, "wrong-model"),
        ("model=none", NOISY, 404, "unknown-model"),
    ],
)
def test_what_is_wrong_before_the_first_tile_has_its_own_status(
    client: TestClient, query: str, body: bytes, status: int, slug: str
):
    answer = client.post(f"/denoise?{query}", content=body, headers=PARTS)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:denoir:{slug}"


def test_the_api_tells_of_parts(client: TestClient):
    content = client.get("/openapi.json").json()["paths"]["/denoise"]["post"]["responses"]["200"]["content"]
    assert {"image/png", "multipart/mixed"} <= set(content)


@pytest.mark.parametrize(
    ("accept", "wished"),
    [
        ("multipart/mixed", True),
        ("image/webp, Multipart/Mixed;q=0.5", True),
        ("multipart/mixed;q=0", False),
        ("*/*", False),
        ("image/png", False),
        ("", False),
    ],
)
def test_parts_are_for_who_asks_for_them(accept: str, wished: bool):
    assert progress.wished(accept) is wished


def test_a_slow_reader_is_told_the_latest():
    async def read() -> tuple[int, bool]:
        steps = progress.Steps()
        for done in range(1, 100):
            steps(done, 100)
        await steps.next()
        return steps.done, steps.news.is_set()

    assert asyncio.run(read()) == (99, False)


@pytest.fixture
def make(serve: Callable[..., Listening]) -> Callable[..., Listening]:
    """A server whose one route is a journey."""

    def served(journey: Journey, **settings: Any) -> Listening:
        app = FastAPI()
        parts: Any = SimpleNamespace(batcher=Batcher(lambda kind, payloads: payloads, lambda kind: 1))

        @app.post("/make")
        async def made(request: Request) -> Response:
            await request.body()
            return await progress.answered(request, parts, journey)

        errors.answer_all(app)
        return serve(lambda _: guards.RequestIds(app), **settings)

    return served


def last_part(answer: bytes) -> tuple[Message, Any]:
    """Of an answer in chunks, as it went over the wire."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    kind = next(line for line in head.decode().split("\r\n") if line.lower().startswith("content-type: "))
    part = parts_of(kind.partition(": ")[2], body)[-1]
    return part, json.loads(bytes_of(part))


def read_until(client: Any, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        data += some(client)
    return data


def test_a_step_is_told_while_the_work_goes_on(make: Callable[..., Listening]):
    release = threading.Event()

    async def journey(told: Progress) -> Answer:
        told(1, 2)
        while not release.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        told(2, 2)
        return Answer(b"[7]", "application/json", {})

    with make(journey).connected() as client:
        client.sendall(ASK)
        data = read_until(client, b'{"done": 1, "tiles": 2}')
        assert b"[7]" not in data
        release.set()
        data += read_until(client, b"\r\n0\r\n\r\n")
    assert b'{"done": 2, "tiles": 2}' in data
    assert last_part(data)[1] == [7]


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [(errors.deadline(), 504, "deadline"), (RuntimeError("a path: /etc"), 500, "internal-error")],
)
def test_what_goes_wrong_later_is_the_last_part(
    make: Callable[..., Listening], error: Exception, status: int, slug: str
):
    async def journey(told: Progress) -> Answer:
        told(1, 2)
        await asyncio.sleep(0.05)
        raise error

    with make(journey).connected() as client:
        client.sendall(ASK)
        part, problem = last_part(read_until(client, b"\r\n0\r\n\r\n"))
    assert part.get_content_type() == "application/problem+json"
    assert (problem["status"], problem["type"]) == (status, f"urn:denoir:{slug}")
    assert "/etc" not in str(problem)


def test_the_work_ends_when_the_client_has_gone(make: Callable[..., Listening]):
    ended = threading.Event()

    async def journey(told: Progress) -> Answer:
        try:
            for done in range(1, 10_000):
                told(done, 10_000)
                await asyncio.sleep(0.01)
        finally:
            ended.set()
        raise AssertionError("nobody stopped it")

    client = make(journey).connected()
    client.sendall(ASK)
    read_until(client, b'{"done": 2')
    assert not ended.is_set()
    client.close()
    until(ended.is_set)


def test_the_work_ends_when_the_client_has_gone_before_the_first_step(make: Callable[..., Listening]):
    began, ended = threading.Event(), threading.Event()

    async def journey(told: Progress) -> Answer:
        began.set()
        try:
            await asyncio.sleep(1000)
        finally:
            ended.set()
        raise AssertionError("nobody stopped it")

    client = make(journey).connected()
    client.sendall(ASK)
    until(began.is_set)
    assert not ended.is_set()
    client.close()
    until(ended.is_set)


def test_who_is_cut_off_is_told_so_in_the_last_part(make: Callable[..., Listening]):
    async def journey(told: Progress) -> Answer:
        told(1, 2)
        await asyncio.sleep(1000)
        raise AssertionError("nobody stopped it")

    listening = make(journey, grace=0.0)
    with listening.connected() as client:
        client.sendall(ASK)
        data = read_until(client, b'{"done": 1, "tiles": 2}')
        listening.server.should_exit = True
        data += closed(client)
    part, problem = last_part(data)
    assert problem["type"] == "urn:denoir:shutting-down"
    assert part["retry-after"]


def test_who_is_cut_off_within_a_part_finds_nothing_else_in_it():
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if sent[-1] == b"pixels":  # which the client is slow to take
            await asyncio.sleep(1000)

    async def receive() -> Any:
        await asyncio.sleep(1000)

    async def journey(told: Progress) -> Answer:
        told(1, 1)
        return Answer(b"pixels", "image/png", {})

    async def cut_off() -> None:
        scope = {"type": "http", "headers": [(b"accept", b"multipart/mixed")]}
        parts: Any = SimpleNamespace(batcher=SimpleNamespace(holding=lambda size: nullcontext()))
        answer = await progress.answered(Request(scope, receive), parts, journey)
        task = asyncio.create_task(answer(scope, receive, send))
        while b"pixels" not in sent:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cut_off())
    assert sent[-1] == b"pixels"
