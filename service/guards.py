"""Who may ask how much: the ids, headers and limits that hold for every request, as plain ASGI."""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders

from service import errors

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("denoir")

OWN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
DRAINED, DRAIN_SECONDS = 8 * 2**20, 2.0
"""How much of a refused body is read and thrown away, so that the client gets to see the answer."""

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class RequestIds:
    """Gives every request an id (the client's own where it is well formed), and every answer the security headers.

    Being outermost, it also answers for what nobody foresaw: 500 with the id, under which the log has the trace.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        scope["request_id"] = given if OWN_ID.fullmatch(given) else secrets.token_hex(8)

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = scope["request_id"]
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            log.exception("request %s failed", scope["request_id"])
            if not started:
                await errors.told(errors.unforeseen(), scope["request_id"])(scope, receive, send_with_headers)


class BodyLimit:
    """Refuses bodies over a limit: by what they declare before a byte is read, and by what arrives as it streams."""

    def __init__(self, app: ASGIApp, limit: int):
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.limit:
            return await self.refuse(scope, receive, send)
        arrived, started = 0, False

        async def receive_counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > self.limit:
                raise errors.upload_too_large(self.limit)
            return message

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            return await self.app(scope, receive_counted, send_noted)
        except errors.Problem:
            if started:
                raise
            return await self.refuse(scope, receive, send)

    async def refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 413, then reads on for a little while."""
        answer = errors.told(errors.upload_too_large(self.limit), scope.get("request_id", ""))
        await answer(scope, receive, send)
        drained = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while drained < DRAINED:
                    message = await receive()
                    drained += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        return
        except TimeoutError:
            return


def negotiated(accept: str, writable: dict[str, str]) -> list[str]:
    """The formats of `writable` (media type -> name) that an Accept header asks for, the best first.

    Anything that is as glad of any picture, or says nothing, asks for none in particular.
    """
    wished: list[tuple[float, int, str]] = []
    for number, part in enumerate(accept.split(",")):
        media, _, parameters = part.strip().partition(";")
        quality = re.search(r"q\s*=\s*([01](?:\.\d{0,3})?)", parameters)
        weight = float(quality[1]) if quality else 1.0
        wished.append((-weight, number, media.strip().lower()))
    best = [media for weight, _, media in sorted(wished) if weight < 0]
    if not best or best[0] in ("*/*", "image/*", ""):
        return []
    return [writable[media] for media in best if media in writable]
