"""An answer on its way: made unless the client goes, and held until the client has read it."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import Request, Response

from models.images import FORMATS
from service import errors
from service.batcher import Batcher
from service.guards import Receive, Scope, Send
from service.pipeline import Answer, Parts

T = TypeVar("T")

PIECE = 2**16
"""Bytes that are sent at a time; the server takes the next when the client has read on."""

SUFFIXES = {form.media_type: form.suffixes[0] for form in FORMATS.values()} | {"application/zip": ".zip"}


class Held(Response):
    """An answer that counts among what is held until it has been read, so that slow clients don't pile them up."""

    def __init__(self, answer: Answer, batcher: Batcher):
        super().__init__(answer.body, headers=headers_of(answer))
        self.batcher = batcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.batcher.holding(len(self.body)):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for piece in pieces(bytes(self.body)):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})


def headers_of(answer: Answer) -> dict[str, str]:
    """What is told of an answer, and under which name it may be kept."""
    suffix = SUFFIXES.get(answer.media_type)
    name = {"Content-Disposition": f'inline; filename="denoir{suffix}"'} if suffix else {}
    return {"Content-Type": answer.media_type} | answer.headers | name


def pieces(body: bytes) -> Iterator[bytes]:
    """A body as it is sent."""
    return (body[begin : begin + PIECE] for begin in range(0, len(body), PIECE))


async def answered(request: Request, parts: Parts, journey: Coroutine[Any, Any, Answer]) -> Response:
    """What a journey ends with, ready to be sent."""
    return Held(await until_gone(request, journey), parts.batcher)


async def until_gone(request: Request, journey: Coroutine[Any, Any, T]) -> T:
    """The journey's end, or its cancelling as soon as the client has hung up."""
    task = asyncio.create_task(journey)
    gone = asyncio.create_task(hung_up(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            gone.result()  # raises what is wrong with a body that only this looks at
            raise errors.client_gone()
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(task, gone, return_exceptions=True)


async def hung_up(request: Request) -> None:
    """Returns when the connection is closed."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
