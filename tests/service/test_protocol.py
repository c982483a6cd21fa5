"""On real sockets, with limits that are short enough to wait for."""

import signal
import socket
import time
from collections.abc import Callable

import pytest

from tests.service.conftest import Listening, answered, closed, until

Serve = Callable[..., Listening]
POST = b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


def dribble(client: socket.socket, data: bytes, pause: float = 0.05) -> None:
    """A byte at a time, until all is sent or the other side has had enough."""
    try:
        for number in range(len(data)):
            client.sendall(data[number : number + 1])
            time.sleep(pause)
    except OSError:
        pass


@pytest.mark.parametrize("begun", [b"", b"GET /readyz HTTP/1.1\r\nHost:", b"\r\n\r\n"])
def test_a_head_that_does_not_come_to_its_end_is_closed(serve: Serve, begun: bytes):
    with serve(head_deadline=0.3).connected() as client:
        client.sendall(begun)
        assert closed(client) == b""


def test_a_head_that_dribbles_is_closed_all_the_same(serve: Serve):
    with serve(head_deadline=0.5).connected() as client:
        dribble(client, b"GET /readyz HTTP/1.1\r\nX: " + b"x" * 200)
        assert closed(client) == b""


@pytest.mark.parametrize("begun", [b"GET /re", b"\r\n"])
def test_the_second_head_has_a_deadline_too(serve: Serve, begun: bytes):
    with serve(head_deadline=0.3, keep_alive=60).connected() as client:
        client.sendall(GET % b"/readyz")
        assert answered(client).status == 200
        client.sendall(begun)
        assert closed(client) == b""


def test_an_idle_connection_is_kept_for_a_while(serve: Serve):
    with serve(keep_alive=0.5).connected() as client:
        for _ in range(3):
            client.sendall(GET % b"/readyz")
            assert answered(client).status == 200
        assert closed(client) == b""


def test_a_body_that_pauses_is_told_so(serve: Serve):
    with serve(body_pause=0.3).connected() as client:
        client.sendall(POST % 10 + b"12345")
        answer = answered(client)
        assert (answer.status, answer.slug) == (408, "upload-too-slow")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"]
        assert closed(client) == b""


def test_a_body_that_dribbles_is_told_so(serve: Serve):
    with serve(body_start=0.5, body_rate=10_000).connected() as client:
        client.sendall(POST % 1000)
        dribble(client, b"x" * 30)
        assert answered(client).slug == "upload-too-slow"


def test_a_body_that_is_slow_but_not_too_slow_is_read(serve: Serve):
    with serve(body_start=0.2, body_rate=1, body_pause=10).connected() as client:
        client.sendall(POST % 20)
        dribble(client, b"x" * 20)
        assert answered(client).body == b"20"


def test_a_body_that_nobody_reads_and_does_not_come_is_closed(serve: Serve):
    with serve(body_pause=0.3, keep_alive=60).connected() as client:
        client.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
        assert answered(client).status == 200
        assert closed(client) == b""


def test_a_client_is_not_blamed_while_it_is_us_who_take_long(serve: Serve):
    listening = serve(head_deadline=1, body_pause=1, body_start=1, body_rate=2**20)
    body = bytes(3_000_000)
    with listening.connected() as client:
        client.sendall(b"POST /count?pause=2 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert answered(client).body == b"3000000"


@pytest.mark.parametrize(
    ("request_", "status", "slug"),
    [
        (GET % (b"/" + b"x" * 600), 414, "path-too-long"),
        (GET % (b"/readyz?" + b"x" * 3000), 414, "path-too-long"),
        (GET % b"/readyz" + b"", 200, ""),
        (GET % (b"/readyz?" + b"x" * 900), 200, ""),
        (b"GET /readyz HTTP/1.1\r\n" + b"A: 0123456789\r\n" * 200 + b"\r\n", 431, "head-too-large"),
        (b"GET /readyz HTTP/1.1\r\nA: " + b"x" * 3000 + b"\r\n\r\n", 431, "head-too-large"),
        (b"GET /readyz HTTP/1.1\r\nA: " + b"x" * 5_000_000, 431, "head-too-large"),
        (b"what is this\r\n\r\n", 400, "bad-request"),
        (b"POST /count HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "bad-request"),
        (b"POST /count HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1", 400, "bad-request"),
        (b"POST /count HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400, "bad-request"),
    ],
)
def test_a_head_has_bounds_and_a_broken_one_is_told_so(serve: Serve, request_: bytes, status: int, slug: str):
    answer = serve(max_path=500, max_head=2000).ask(request_)
    assert answer.status == status
    if slug:
        assert answer.slug == slug
        assert answer.headers["connection"] == "close"


def test_requests_that_come_at_once_are_answered_one_after_the_other(serve: Serve):
    with serve(keep_alive=0.5).connected() as client:
        client.sendall(GET % b"/readyz" + POST % 3 + b"abc" + GET % b"/readyz")
        answers = closed(client)
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert [part.partition(b"HTTP")[0] for part in answers.split(b"\r\n\r\n")[1:]] == [b"true", b"3", b"true"]


def test_who_would_speak_another_protocol_is_answered_in_this_one(serve: Serve):
    upgrade = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"
    listening = serve()
    for name in (b"h2c", b"websocket"):
        assert listening.ask(upgrade % name).body == b"true"


def test_trailers_have_bounds_too(serve: Serve):
    listening = serve(max_upload=1024)
    with listening.connected() as client:
        client.sendall(b"POST /count HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ")
        try:
            for _ in range(20):
                client.sendall(bytes(2**20).replace(b"\0", b"x"))
        except OSError:
            pass
        closed(client)
    assert listening.ask(GET % b"/readyz").status == 200


def test_what_is_under_way_ends_and_who_is_new_is_told_that_the_service_stops(serve: Serve):
    listening = serve(grace=30)
    address = listening.address
    with listening.connected() as first, listening.connected() as kept, socket.create_connection(address) as new:
        first.sendall(GET % b"/long")
        kept.sendall(GET % b"/readyz")
        assert answered(kept).body == b"true"
        until(lambda: listening.duty.under_way == 1)
        listening.server.handle_exit(signal.SIGTERM, None)
        kept.sendall(GET % b"/readyz")
        assert answered(kept).body == b"false"
        time.sleep(0.5)
        for client in (kept, new, listening.connected()):
            client.sendall(POST % 3 + b"abc")
            assert (answered(client).slug, client.close()) == ("shutting-down", None)
        listening.release.set()
        assert answered(first).body == b'"done"'


def test_what_goes_on_past_the_grace_is_cut_off_and_told_so(serve: Serve):
    listening = serve(grace=0.3)
    with listening.connected() as client:
        client.sendall(GET % b"/long")
        until(lambda: listening.duty.under_way == 1)
        listening.server.handle_exit(signal.SIGTERM, None)
        answer = answered(client)
        assert (answer.status, answer.slug) == (503, "shutting-down")
        assert closed(client) == b""
