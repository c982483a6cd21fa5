"""An answer that tells how far it is while it is being made: multipart/mixed (RFC 2046) on the one connection, a part
of JSON whenever a tile is done, and the picture as the last.

It begins with the first tile, so that whatever is wrong before has a status of its own; what goes wrong later is told
by a last part that is a problem. All parts say how long they are.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from fastapi import Request, Response

from service import answers, errors, telemetry
from service.guards import Receive, Scope, Send
from service.pipeline import Answer, Parts, Progress

MEDIA_TYPE = "multipart/mixed"


def wished(accept: str) -> bool:
    """Whether an Accept header asks for parts by their name; one that takes anything gets the picture alone."""
    listed = (part.partition(";") for part in accept.lower().split(","))
    return any(media.strip() == MEDIA_TYPE and "q=0" not in rest.replace("q=0.", "") for media, _, rest in listed)


class Steps:
    """How far a journey is: the latest there is to tell, as a slow reader needn't be told them all."""

    def __init__(self) -> None:
        self.done = self.tiles = 0
        self.news = asyncio.Event()

    def __call__(self, done: int, tiles: int) -> None:
        self.done, self.tiles = done, tiles
        self.news.set()

    async def next(self) -> None:
        """Returns when there is something to tell."""
        await self.news.wait()
        self.news.clear()


async def answered(
    request: Request, parts: Parts, journey: Callable[[Progress], Coroutine[Any, Any, Answer]]
) -> Response:
    """What a journey ends with, ready to be sent; in parts where the client asks for them.

    Raises what the journey raises, in parts up to its first step.
    """
    if not wished(request.headers.get("accept", "")):
        return await answers.answered(request, parts, journey(lambda done, tiles: None))
    steps = Steps()
    task = asyncio.create_task(journey(steps))
    task.add_done_callback(lambda _: steps.news.set())
    try:
        await answers.until_gone(request, begun(task, steps))
    except BaseException:
        await ended(task)
        raise
    return InParts(request, parts, task, steps)


async def begun(task: asyncio.Task[Answer], steps: Steps) -> None:
    """Returns when there is the first thing to tell, and leaves it to be told. Raises what went wrong before."""
    await steps.next()
    steps.news.set()
    if task.done():
        task.result()


async def ended(task: asyncio.Task[Any]) -> None:
    """Stops a journey, if it is still on its way."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(task, return_exceptions=True)


class InParts(Response):
    """The parts, as they come to be; the work ends as soon as the client has hung up."""

    def __init__(self, request: Request, parts: Parts, task: asyncio.Task[Answer], steps: Steps):
        self.request, self.parts, self.task, self.steps = request, parts, task, steps
        self.boundary, self.within_part = secrets.token_hex(12), False
        self.status_code, self.background = 200, None
        # A proxy that kept the parts until it had them all would keep what they are for.
        self.init_headers({"Content-Type": f"{MEDIA_TYPE}; boundary={self.boundary}", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await answers.until_gone(self.request, self.stream(send))
        except errors.Problem:  # the client has gone
            telemetry.note(gone_after=f"{self.steps.done} of {self.steps.tiles} tiles")
        except asyncio.CancelledError:
            if not self.within_part:  # else the connection ends there: a part has as many bytes as it told
                await self.end(errors.shutting_down(), send)
            raise
        finally:
            await ended(self.task)

    async def stream(self, send: Send) -> None:
        """Tells of the tiles, and then of what the journey ended with."""
        told = 0
        while not self.task.done() or told < self.steps.done:
            await self.steps.next()
            if told < self.steps.done:
                told = self.steps.done
                await self.tell(send)
        try:
            answer = self.task.result()
        except Exception as error:
            await self.end(errors.problem_of(error), send)
        else:
            with self.parts.batcher.holding(len(answer.body)):
                await self.send_part(send, answers.headers_of(answer), answer.body, last=True)

    async def tell(self, send: Send) -> None:
        told = json.dumps({"done": self.steps.done, "tiles": self.steps.tiles}).encode()
        await self.send_part(send, {"Content-Type": "application/json"}, told)

    async def end(self, problem: errors.Problem, send: Send) -> None:
        """Tells what went wrong, as the last part."""
        told = errors.told(problem, self.request.scope.get("request_id", ""))
        headers = {"Content-Type": errors.MEDIA_TYPE} | problem.headers
        await self.send_part(send, headers, bytes(told.body), last=True)

    async def send_part(self, send: Send, headers: Mapping[str, str], body: bytes, last: bool = False) -> None:
        """One part: its head, the body piece by piece, and what closes it, or all."""
        lines = [f"{name}: {value}" for name, value in ({"Content-Length": str(len(body))} | dict(headers)).items()]
        head = "\r\n".join([f"--{self.boundary}", *lines, "", ""]).encode("latin-1")
        tail = f"\r\n--{self.boundary}--\r\n".encode() if last else b"\r\n"
        self.within_part = True
        for piece in (head, *answers.pieces(body), tail):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        self.within_part = False
        if last:
            await send({"type": "http.response.body"})
