"""The two clients: one waits, one awaits. Each has a method for every ask."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
import httpx2

from service.client import asks
from service.client.answers import Answer, Reading
from service.client.asks import Ask
from service.client.errors import ClientError, Unreachable
from service.client.patience import USUAL, Patience, Tries
from service.client.uploads import Form, Upload

P = ParamSpec("P")
T = TypeVar("T")

LOCAL = "http://127.0.0.1:8000"
TIMEOUT = httpx2.Timeout(30.0, read=300.0)
"""Seconds: a large picture on a CPU takes minutes, and says nothing meanwhile unless progress is asked for."""
BROKEN = (httpx2.TransportError, httpx2.StreamError, httpx2.DecodingError)


def waited(ask: Callable[P, Ask[T]]) -> Callable[Concatenate["Client", P], T]:
    """The method that asks it and waits for the answer."""

    @wraps(ask)
    def method(self: "Client", *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(ask(*args, **kwargs))

    return method


def awaited(ask: Callable[P, Ask[T]]) -> Callable[Concatenate["AsyncClient", P], Awaitable[T]]:
    """The method that asks it and awaits the answer."""

    @wraps(ask)
    async def method(self: "AsyncClient", *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.send(ask(*args, **kwargs))

    return method


class Client:
    """The service at an address, asked by methods that wait. Raises ClientError.

    key: where the service asks for one. transport: another way to it than a socket.
    """

    def __init__(
        self,
        url: str = LOCAL,
        key: str | None = None,
        patience: Patience = USUAL,
        timeout: httpx2.Timeout | float = TIMEOUT,
        transport: httpx2.BaseTransport | None = None,
    ):
        self.patience = patience
        self.http = httpx2.Client(base_url=url, headers=bearing(key), timeout=timeout, transport=transport)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self.http.close()

    def send(self, ask: Ask[T]) -> T:
        """Asks, again where there is sense in it. Raises Problem, Unreachable."""
        tries = Tries(self.patience, ask.repeatable)
        while True:
            try:
                return ask.read(self.once(ask))
            except ClientError as error:
                time.sleep(tries.pause(error))

    def once(self, ask: Ask[Any]) -> Answer:
        """Asks. Raises Problem, Unreachable."""
        body = ask.body.pieces() if ask.body else None
        try:
            with self.http.stream(ask.method, ask.path, content=body, **options(ask)) as response:
                reading = Reading(response.status_code, response.headers, ask.progress)
                for piece in response.iter_bytes():
                    reading.feed(piece)
                return reading.answer
        except BROKEN as error:
            raise Unreachable(told(error)) from error

    denoise = waited(asks.denoise)
    colorize = waited(asks.colorize)
    reconstruct = waited(asks.reconstruct)
    encode = waited(asks.encode)
    decode = waited(asks.decode)
    sample = waited(asks.sample)
    codes = waited(asks.codes)
    interpolate = waited(asks.interpolate)
    interpolate_pictures = waited(asks.interpolate_pictures)
    traverse = waited(asks.traverse)
    models = waited(asks.models)
    model = waited(asks.model)
    card = waited(asks.card)
    sheet = waited(asks.sheet)
    health = waited(asks.health)
    ready = waited(asks.ready)


class AsyncClient:
    """The same, by methods to be awaited."""

    def __init__(
        self,
        url: str = LOCAL,
        key: str | None = None,
        patience: Patience = USUAL,
        timeout: httpx2.Timeout | float = TIMEOUT,
        transport: httpx2.AsyncBaseTransport | None = None,
    ):
        self.patience = patience
        self.http = httpx2.AsyncClient(base_url=url, headers=bearing(key), timeout=timeout, transport=transport)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes its connections."""
        await self.http.aclose()

    async def send(self, ask: Ask[T]) -> T:
        """Asks, again where there is sense in it. Raises Problem, Unreachable."""
        tries = Tries(self.patience, ask.repeatable)
        while True:
            try:
                return ask.read(await self.once(ask))
            except ClientError as error:
                await anyio.sleep(tries.pause(error))

    async def once(self, ask: Ask[Any]) -> Answer:
        """Asks. Raises Problem, Unreachable."""
        body = in_turn(ask.body) if ask.body else None
        try:
            async with self.http.stream(ask.method, ask.path, content=body, **options(ask)) as response:
                reading = Reading(response.status_code, response.headers, ask.progress)
                async for piece in response.aiter_bytes():
                    reading.feed(piece)
                return reading.answer
        except BROKEN as error:
            raise Unreachable(told(error)) from error

    denoise = awaited(asks.denoise)
    colorize = awaited(asks.colorize)
    reconstruct = awaited(asks.reconstruct)
    encode = awaited(asks.encode)
    decode = awaited(asks.decode)
    sample = awaited(asks.sample)
    codes = awaited(asks.codes)
    interpolate = awaited(asks.interpolate)
    interpolate_pictures = awaited(asks.interpolate_pictures)
    traverse = awaited(asks.traverse)
    models = awaited(asks.models)
    model = awaited(asks.model)
    card = awaited(asks.card)
    sheet = awaited(asks.sheet)
    health = awaited(asks.health)
    ready = awaited(asks.ready)


def bearing(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def options(ask: Ask[Any]) -> dict[str, Any]:
    """What is sent of an ask, beside its body."""
    json = {} if ask.json is None else {"json": ask.json}
    return {"params": ask.params, "headers": ask.headers} | json


def told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


async def in_turn(body: Upload | Form) -> AsyncIterator[bytes]:
    """A body's pieces, read in a thread, as a disk may take its time."""
    pieces = body.pieces()
    while piece := await anyio.to_thread.run_sync(next, pieces, b""):
        yield piece
