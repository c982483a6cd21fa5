"""HTTP over a connection: what a client may send and how long it may take, and how the server ends.

uvicorn's protocol for httptools has no limits of its own. These lines lean on its inside (`cycle`, `pipeline`, `flow`,
the parser's callbacks), which the tests hold on real sockets.
"""

import asyncio
import logging
import math
import os
import secrets
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service import errors, guards
from service.parser import Parser
from service.reader import Reader
from service.settings import Settings

log = logging.getLogger("denoir")

HEAD, BODY, NOTHING = "head", "body", "nothing"
"""What of a request is being waited for."""

CUT_OFF_SECONDS = 2.0
"""How long what is cut off may take to say so."""

QUEUED = 16
"""Requests that may wait behind the one that is being answered, on one connection."""


class Flow(FlowControl):
    """Tells when reading goes on, and after how many seconds."""

    def __init__(self, transport: asyncio.Transport, resumed: Callable[[float], None]):
        super().__init__(transport)
        self.resumed, self.since = resumed, 0.0

    def pause_reading(self) -> None:
        if not self.read_paused:
            self.since = time.monotonic()
        super().pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused:
            self.resumed(time.monotonic() - self.since)
        super().resume_reading()


class Protocol(HttpToolsProtocol):
    """Keeps a client to the limits of a head's size and time, and of a body's speed; and to reading its answers.

    The head's clock starts with the connection, or with the first byte after an answer; the body's, with the end of the
    head. Clocks stand still while it is us who don't read. Late heads are closed; the others get an answer.

    One connection too many may ask for nothing but the service's health, and soon; twice as many are too many for that.

    since, heard: when the clock was started, and when the last byte came. taken: bytes of the part that is awaited.
    head: bytes of headers. fault: what a callback found wrong. refused: nothing more is parsed. spare: one too many.
    running: the request that is being answered, or was; uvicorn's `cycle` is the last that was parsed, and may wait.
    """

    def __init__(self, *args: Any, settings: Settings, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.parser = Parser(self)  # type: ignore[assignment]
        self.settings = settings
        self.awaited = NOTHING
        self.since = self.heard = 0.0
        self.taken = self.head = 0
        self.fault: errors.Problem | None = None
        self.refused = False
        self.timer: asyncio.TimerHandle | None = None
        self.spare = False
        self.running: RequestResponseCycle | None = None
        self.reader: Reader = None  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.flow = Flow(self.transport, self.go_on)
        self.reader = Reader(self.transport, self.loop, self.settings)
        self.spare = self.crowded(1)
        if self.crowded(2):
            self.transport.abort()
        self.wait_for(HEAD)

    def crowded(self, times: int) -> bool:
        """Whether there are more than so many times as many connections as may be."""
        return len(self.connections) > times * self.settings.max_connections

    def connection_lost(self, exc: Exception | None) -> None:
        self.wait_for(NOTHING)
        self.reader.go_on()
        self.give_notice()
        super().connection_lost(exc)

    def give_notice(self) -> None:
        """Tells who is at work on an answer that it is not wanted any more."""
        if self.running and not self.running.response_complete:
            self.running.disconnected = True
            self.running.message_event.set()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.reader.wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.reader.go_on()

    def wait_for(self, part: str) -> None:
        """Starts the clock of a part, or starts it again, or stops it."""
        self.taken = self.taken if part == self.awaited else 0
        self.awaited, self.since = part, self.loop.time()
        self.heard = self.since
        self.wind()

    def wind(self) -> None:
        """Sets the timer, where anything is awaited."""
        if self.timer:
            self.timer.cancel()
        self.timer = self.loop.call_at(self.due(), self.look) if self.awaited != NOTHING else None

    def go_on(self, seconds: float) -> None:
        """Reads again, and takes no account of the seconds in between."""
        self.since, self.heard = self.since + seconds, self.heard + seconds
        self.wind()

    def due(self) -> float:
        """When the part that is awaited will be late, if nothing more comes of it."""
        limits = self.settings
        if self.awaited == HEAD:
            return self.since + (limits.linger if self.spare else limits.head_deadline)
        slow = math.inf if not limits.body_rate else self.since + max(limits.body_start, self.taken / limits.body_rate)
        return min(self.heard + limits.body_pause, slow)

    def look(self) -> None:
        """Ends what is late; what isn't any more is looked at again when it will be."""
        if self.flow.read_paused or (self.awaited == HEAD and self.answering):
            return  # the clock stands still, and is wound when it goes on
        if self.loop.time() < self.due():
            self.wind()
        elif self.awaited == BODY:
            self.refuse(errors.upload_too_slow())
        else:
            self.transport.close()

    @property
    def answering(self) -> bool:
        """Whether the application has yet to end its answer."""
        return self.running is not None and not self.running.response_complete

    def data_received(self, data: bytes) -> None:
        self.taken, self.heard = self.taken + len(data), self.loop.time()
        if self.refused:
            self.throw_away()
        else:
            self.take(data)

    def throw_away(self) -> None:
        """A refused client still sends: up to a bound it may."""
        if self.taken > self.settings.overrun:
            self.transport.close()

    def take(self, data: bytes) -> None:
        """Lets the parser have what came, and sees whether it is still waiting after too much."""
        if self.awaited == NOTHING:
            self.wait_for(HEAD)
        super().data_received(data)
        if self.awaited == HEAD and self.taken > self.settings.max_path + self.settings.max_head:
            self.refuse(errors.head_too_large(self.settings.max_head))
        if self.awaited == BODY and self.taken > self.settings.max_upload + self.settings.overrun:
            self.refuse(errors.upload_too_large(self.settings.max_upload))

    def on_message_begin(self) -> None:
        self.head = 0
        if self.awaited != HEAD:
            self.wait_for(HEAD)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        path, limits = self.url.partition(b"?")[0], self.settings
        if len(path) > limits.max_path or len(self.url) > limits.max_head:
            self.give_up(errors.path_too_long(limits.max_path))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.awaited != BODY:  # what trails a body has been vouched for by no proxy, and is no header of anything
            super().on_header(name, value)
        self.head += len(name) + len(value) + len(": \r\n")
        if self.head > self.settings.max_head:
            self.give_up(errors.head_too_large(self.settings.max_head))

    def on_headers_complete(self) -> None:
        if self.spare and self.crowded(1) and self.url.partition(b"?")[0].decode("latin-1") not in guards.HEALTH:
            self.give_up(errors.too_many_connections(math.ceil(self.settings.keep_alive) or 1))
        if len(self.pipeline) >= QUEUED:
            self.give_up(errors.bad_request())
        super().on_headers_complete()
        self.wait_for(BODY)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # its body is still to come
        self.wait_for(NOTHING)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        unread = self.awaited == BODY and self.running is self.cycle
        super().on_response_complete()
        self.reader.wait()
        if self.transport.is_closing():
            return
        if unread:  # it was heard out before its answer ended, for as long as it may be
            self.refused = True
            self.wait_for(NOTHING)
            self.loop.call_later(self.settings.linger, self.transport.close)
        elif self.awaited != NOTHING:
            self.wait_for(self.awaited)

    def give_up(self, problem: errors.Problem) -> None:
        """Ends the parsing, from within one of its callbacks."""
        self.fault = problem
        raise ValueError(problem.detail)

    def send_400_response(self, msg: str) -> None:
        """The parser has given up."""
        self.refuse(self.fault or errors.bad_request())

    def refuse(self, problem: errors.Problem) -> None:
        """Ends the connection; where an answer is owed for what is wrong, with that, and then reads on for a little, so
        that it is seen. What is wrong behind a request that is being answered costs that not its answer."""
        of_body, self.refused = self.awaited == BODY, True
        self.wait_for(NOTHING)
        if of_body and self.pipeline:
            self.pipeline.popleft()  # the one that was parsed last, and that waits for others' answers
            of_body = False
        if self.answering and not of_body:
            self.last.keep_alive = False
            return
        owed = not self.last.response_started if self.answering else not of_body
        self.give_notice()
        if owed and not self.transport.is_closing():
            self.transport.write(written(problem))
            self.loop.call_later(self.settings.linger, self.transport.close)
        else:
            self.transport.close()

    @property
    def last(self) -> RequestResponseCycle:
        """The last request that is to be answered, where one is."""
        return self.pipeline[0][0] if self.pipeline else self.running  # type: ignore[return-value]


def written(problem: errors.Problem) -> bytes:
    """An answer as it goes over the wire; the connection ends with it."""
    name = secrets.token_hex(8)
    answer = errors.told(problem, name)
    fields = {"id": name, "status": problem.status, "problem": problem.slug}
    log.info("a request was refused before it was one", extra={"fields": fields})
    headers = {**answer.headers, **guards.SECURITY, "X-Request-ID": name, "connection": "close"}
    lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + bytes(answer.body)


def configured(app: guards.ASGIApp | None, settings: Settings) -> uvicorn.Config:
    """The server's settings, out of ours."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=settings.host,
        port=settings.port,
        http=partial(Protocol, settings=settings),  # type: ignore[arg-type]
        ws="none",
        timeout_keep_alive=settings.keep_alive,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
    )


class Server(uvicorn.Server):
    """Ends in good order: told to stop, it takes no new work, and goes on listening, so as to say so, until what is
    under way has ended or the grace is over. What is not done then is cut off, and answered as such. Told so before it
    listens, it ends at once.

    when_started: called when it listens.
    """

    def __init__(
        self,
        app: guards.ASGIApp,
        duty: guards.Duty,
        settings: Settings,
        when_started: Callable[[], None] = lambda: None,
    ):
        super().__init__(configured(app, settings))
        self.duty, self.grace, self.when_started = duty, settings.grace, when_started

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        self.when_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.started:
            os._exit(0)  # nothing is under way, and the models load in threads that nobody can interrupt
        self.duty.ready = False
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        self.duty.ready = False
        until = time.monotonic() + self.grace
        while self.duty.under_way and time.monotonic() < until and not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        if self.duty.under_way:
            await self.cut_off()
        self.config.timeout_graceful_shutdown = max(1, math.ceil(until - time.monotonic()))
        await super().shutdown(sockets)

    async def cut_off(self) -> None:
        """Cancels what is under way."""
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CUT_OFF_SECONDS)
