import socket
from collections.abc import Callable
from typing import Any

import pytest

from models.images import AS_IT_CAME
from service.app import READ_AHEAD
from service.guards import negotiated
from service.settings import MIB
from tests.service.conftest import Answered, Listening, answered, until

Serve = Callable[..., Listening]
LIMIT = 100_000
HEAD = b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"

WRITABLE = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp"}


@pytest.mark.parametrize(
    ("accept", "wished"),
    [
        ("", []),
        ("*/*", []),
        ("image/*", []),
        ("image/webp", ["webp"]),
        ("image/png;q=0.5, image/jpeg", ["jpeg", "png"]),
        ("text/html, image/webp;q=0.8, */*;q=0.1", ["webp", AS_IT_CAME]),
        ("image/png;q=0", []),
        ("application/json", []),
        ("*/*, image/jpeg;q=0.2", []),
        (";;;,,q=", []),
    ],
)
def test_the_best_format_that_is_asked_for_comes_first(accept: str, wished: list[str]):
    assert negotiated(accept, WRITABLE) == wished


class Counted:
    """An application, and how many bytes of bodies it and its guards have taken."""

    def __init__(self, app: Any):
        self.app, self.taken = app, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def counting() -> Any:
            message = await receive()
            self.taken += len(message.get("body", b""))
            return message

        await self.app(scope, counting, send)


def stubborn(client: socket.socket, data: bytes, times: int) -> None:
    """Sends all of it before it looks at the answer, as many clients do; or until it is not let."""
    try:
        for _ in range(times):
            client.sendall(data)
    except OSError:
        pass


def test_a_client_that_sends_all_of_a_body_over_the_limit_sees_the_413(serve: Serve):
    with serve(max_upload=LIMIT).connected() as client:
        client.sendall(HEAD % (5 * 2**20))
        for _ in range(5):
            client.sendall(bytes(2**20))
        answer = answered(client)
    assert (answer.status, answer.slug) == (413, "upload-too-large")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", [b"/nowhere", b"/large", b"/early"])
@pytest.mark.parametrize("framing", [b"Content-Length: %d\r\n" % (5 * 2**20), b"Transfer-Encoding: chunked\r\n"])
def test_a_client_that_is_answered_while_it_sends_sees_the_answer(serve: Serve, path: bytes, framing: bytes):
    """Also where the connection ends with it, and nobody has looked at the body: 404, 405, 200."""
    with serve().connected() as client:
        client.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % path + framing + b"\r\n")
        for _ in range(5):
            client.sendall(bytes(2**20) if b"Length" in framing else CHUNK * 16)
        client.sendall(b"" if b"Length" in framing else b"0\r\n\r\n")
        assert answered(client).status == {b"/nowhere": 404, b"/large": 405, b"/early": 200}[path]
        assert client.recv(1) == b"", "the connection ends in good order"


@pytest.mark.parametrize("most", [8 * MIB, 3 * MIB])
def test_of_a_body_that_nobody_wants_no_more_is_taken_than_8_mib(serve: Serve, most: int):
    """Or than is set."""
    counted = []

    def around(app: Any) -> Counted:
        counted.append(Counted(app))
        return counted[0]

    with serve(around, overrun=most).connected() as client:
        client.sendall(CHUNKED.replace(b"/count", b"/nowhere").replace(b"Host", b"Connection: close\r\nHost"))
        stubborn(client, CHUNK, 40 * 16)
    assert most - READ_AHEAD <= counted[0].taken <= most


def test_a_client_that_asks_before_it_sends_is_told_at_once(serve: Serve):
    with serve(max_upload=LIMIT).connected() as client:
        client.sendall((HEAD % (5 * 2**20))[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert answered(client).status == 413


def test_a_declared_body_that_never_comes_is_refused_soon(serve: Serve):
    with serve(max_upload=LIMIT).connected() as client:
        client.sendall(HEAD % (LIMIT + 1))
        assert answered(client).status == 413


def test_a_chunked_body_that_runs_over_gets_413(serve: Serve):
    with serve(max_upload=LIMIT).connected() as client:
        client.sendall(CHUNKED)
        for _ in range(50):
            client.sendall(CHUNK)
        client.sendall(b"0\r\n\r\n")
        answer = answered(client)
    assert (answer.status, answer.slug) == (413, "upload-too-large")


def test_of_a_body_without_an_end_no_more_is_taken_than_the_limit_and_8_mib(serve: Serve):
    counted = []

    def around(app: Any) -> Counted:
        counted.append(Counted(app))
        return counted[0]

    with serve(around, max_upload=LIMIT).connected() as client:
        client.sendall(CHUNKED)
        stubborn(client, CHUNK, 40 * 16)
    assert 8 * MIB - READ_AHEAD <= counted[0].taken <= LIMIT + 8 * MIB


def begin(listening: Listening, size: int) -> socket.socket:
    """A body of `size` but for its last byte."""
    client = listening.connected()
    client.sendall(HEAD % size + bytes(size - 1))
    return client


def last(client: socket.socket) -> Answered:
    """The answer to the last byte."""
    with client:
        client.sendall(b"x")
        return answered(client)


def test_the_bodies_under_way_are_bounded_together(serve: Serve):
    listening = serve(max_upload=LIMIT, max_bodies=2 * LIMIT)
    first, second = begin(listening, LIMIT), begin(listening, LIMIT - 10)
    until(lambda: listening.body_limit.under_way == 2 * LIMIT - 12)
    refused = listening.ask(HEAD % 50 + bytes(50))
    assert (refused.status, refused.slug) == (503, "overloaded")
    assert refused.headers["retry-after"] == "7"
    over = listening.ask(CHUNKED + b"32\r\n" + bytes(50) + b"\r\n0\r\n\r\n")
    assert over.slug == "overloaded"
    assert last(first).body == b"%d" % LIMIT
    assert listening.ask(HEAD % 50 + bytes(50)).body == b"50"
    assert last(second).status == 200
    until(lambda: listening.body_limit.under_way == 0)


def test_what_is_only_declared_keeps_nobody_out(serve: Serve):
    listening = serve(max_upload=LIMIT, max_bodies=LIMIT)
    with listening.connected() as slow:
        slow.sendall(HEAD % LIMIT + b"x")
        until(lambda: listening.body_limit.under_way == 1)
        assert listening.ask(HEAD % 1000 + bytes(1000)).status == 200
