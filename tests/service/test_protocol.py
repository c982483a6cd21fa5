"""On real sockets, with limits that are short enough to wait for."""

import signal
import socket
import time
from collections.abc import Callable

import pytest

from service import guards
from service.protocol import QUEUED
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
        assert guards.SECURITY.items() <= {name.title(): value for name, value in answer.headers.items()}.items()


LARGE = 64 * 2**20
"""Bytes that no system takes into its own memory on the way."""


def asking_for_much(listening: Listening, room: int) -> socket.socket:
    """A client that has asked for much, and has room for so many bytes."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    client.settimeout(20)
    client.connect(listening.address)
    client.sendall(GET % b"/large?size=%d" % LARGE)
    return client


def test_who_does_not_read_an_answer_is_cut_off(serve: Serve):
    listening = serve(body_pause=0.3)
    with asking_for_much(listening, 4096) as client:
        client.recv(1000)
        until(lambda: listening.duty.under_way == 1)
        until(lambda: not listening.server.server_state.connections)
        until(lambda: listening.duty.under_way == 0)
        assert read(client, 0.0) < LARGE


def test_who_reads_too_slowly_is_cut_off(serve: Serve):
    listening = serve(body_start=0.5, body_rate=2**40)
    with asking_for_much(listening, 2**16) as client:
        assert 0 < read(client, 0.02) < LARGE


def test_who_reads_slowly_but_not_too_slowly_gets_it_all(serve: Serve):
    listening = serve(body_start=0.1, body_rate=1)
    with asking_for_much(listening, 2**20) as client:
        assert read(client, 0.005) > LARGE


def read(client: socket.socket, pause: float) -> int:
    """How many bytes come, read with pauses, until the answer or the connection ends."""
    taken, part = 0, b" "
    try:
        while part and not part.endswith(b"\r\n0\r\n\r\n"):
            time.sleep(pause)
            part = client.recv(2**20)
            taken += len(part)
    except ConnectionResetError:
        pass
    return taken


def test_one_connection_too_many_is_told_so_and_may_ask_for_health(serve: Serve):
    listening = serve(max_connections=3)
    idle = [listening.connected() for _ in range(3)]
    until(lambda: len(listening.server.server_state.connections) == 3)
    with listening.connected() as spare:
        spare.sendall(GET % b"/readyz")
        assert answered(spare).body == b"true"
        spare.sendall(POST % 3 + b"abc")
        refused = answered(spare)
        assert (refused.status, refused.slug) == (503, "too-many-connections")
        assert int(refused.headers["retry-after"]) >= 1
        assert closed(spare) == b""
    until(lambda: len(listening.server.server_state.connections) == 3)
    with listening.connected() as spare:
        until(lambda: len(listening.server.server_state.connections) == 4)
        idle.pop().close()
        until(lambda: len(listening.server.server_state.connections) == 3)
        spare.sendall(POST % 3 + b"abc")
        assert answered(spare).body == b"3"
    for client in idle:
        client.close()


def test_connections_too_many_are_not_kept_for_long(serve: Serve):
    listening = serve(max_connections=1, head_deadline=60, linger=0.3)
    with listening.connected() as idle:
        until(lambda: len(listening.server.server_state.connections) == 1)
        with listening.connected() as spare:
            assert closed(spare) == b""
        idle.sendall(GET % b"/readyz")
        assert answered(idle).body == b"true"


def test_twice_as_many_connections_are_too_many_for_a_word(serve: Serve):
    listening = serve(max_connections=2)
    held = [listening.connected() for _ in range(4)]
    until(lambda: len(listening.server.server_state.connections) == 4)
    with listening.connected() as client:
        assert closed(client) == b""
    for client in held:
        client.close()


@pytest.mark.slow
def test_a_thousand_idle_connections_stop_nobody(serve: Serve):
    listening = serve(head_deadline=60)
    idle = [listening.connected() for _ in range(1000)]
    until(lambda: len(listening.server.server_state.connections) == 1000)
    assert listening.ask(POST % 3 + b"abc").body == b"3"
    for client in idle:
        client.close()


def test_no_answer_tells_what_serves(serve: Serve):
    listening = serve()
    for request in (GET % b"/readyz", GET % b"/nowhere", b"nonsense\r\n\r\n"):
        assert "server" not in listening.ask(request).headers


def test_requests_that_come_at_once_are_answered_one_after_the_other(serve: Serve):
    with serve(keep_alive=0.5).connected() as client:
        client.sendall(GET % b"/readyz" + POST % 3 + b"abc" + GET % b"/readyz")
        answers = closed(client)
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert [part.partition(b"HTTP")[0] for part in answers.split(b"\r\n\r\n")[1:]] == [b"true", b"3", b"true"]


@pytest.mark.parametrize("junk", [b"what is this\r\n\r\n", b"\x89PNG\r\n", b"GET /" + b"x" * 9000])
def test_what_is_no_request_behind_one_does_not_cost_that_its_answer(serve: Serve, junk: bytes):
    with serve(keep_alive=60).connected() as client:
        client.sendall(GET % b"/readyz" + POST.replace(b"/count", b"/count?pause=0.3") % 3 + b"abc" + junk)
        answers = closed(client)
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert answers.endswith(b"\r\n\r\n3")


BROKEN = b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"


def test_a_broken_body_behind_a_request_does_not_cost_that_its_answer(serve: Serve):
    slow = POST.replace(b"/count", b"/count?pause=0.3")
    with serve(keep_alive=60).connected() as client:
        client.sendall(slow % 3 + b"abc" + GET % b"/readyz" + BROKEN)
        answers = closed(client)
    assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"HTTP/1.1") == 2
    assert answers.endswith(b"\r\n\r\ntrue")


def test_no_answer_is_written_into_another(serve: Serve):
    listening = serve()
    with asking_for_much(listening, 2**16) as client:
        until(lambda: listening.duty.under_way == 1)
        client.sendall(BROKEN)
        whole = client.recv(1000)
        while part := client.recv(2**20):
            whole += part
    assert whole.count(b"HTTP/1.1") == 1
    assert whole.endswith(b"\r\n0\r\n\r\n")


def test_few_requests_wait_behind_one(serve: Serve):
    listening = serve(keep_alive=60)
    with listening.connected() as client:
        client.sendall(GET % b"/long" + GET % b"/readyz" * 5000)
        until(lambda: listening.duty.under_way == 1)
        (one,) = listening.server.server_state.connections
        until(lambda: one.refused)  # type: ignore[attr-defined]
        assert len(one.pipeline) == QUEUED  # type: ignore[attr-defined]
        listening.release.set()
        assert closed(client).count(b"HTTP/1.1 200 OK") == 1 + QUEUED


def test_who_has_gone_is_worked_for_no_more_though_another_request_was_to_follow(serve: Serve):
    listening = serve()
    with listening.connected() as client:
        client.sendall(GET % b"/wanted" + GET % b"/readyz")
        until(lambda: listening.duty.under_way == 1)
        assert not listening.gone
    until(lambda: listening.duty.under_way == 0)
    assert listening.gone == ["/wanted"]


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_connection_whose_body_comes_after_its_answer_is_not_kept(serve: Serve, expect: bytes):
    listening = serve(linger=0.3, keep_alive=0.5)
    with listening.connected() as client:
        client.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n" + expect + b"\r\n")
        assert answered(client).status == 404
        client.sendall(b"x")
        assert closed(client) == b""


def test_what_trails_a_body_is_no_header(serve: Serve):
    head = b"POST /heads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = serve().ask(head + b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\nX-Request-ID: trailed\r\n\r\n")
    assert answer.status == 200
    assert b"authorization" not in answer.body
    assert answer.headers["x-request-id"] != "trailed"


def test_who_would_speak_another_protocol_is_answered_in_this_one(serve: Serve):
    upgrade = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"
    listening = serve()
    for name in (b"h2c", b"websocket"):
        assert listening.ask(upgrade % name).body == b"true"


@pytest.mark.parametrize(
    "upgrade", [b"", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"]
)
@pytest.mark.parametrize("chunked", [False, True])
def test_the_body_of_who_would_speak_another_protocol_is_a_body_and_no_request(
    serve: Serve, upgrade: bytes, chunked: bool
):
    body = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    head = b"POST /count HTTP/1.1\r\nHost: x\r\n%s%s\r\n\r\n" % (upgrade, framing)
    listening = serve()
    for pieces in ([head + sent], [head, sent], [bytes([one]) for one in head + sent]):
        with listening.connected() as client:
            for piece in pieces:
                client.sendall(piece)
            assert answered(client).body == b"%d" % len(body)
            client.sendall(GET % b"/readyz")  # and the next request is the next
            assert answered(client).body == b"true"


@pytest.mark.parametrize("target", [b"/readyz", b"x:80"])
def test_nobody_gets_a_tunnel_and_what_is_sent_through_one_is_no_request(serve: Serve, target: bytes):
    body = GET % b"/readyz"
    with serve().connected() as client:
        head = b"CONNECT %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        client.sendall(head % (target, len(body)))
        time.sleep(0.1)
        client.sendall(body)
        assert closed(client).count(b"HTTP/1.1") == 1


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
