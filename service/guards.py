"""Who may ask how much: the ids, headers and limits that hold for every request, as plain ASGI."""

import asyncio
import logging
import math
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount

from models.images import AS_IT_CAME
from service import errors, metrics, telemetry

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("denoir")

OWN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
PORT = re.compile(r":\d*\Z")
HEALTH = {"/healthz", "/readyz"}
HOME, STATIC = "/", "/static/"
"""The page, which asks for the key itself, and what pages here are made of."""

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """Stands around an application for what comes over HTTP; its start and its end pass by."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self.answer if scope["type"] == "http" else self.app)(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or has the application answer it."""
        raise NotImplementedError


class Plainly(Guard):
    """Tells as a problem what a library has refused in words of its own: a range of a file, a page of another site."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        retold = False

        async def send_told(message: Message) -> None:
            nonlocal retold
            if message["type"] == "http.response.start" and message["status"] >= 400:
                headers = MutableHeaders(scope=message)
                if retold := headers.get("content-type") != errors.MEDIA_TYPE:
                    kept = {name: value for name, value in headers.items() if not name.startswith("content-")}
                    problem = errors.of_http(HTTPException(message["status"], headers=kept))
                    await errors.told(problem, scope["request_id"])(scope, receive, send)
            if not retold:
                await send(message)

        await self.app(scope, receive, send_told)


class RequestIds(Guard):
    """Gives every request an id (the client's own where it is well formed) and a line in the log, and every answer the
    security headers.

    routes: paths that the application takes as they stand; a request that is refused on the way to one of them is
    counted there.

    Being around all that answers, it also answers for what nobody foresaw: 500 with the id, under which the log has the
    trace. And for what is cut off because the service ends: 503.
    """

    def __init__(self, app: ASGIApp, routes: frozenset[str] = frozenset()):
        super().__init__(app)
        self.routes = routes

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        scope["request_id"] = given if OWN_ID.fullmatch(given) else secrets.token_hex(8)
        record = telemetry.Record(scope["request_id"], scope["method"], scope["path"])
        problem, status = None, 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = scope["request_id"]
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            log.error("request %s was cut off, because the service ends", scope["request_id"])
            if status:
                raise
            problem = errors.shutting_down()
        except Exception:
            log.exception("request %s failed", scope["request_id"])
            problem = errors.unforeseen()
        finally:
            if problem and not status:
                await errors.told(problem, scope["request_id"])(scope, receive, send_with_headers)
            record.end(status, self.route_of(scope))

    def route_of(self, scope: Scope) -> str:
        """The route that took a request, as the application writes it; never a path that only a client writes."""
        known = scope["path"] if scope["path"] in self.routes else metrics.OTHER
        return getattr(scope.get("route"), "path", known)


class Hosts(Guard):
    """Answers to no names but those, whatever the port; of the service's health to any, as who looks after it may know
    it by an address of the moment.

    A page of another site that has its own name lead here asks by that name, and its browser takes the answers for the
    site's.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]):
        super().__init__(app)
        self.names = names

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = PORT.sub("", Headers(scope=scope).get("host", "")).lower()
        known = name in self.names or scope["path"] in HEALTH
        await (self.app if known else errors.told(errors.unknown_host(), scope["request_id"]))(scope, receive, send)


class Sites(Guard):
    """Answers to no page of another site, whose browser says that it asks for one (W3C, Fetch Metadata), but of the
    origins named; links lead here from anywhere, and of its health it tells any.

    Without this a browser would only keep the answers from such a page, which could have a service on its reader's own
    machine work for it.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]):
        super().__init__(app)
        self.origins = origins

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        link = scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
        other = headers.get("sec-fetch-site") == "cross-site" and headers.get("origin") not in self.origins
        refused = other and not link and scope["path"] not in HEALTH
        await (errors.told(errors.other_site(), scope["request_id"]) if refused else self.app)(scope, receive, send)


@dataclass
class Duty:
    """Whether new work is taken, and how many requests are under way. Server and application share one."""

    ready: bool = False
    under_way: int = 0


class Attendance(Guard):
    """Lets requests in while the service is ready, and counts them; of its health it tells at any time."""

    def __init__(self, app: ASGIApp, duty: Duty):
        super().__init__(app)
        self.duty = duty

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in HEALTH:
            return await self.app(scope, receive, send)
        if not self.duty.ready:
            return await errors.told(errors.shutting_down(), scope["request_id"])(scope, receive, send)
        self.duty.under_way += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.duty.under_way -= 1


class Methods(Guard):
    """Answers HEAD wherever GET is taken, and OPTIONS; and has a 405 name all that a path takes.

    routes: of the application. Those of the framework tell of one route's methods, where a path may have several.
    """

    def __init__(self, app: ASGIApp, routes: list[BaseRoute]):
        super().__init__(app)
        self.routes = routes

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope)  # what routes make of it names no path any more
        allowed = self.allowed(given) if scope["method"] in ("OPTIONS", "HEAD") else []

        async def send_allowed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                MutableHeaders(scope=message)["Allow"] = ", ".join(allowed or self.allowed(given))
            await send(message)

        if scope["method"] == "OPTIONS" and allowed:
            await Response(status_code=204, headers={"Allow": ", ".join(allowed)})(scope, receive, send)
        elif scope["method"] == "HEAD" and "HEAD" in allowed:
            asked = {**scope, "method": "GET"}
            await self.app(asked, receive, bodiless(send))
            scope["route"] = asked.get("route")
        else:
            await self.app(scope, receive, send_allowed)

    def allowed(self, scope: Scope) -> list[str]:
        """The methods that the path takes; none where there is no such path."""
        taken = [method for method in ("GET", "POST") if any(takes(route, scope, method) for route in self.routes)]
        more = ["HEAD"] if "GET" in taken else []
        return [*taken, *more, "OPTIONS"] if taken else []


def takes(route: BaseRoute, scope: Scope, method: str) -> bool:
    """Whether a route answers a request by another method. What is mounted here is files, which are only fetched."""
    matched, _ = route.matches({**scope, "method": method})
    return matched is Match.FULL and not (isinstance(route, Mount) and method != "GET")


def bodiless(send: Send) -> Send:
    """Sends all of an answer but its body."""

    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


class BodyLimit(Guard):
    """Refuses bodies over a limit: by what they declare before a byte is read, and by what arrives as it streams.

    limit: bytes of one body. together: bytes that all bodies under way may have. What has arrived counts until its
    request ends; what is merely declared holds no room, so that slow uploads keep nobody out. backlog: seconds of work
    that is waiting, after which there should be room.
    """

    def __init__(self, app: ASGIApp, limit: int, together: int, backlog: Callable[[], float]):
        super().__init__(app)
        self.limit, self.together, self.backlog = limit, max(together, limit), backlog
        self.under_way = 0

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        declared = Headers(scope=scope).get("content-length", "0")
        if problem := self.problem(int(declared) if declared.isdecimal() else 0, 0):
            return await errors.told(problem, scope.get("request_id", ""))(scope, receive, send)
        arrived = 0

        async def receive_counted() -> Message:
            nonlocal arrived
            message = await receive()
            size = len(message.get("body", b""))
            if problem := self.problem(arrived + size, arrived):
                raise problem
            arrived += size
            self.under_way += size
            return message

        try:
            await self.app(scope, receive_counted, send)
        finally:
            self.under_way -= arrived
            telemetry.note(bytes=arrived)

    def problem(self, size: int, arrived: int) -> errors.Problem | None:
        """What is wrong with a body of so many bytes, of which `arrived` are counted already."""
        if size > self.limit:
            return errors.upload_too_large(self.limit)
        if size and self.under_way - arrived + size > self.together:
            return errors.overloaded(max(1, math.ceil(self.backlog())))
        return None


class Drain(Guard):
    """Hears out, for a little while, a client that is answered while it is still sending: as soon as an answer has
    ended the connection may be closed, and who sends on gets a reset instead of the answer.

    size, seconds: how much of a body that is still coming is read and thrown away then, and for how long.
    """

    def __init__(self, app: ASGIApp, size: int, seconds: float):
        super().__init__(app)
        self.size, self.seconds = size, seconds

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A client that waits to be told to go on has sent nothing that could be thrown away.
        awaited = "100-continue" not in Headers(scope=scope).get("expect", "").lower()

        async def receive_noted() -> Message:
            nonlocal awaited
            message = await receive()
            awaited = bool(message.get("more_body"))
            return message

        async def send_before_it_ends(message: Message) -> None:
            if awaited and message["type"] == "http.response.body" and not message.get("more_body"):
                await send({**message, "more_body": True})
                await self.throw_away(receive)
                message = {"type": "http.response.body"}
            await send(message)

        await self.app(scope, receive_noted, send_before_it_ends)

    async def throw_away(self, receive: Receive) -> None:
        """Reads on, up to a bound of bytes and of seconds."""
        drained = 0
        try:
            async with asyncio.timeout(self.seconds):
                while drained < self.size:
                    message = await receive()
                    drained += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        return
        except TimeoutError:
            return


def negotiated(accept: str, writable: dict[str, str]) -> list[str]:
    """The formats of `writable` (media type -> name) that an Accept header asks for, the best first, and last
    AS_IT_CAME where any other will do.

    Anything that is as glad of any picture, or says nothing, asks for none in particular.
    """
    wished: list[tuple[float, int, str]] = []
    for number, part in enumerate(accept.split(",")):
        media, _, parameters = part.strip().partition(";")
        quality = re.search(r"q\s*=\s*([01](?:\.\d{0,3})?)", parameters)
        weight = float(quality[1]) if quality else 1.0
        wished.append((-weight, number, media.strip().lower()))
    best = [media for weight, _, media in sorted(wished) if weight < 0]
    if not best or best[0] in ANY:
        return []
    named = [writable[media] for media in best if media in writable]
    return [*named, AS_IT_CAME] if named and not ANY.isdisjoint(best) else named


ANY = {"*/*", "image/*", ""}
