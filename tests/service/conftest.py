"""The whole application on small untrained models; and a server on a real socket, in a thread, with an application
small enough to see through."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import stocked
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.testclient import TestClient

from models.autoencoder import AutoencoderConfig
from models.colorizer import ColorizerConfig
from models.sparse import SparseConfig
from models.vae import VAEConfig
from service import app as application
from service import errors, guards
from service.app import READ_AHEAD, create_app
from service.protocol import Server
from service.settings import Settings

PATIENCE = 20.0
"""Seconds that a test waits for what should come at once."""


FAMILY: dict[str, tuple[str, Any]] = {
    "tiny-colorize": ("colorize", ColorizerConfig(side=32, widths=(4, 8), bins=5)),
    "tiny-sparse": ("sparse", SparseConfig(height=12, width=10, widths=(4, 8), code=20)),
    "tiny-plain": ("dropout", AutoencoderConfig(height=12, width=10, widths=(4, 8), code=6)),
    "tiny-clear": ("emoji-vae", VAEConfig(4, 12, 10, widths=(4, 8), latent=5, likelihood="logistic", prior="flow")),
    "tiny-mixture": ("dropout", AutoencoderConfig(height=12, width=10, widths=(4, 8), code=6, mixture=2)),
}
"""Models that only few tests need."""


@contextmanager
def asked(shelf: Path) -> Iterator[TestClient]:
    """A client of the whole application, with the shelf's models and no others."""
    before = application.SHIPPED
    application.SHIPPED = shelf / "nothing ships"
    settings = Settings(
        models=shelf, device="cpu", decoders=1, tile=128, max_upload=300_000, max_pixels=200_000, max_side=9000
    )
    with TestClient(create_app(settings)) as client:
        application.SHIPPED = before
        yield client


@pytest.fixture(scope="module")
def client(shelf: Path) -> Iterator[TestClient]:
    with asked(shelf) as client:
        yield client


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with asked(stocked(tmp_path_factory.mktemp("family"), FAMILY)) as client:
        yield client


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def slug(self) -> str:
        return json.loads(self.body)["type"].removeprefix("urn:denoir:")


class Listening:
    """The server, and clients of it."""

    def __init__(self, around: Callable[[Any], Any], settings: Settings):
        self.duty, self.release = guards.Duty(ready=True), threading.Event()
        self.gone: list[str] = []  # paths whose answer the application was told that nobody waits for
        app = counting(self.duty, self.release, self.gone)
        self.body_limit = guards.BodyLimit(app, settings.max_upload, settings.max_bodies, backlog=lambda: 7.0)
        guarded = guards.RequestIds(guards.Attendance(self.body_limit, self.duty))
        drained = guards.Drain(guarded, settings.overrun - READ_AHEAD, settings.linger)
        self.server = Server(around(drained), self.duty, settings)

    @property
    def address(self) -> tuple[str, int]:
        return self.server.servers[0].sockets[0].getsockname()

    def connected(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=PATIENCE)

    def ask(self, request: bytes) -> Answered:
        with self.connected() as client:
            client.sendall(request)
            return answered(client)


def answered(client: socket.socket) -> Answered:
    """The next answer on a connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += some(client)
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += some(client)
    return Answered(int(status.split()[1]), headers, body)


def some(client: socket.socket) -> bytes:
    data = client.recv(65536)
    assert data, "the connection was closed before there was an answer"
    return data


def closed(client: socket.socket) -> bytes:
    """What still comes before the server closes the connection, which it has to."""
    data = b""
    try:
        while part := client.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def counting(duty: guards.Duty, release: threading.Event, gone: list[str]) -> FastAPI:
    """Reads bodies, or doesn't; takes its time, or doesn't."""
    app = FastAPI()

    @app.post("/count")
    async def count(request: Request, pause: float = 0.0) -> int:
        await asyncio.sleep(pause)
        return len(await request.body())

    @app.post("/early")
    async def early() -> str:
        return "not read"

    @app.get("/large")
    async def large(size: int) -> StreamingResponse:
        return StreamingResponse(bytes(2**16) for _ in range(size // 2**16))

    @app.get("/long")
    async def long() -> str:
        while not release.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return "done"

    @app.get("/wanted")
    async def wanted(request: Request) -> str:
        while not await request.is_disconnected():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        gone.append(request.url.path)
        return "gone"

    @app.post("/heads")
    async def heads(request: Request) -> list[str]:
        await request.body()
        return list(request.headers)

    @app.get("/readyz")
    async def readyz() -> bool:
        return duty.ready

    errors.answer_all(app)
    return app


@contextmanager
def serving(around: Callable[[Any], Any], **changed: Any) -> Iterator[Listening]:
    listening = Listening(around, Settings(port=0, **changed))
    thread = threading.Thread(target=listening.server.run)
    thread.start()
    until(lambda: listening.server.started)
    try:
        yield listening
    finally:
        listening.release.set()
        listening.server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


def until(true: Callable[[], bool]) -> None:
    """Waits for something that should soon be so."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.01)


@pytest.fixture
def serve() -> Iterator[Callable[..., Listening]]:
    """`serve(**settings)` -> a server with those limits, until the test ends."""
    with ExitStack() as stack:
        yield lambda around=lambda app: app, **changed: stack.enter_context(serving(around, **changed))
