"""How long a client may take over an answer, with a transport and a clock that are told."""

import socket
from collections.abc import Callable

import pytest

from service import reader
from service.reader import Reader
from service.settings import Settings


class Transport:
    """Holds so many bytes."""

    def __init__(self) -> None:
        self.size, self.aborted = 0, False
        self.sent: socket.socket | None = None

    def get_extra_info(self, name: str) -> socket.socket | None:
        assert name == "socket"
        return self.sent

    def get_write_buffer_size(self) -> int:
        return self.size

    def abort(self) -> None:
        self.aborted = True


class Loop:
    """Has one timer, and a time that is told."""

    def __init__(self) -> None:
        self.now, self.due, self.call = 0.0, None, None

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> "Loop":
        self.due, self.call = self.now + seconds, call
        return self

    def cancel(self) -> None:
        self.due = None

    def pass_on(self, seconds: float) -> None:
        self.now += seconds
        if self.due is not None and self.now >= self.due:
            self.call()  # type: ignore[misc]


def reading(**limits: float) -> tuple[Reader, Transport, Loop]:
    transport, loop = Transport(), Loop()
    return Reader(transport, loop, Settings(**limits)), transport, loop  # type: ignore[arg-type]


def test_what_is_left_of_an_answer_has_to_be_taken_too():
    client, transport, loop = reading(body_pause=10)
    transport.size = 100
    client.wait()
    loop.pass_on(9)
    assert not transport.aborted
    loop.pass_on(1)
    assert transport.aborted


def test_who_takes_from_the_system_what_we_still_hold_is_not_cut_off(monkeypatch: pytest.MonkeyPatch):
    client, transport, loop = reading(body_pause=10, body_start=30, body_rate=1000)
    transport.size, held = 50_000, 200_000
    monkeypatch.setattr(reader, "queued", lambda _: held)
    client.wait()
    for _ in range(10):  # for 100 seconds, more than 1,000 bytes in each of them
        held -= 15_000
        loop.pass_on(10)
        assert not transport.aborted
    loop.pass_on(10)
    assert transport.aborted, "nothing was taken"


def test_who_takes_a_little_now_and_then_is_too_slow_all_the_same(monkeypatch: pytest.MonkeyPatch):
    client, transport, loop = reading(body_pause=10, body_start=30, body_rate=1000)
    transport.size, held = 50_000, 200_000
    monkeypatch.setattr(reader, "queued", lambda _: held)
    client.wait()
    for _ in range(2):
        held -= 100
        loop.pass_on(10)
    assert not transport.aborted
    held -= 100
    loop.pass_on(10)
    assert transport.aborted


def test_what_the_system_holds_for_the_other_side_is_told():
    here, there = socket.socketpair()
    with here, there:
        transport = Transport()
        transport.sent = here
        assert reader.queued(transport) == 0  # type: ignore[arg-type]
        here.sendall(bytes(5000))
        assert reader.queued(transport) >= 5000  # type: ignore[arg-type]
        there.recv(2**16)
        assert reader.queued(transport) == 0  # type: ignore[arg-type]
    assert reader.queued(transport) == 0, "it is closed"  # type: ignore[arg-type]


def test_nobody_is_cut_off_who_has_taken_all():
    client, transport, loop = reading(body_pause=10)
    client.wait()
    assert loop.due is None
    transport.size = 100
    client.wait()
    transport.size = 0
    loop.pass_on(10)
    assert not transport.aborted


def test_how_fast_a_client_is_counts_over_all_the_seconds_it_was_waited_for():
    client, transport, loop = reading(body_pause=10, body_start=30, body_rate=1000)
    for _ in range(5):  # waits of nearly 6 seconds, and long pauses in which there is nothing to take
        transport.size = 1000
        client.wait()
        loop.pass_on(5.9)
        transport.size = 0
        client.go_on()
        loop.pass_on(1000)
    transport.size = 1000
    client.wait()
    loop.pass_on(0.4)
    assert not transport.aborted
    loop.pass_on(0.2)
    assert transport.aborted, "30 seconds are over, and 5,000 bytes may have taken 5"
