"""The application: parts made, routes joined, limits put around."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import TracerProvider
from starlette.middleware.cors import CORSMiddleware

from models.catalog import SHIPPED, Catalog
from models.images import Limits
from service import cards, errors, guards, metrics, page, parameters, telemetry
from service.batcher import Batcher
from service.decoders import Decoders
from service.engine import Engine, use_cores
from service.keys import Doorkeeper, Keys
from service.parameters import problems
from service.pipeline import Parts
from service.repository import measure
from service.routes import health, router
from service.settings import MIB, Settings

log = logging.getLogger("denoir")

CROSS_ORIGIN: dict[str, Any] = {
    "allow_methods": ("GET", "POST", "HEAD"),
    "allow_headers": ("Authorization", "X-Request-ID"),
    "expose_headers": (
        *("Content-Disposition", "Retry-After", "Server-Timing", "WWW-Authenticate", "X-Request-ID"),
        *("Denoir-Model", "Denoir-Sigma", "Denoir-Strength", "Denoir-Seed"),
        *("Denoir-From", "Denoir-To"),
        *("Denoir-Fitted", "Denoir-Fitted-From", "Denoir-Fitted-To"),
    ),
}
"""What a page of another site may send and see. Credentials are not among it: a page sends its key as a header."""

ALWAYS, KEYED = problems(400, 403, 414, 431, 500, 503), problems(401, 429)
"""What any route may answer."""
READ_AHEAD = MIB
"""Bytes of a body that the server may have read before the application asks for them."""
LOOK = 1.0
"""Seconds between two looks at what waits."""
BEARER = HTTPBearer(auto_error=False)


class Described(FastAPI):
    """Tells of the limits that are set."""

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            parameters.tell_limits(super().openapi(), self.state.settings)
        return super().openapi()


def create_app(settings: Settings) -> FastAPI:
    """The service. Models are loaded when it starts; raises CheckpointError there for one that can't be used.

    Raises ValueError or OSError for keys that can't be used or read, ValueError for traces that can't be told.
    """
    duty, keys = guards.Duty(), Keys.of(settings)
    traces = telemetry.traces_to(settings.traces) if settings.traces else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings) as parts:
            app.state.parts = parts
            duty.ready = True
            for line in announced(parts.engine, settings, keys):
                log.info(line)
            yield
            duty.ready = False
        if traces:
            await asyncio.to_thread(traces.shutdown)

    app = Described(
        title="denoir",
        version=version("denoir"),
        summary="Takes noise out of pictures, and draws new ones.",
        lifespan=lifespan,
        telemetry=traced(traces),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would redirect to whatever host a client names
    )
    app.state.settings = settings
    app.state.duty = duty
    for asked in (router, cards.router):
        responses, keyed = ALWAYS | (KEYED if keys else {}), [Security(BEARER)] if keys else []
        app.include_router(asked, responses=responses, dependencies=keyed)
    app.include_router(health)
    app.include_router(page.router)
    app.mount("/static", page.Files(directory=page.WEB), name="static")
    errors.answer_all(app)
    guard(app, duty, keys)
    return app


def traced(traces: TracerProvider | None) -> TelemetryConfig:
    """Of what FastAPI can tell of itself traces alone, and those not by what the environment says of collectors."""
    return TelemetryConfig(
        tracer_provider=traces,
        tracing=bool(traces),
        metrics=False,
        logs=False,
        operation_spans=False,
        auto_configure=False,
    )


def guard(app: FastAPI, duty: guards.Duty, keys: Keys) -> None:
    """Puts around the application what holds for every request, the innermost first."""
    settings: Settings = app.state.settings
    app.add_middleware(
        guards.BodyLimit,
        limit=settings.max_upload,
        together=settings.max_bodies,
        backlog=lambda: app.state.parts.batcher.backlog,
    )
    app.add_middleware(guards.Methods, routes=app.routes)
    app.add_middleware(guards.Attendance, duty=duty)
    if keys:
        app.add_middleware(Doorkeeper, keys=keys, rate=settings.key_rate)
    if settings.origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.origins, **CROSS_ORIGIN)
    app.add_middleware(guards.Sites, origins=settings.origins)
    if settings.hosts:
        app.add_middleware(guards.Hosts, names=settings.hosts)
    routers = (router, cards.router, health, page.router)
    routes = frozenset(getattr(route, "path", "") for one in routers for route in one.routes)
    app.add_middleware(guards.Plainly)
    app.add_middleware(guards.RequestIds, routes=routes)
    app.add_middleware(guards.Drain, size=settings.overrun - READ_AHEAD, seconds=settings.linger)


def announced(engine: Engine, settings: Settings, keys: Keys) -> tuple[str, str]:
    """What a person who has just started the service wants to know: what it loaded, on what, and where to look. Where
    keys are needed, the API's page is told by the path at which it can ask for one."""
    known, loaded = engine.catalog.titles, ", ".join(sorted(engine.loaded)) or "none yet"
    host = {"0.0.0.0": "localhost", "::": "localhost"}.get(settings.host, settings.host)  # noqa: S104
    home = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    described = "static/docs/api.html" if keys else "docs"
    return (
        f"on {engine.device}, of {len(known)} models loaded: {loaded}",
        f"the page is at {home}/ and the description of the API at {home}/{described}",
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Parts]:
    """The parts at work: models loaded and warm, the queue served, decoders waiting; all ended in order."""
    use_cores(settings.cores)
    shelves = (SHIPPED, settings.models)
    engine = await asyncio.to_thread(Engine, Catalog.of(*shelves), settings, shelves)
    batcher = Batcher(
        metrics.watched(engine.run),
        engine.capacity,
        key=lambda kind: (kind.model, kind.task),
        max_waiting=settings.max_waiting,
        max_held=settings.max_pictures,
        deadline=settings.deadline,
    )
    limits = Limits(settings.max_pixels, settings.max_side)
    decoders = Decoders(settings.decoder_processes, settings.decode_deadline, limits)
    await decoders.start()
    batcher.start()
    parts = Parts(engine, batcher, decoders)
    try:
        await asyncio.gather(parts.models.warm(), decoders.measure())
        await measure(engine, batcher)  # only now, so that what is done but once does not count
        watching = [asyncio.create_task(looked_at(parts))]
        if settings.watch:
            watching.append(asyncio.create_task(parts.models.watch(settings.watch)))
        yield parts
        for task in watching:
            task.cancel()
    finally:
        await batcher.close()
        await decoders.close()


async def looked_at(parts: Parts) -> None:
    """Tells the metrics, from time to time, how much waits and what is held."""
    while True:
        metrics.QUEUE_PIXELS.set(sum(job.left for job in parts.batcher.jobs))
        metrics.QUEUE_SECONDS.set(parts.batcher.backlog)
        metrics.DEVICE_BYTES.set(parts.engine.memory)
        await asyncio.sleep(LOOK)
