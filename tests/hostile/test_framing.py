"""What is no HTTP, or not quite: answered once or closed, and never taken for two requests."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from serving import Server

from tests.hostile.pictures import VALID
from tests.service.conftest import closed

PNG = VALID["png grey"]
TARGET = b"POST /denoise?model=tiny-photo&sigma=0 HTTP/1.1\r\nHost: x\r\n"
SECOND = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(PNG)


def chunks(size: int, data: bytes = PNG, more: bytes = b"") -> bytes:
    parts = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(b"%x%s\r\n%s\r\n" % (len(part), more, part) for part in parts) + b"0\r\n\r\n"


DOUBTFUL = {400, 408, 411, 413, 414, 415, 422, 431, 501}
"""How a request can be refused that is no request."""


def said(server: Server, request: bytes) -> list[int]:
    """The statuses of all that the server says to those bytes before it closes the connection, which it has to."""
    with server.connected() as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(request)
        answers = closed(client).split(b"HTTP/1.1 ")[1:]
    return [int(answer[:3]) for answer in answers if answer[:3].isdigit()]


def wrongly(server: Server, requests: dict[bytes, set[int]]) -> dict[bytes, list[int]]:
    """What was said to those that were not refused, or answered more than once. All are sent side by side."""
    with ThreadPoolExecutor(len(requests)) as threads:
        answers = dict(zip(requests, threads.map(partial(said, server), requests), strict=True))
    return {one: found for one, found in answers.items() if len(found) > 1 or not set(found) <= requests[one]}


LENGTHS = [
    b"Content-Length: -1\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 0x10\r\n",
    b"Content-Length: 1e3\r\n",
    b"Content-Length: 5 5\r\n",
    b"Content-Length: 5, 6\r\n",
    b"Content-Length: \r\n",
    b"Content-Length: " + b"9" * 30 + b"\r\n",
    b"Content-Length: 18446744073709551621\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Content-Length: 5\r\nContent-Length: 5\r\n",
    LENGTH + CHUNKED,
    CHUNKED + LENGTH,
    CHUNKED + CHUNKED,
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\tchunked\r\nContent-Length: 5\r\n",
    b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
]
"""Ways to say how long a body is that are wrong, or that not all readers take alike."""


def test_a_body_of_doubtful_length_is_never_a_second_request(server: Server) -> None:
    bodies = (b"0\r\n\r\n" + SECOND, b"5\r\nabcde\r\n0\r\n\r\n" + SECOND, SECOND)
    requests = [TARGET + length + b"\r\n" + body for length in LENGTHS for body in bodies]
    assert wrongly(server, dict.fromkeys(requests, DOUBTFUL)) == {}


CHUNKS = [
    b"nonsense\r\n",
    b"-1\r\nabc\r\n",
    b"5\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabcdef\r\n0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFF\r\nabc",
    b"3;" + b"x" * 100_000 + b"\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabc",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b" 3\r\nabc\r\n0\r\n\r\n",
    b"3\rabc\r0\r\r",
    b"0\r\nX: " + b"x" * 50_000 + b"\r\n\r\n",
]
"""Chunks that are broken or never end."""


def test_broken_chunks_are_refused_or_closed(server: Server) -> None:
    requests = [TARGET + CHUNKED + b"\r\n" + body for body in CHUNKS]
    assert wrongly(server, dict.fromkeys(requests, DOUBTFUL)) == {}


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_picture_in_chunks_is_that_picture(server: Server, size: int) -> None:
    assert said(server, TARGET + CHUNKED + b"Connection: close\r\n\r\n" + chunks(size)) == [200]


def test_seventy_thousand_chunks_of_one_byte_are_a_body(server: Server) -> None:
    body = chunks(1, PNG + bytes(70_000))
    assert said(server, TARGET + CHUNKED + b"Connection: close\r\n\r\n" + body) == [200]


def test_a_length_that_lies(server: Server) -> None:
    lengths = (0, 1, len(PNG) - 1, len(PNG) + 1, 2**25)
    requests = [TARGET + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % length + PNG for length in lengths]
    assert wrongly(server, dict.fromkeys(requests, DOUBTFUL)) == {}


HEADS = {
    b"GET /readyz\r\n\r\n": {200, 400},
    b"GET /readyz HTTP/0.9\r\n\r\n": {400, 200, 505},
    b"GET /readyz HTTP/9.9\r\n\r\n": {400, 505},
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": {400, 404, 405, 505},
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(100): {400},
    b"GET /readyz HTTP/1.1\r\nHost: x\r\nX\0Y: z\r\n\r\n": {400},
    b"GET /readyz HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n": {400},
    b"GET /readyz HTTP/1.1\r\nHost: x\r\nX: a\rb: c\r\n\r\n": {400},
    b"GET /readyz HTTP/1.1\r\nno colon\r\n\r\n": {400},
    b"GET /readyz HTTP/1.1\r\n: no name\r\n\r\n": {400},
    b"GET /ready\0z HTTP/1.1\r\nHost: x\r\n\r\n": {400, 404},
    b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n": {400, 404},
    b"GET /%ff%00%zz HTTP/1.1\r\nHost: x\r\n\r\n": {400, 404},
    b"GET //readyz/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n": {404},
    b"GET /static/../../settings.py HTTP/1.1\r\nHost: x\r\n\r\n": {404},
    b"GET /static/%2e%2e/%2e%2e/settings.py HTTP/1.1\r\nHost: x\r\n\r\n": {404},
    b"GET /static/docs/%00 HTTP/1.1\r\nHost: x\r\n\r\n": {400, 404},
    b"GET http://elsewhere/readyz HTTP/1.1\r\nHost: x\r\n\r\n": {200, 400},
    b"CONNECT elsewhere:80 HTTP/1.1\r\nHost: x\r\n\r\n": {400, 404, 405},
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n": {400, 404, 405},
    b"BREW /denoise HTTP/1.1\r\nHost: x\r\n\r\n": {400, 405},
    b"GET " + b"/x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n": {414},
    b"GET /readyz?" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n": {414, 431},
    b"GET /readyz HTTP/1.1\r\n" + b"A: b\r\n" * 10_000 + b"\r\n": {431},
    b"GET /readyz HTTP/1.1\r\nA: " + b"b" * 33_000 + b"\r\n\r\n": {431},
    b"A" * 100_000: {400, 431},
    b"\r\n" * 50_000: {400, 431},
}
"""What is no head, or one that could lead astray: with the statuses that it may get."""


def test_a_head_that_is_none(server: Server) -> None:
    assert wrongly(server, HEADS) == {}


def test_the_same_server_still_stands(server: Server) -> None:
    assert said(server, TARGET + LENGTH + b"Connection: close\r\n\r\n" + PNG) == [200]
    assert said(server, SECOND[:-2] + b"Connection: close\r\n\r\n") == [200]
