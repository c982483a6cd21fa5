"""When a client asks again, and for how long."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest

from service.client import Patience, Problem, Unreachable, calls
from service.client.patience import FIRST_PAUSE, seconds_of

from .conftest import Call

OK = httpx2.Response(200, content=b"png", headers={"content-type": "image/png"})


def problem(status: int, slug: str, **headers: str) -> httpx2.Response:
    told = {
        "type": f"urn:denoir:{slug}",
        "title": slug,
        "status": status,
        "detail": "why",
        "instance": "id",
        "known": [1],
    }
    media = {"content-type": "application/problem+json"}
    return httpx2.Response(status, json=told, headers=media | {k.replace("_", "-"): v for k, v in headers.items()})


class Played:
    """A service that answers as it was told, in turn, and what was asked of it and waited for."""

    def __init__(self, *answers: httpx2.Response | Exception):
        self.answers, self.bodies, self.heads, self.pauses = list(answers), [], [], []

    async def handle_async(self, request: httpx2.Request) -> httpx2.Response:
        return self.answered(request, await request.aread())

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        return self.answered(request, request.read())

    def answered(self, request: httpx2.Request, body: bytes) -> httpx2.Response:
        self.bodies.append(body)
        self.heads.append(request.headers)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)


Play = Callable[..., tuple[Played, Call]]


@pytest.fixture
def play(client: Call, monkeypatch: pytest.MonkeyPatch) -> Play:
    """`play(*answers, **settings)` -> what happens, and a client to be asked; no time goes by."""

    def played(*answers: httpx2.Response | Exception, **settings: Any) -> tuple[Played, Call]:
        service = Played(*answers)

        async def slept(seconds: float) -> None:
            service.pauses.append(seconds)

        monkeypatch.setattr(calls.time, "sleep", service.pauses.append)
        monkeypatch.setattr(calls.anyio, "sleep", slept)
        handle = service.handle if client.__name__ == "waiting" else service.handle_async
        return service, client(url="http://x", transport=httpx2.MockTransport(handle), **settings)

    return played


def test_it_waits_as_long_as_it_is_told_to_and_sends_all_again(play: Play):
    service, call = play(
        problem(503, "overloaded", retry_after="3"), problem(429, "too-many-requests", retry_after="7"), OK
    )
    stream = io.BytesIO(b"skipped, and a picture")
    stream.seek(9)
    assert call("denoise", stream).data == b"png"
    assert service.pauses == [3, 7]
    assert service.bodies == [b"and a picture"] * 3
    assert [head["content-length"] for head in service.heads] == ["13"] * 3


def test_where_no_time_is_named_each_wait_is_twice_as_long(play: Play):
    service, call = play(httpx2.ConnectError("refused"), problem(503, "shutting-down"), httpx2.ReadError("broken"), OK)
    call("colorize", b"picture")
    assert service.pauses == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]


def test_it_asks_no_more_often_than_it_may(play: Play):
    service, call = play(*[httpx2.ConnectError("refused")] * 9, patience=Patience(tries=3))
    with pytest.raises(Unreachable, match="refused"):
        call("models")
    assert len(service.bodies) == 3


def test_it_waits_no_longer_than_it_may_and_never_less_than_it_is_told(play: Play):
    busy = problem(503, "overloaded", retry_after="25")
    service, call = play(busy, busy, busy, patience=Patience(seconds=60))
    with pytest.raises(Problem) as found:
        call("sample")
    assert found.value.slug == "overloaded"
    assert service.pauses == [25, 25]
    service, call = play(problem(503, "unusable-model", retry_after="61"))
    with pytest.raises(Problem):
        call("sample")
    assert service.pauses == []


def test_what_another_time_has_too_is_not_asked_again(play: Play):
    for status, slug in ((404, "unknown-model"), (422, "damaged-image"), (500, "internal-error"), (504, "deadline")):
        service, call = play(problem(status, slug))
        with pytest.raises(Problem) as found:
            call("denoise", b"picture")
        assert (found.value.status, found.value.slug, found.value.detail) == (status, slug, "why")
        assert found.value.members["known"] == [1]
        assert service.pauses == []


def test_a_stream_that_can_not_be_read_twice_is_sent_once(play: Play):
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    service, call = play(problem(503, "overloaded", retry_after="1"))
    with pytest.raises(Problem):
        call("denoise", Pipe(b"picture"))
    assert service.bodies == [b"picture"]
    assert "content-length" not in service.heads[0]


def test_what_is_no_problem_of_the_services_is_told_by_its_status(play: Play):
    _, call = play(httpx2.Response(502, content=b"<h1>Bad gateway"))
    with pytest.raises(Problem) as found:
        call("health")
    assert (found.value.slug, found.value.detail) == ("bad-gateway", "<h1>Bad gateway")


def test_an_answer_in_parts_that_breaks_off_or_ends_badly_is_an_error(play: Play):
    head = {"content-type": "multipart/mixed; boundary=b"}
    step = b'--b\r\nContent-Length: 23\r\nContent-Type: application/json\r\n\r\n{"done": 1, "tiles": 2}'
    bad = b'{"type": "urn:denoir:not-finite", "status": 500, "detail": "why"}'
    last = b"--b\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%b\r\n--b--\r\n" % (
        len(bad),
        bad,
    )
    seen = []
    _, call = play(httpx2.Response(200, headers=head, content=step + b"\r\n" + last))
    with pytest.raises(Problem) as found:
        call("denoise", b"picture", progress=lambda *at: seen.append(at))
    assert (found.value.slug, found.value.status) == ("not-finite", 500)
    assert seen == [(1, 2)]
    _, call = play(httpx2.Response(200, headers=head, content=step + b"\r\n"), patience=Patience(tries=1))
    with pytest.raises(Unreachable, match="broke off"):
        call("denoise", b"picture", progress=lambda *at: None)


def test_a_time_may_be_told_as_a_date():
    later = datetime.now(UTC) + timedelta(seconds=30)
    assert 25 < seconds_of(format_datetime(later, usegmt=True), 1.0) <= 30
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT", 1.0) == 0
    assert seconds_of("soon", 1.5) == 1.5


def test_a_key_is_sent(play: Play):
    service, call = play(OK, key="secret")
    call("sheet", "photo")
    assert service.heads[0]["authorization"] == "Bearer secret"
    service, call = play(OK)
    call("sheet", "photo")
    assert "authorization" not in service.heads[0]
