"""The application: parts made, routes joined, limits put around."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from models.catalog import SHIPPED, Catalog
from models.images import Limits
from service import errors, guards, pipeline
from service.batcher import Batcher
from service.decoders import Decoders
from service.engine import Engine, use_cores
from service.pipeline import Parts
from service.routes import router
from service.settings import Settings

WEB = Path(__file__).parent / "web"
DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)


def create_app(settings: Settings) -> FastAPI:
    """The service. Models are loaded when it starts; raises CheckpointError there for one that can't be used."""

    duty = guards.Duty()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings) as parts:
            app.state.parts = parts
            duty.ready = True
            yield
            duty.ready = False

    app = FastAPI(
        title="denoir",
        version=version("denoir"),
        summary="Takes noise out of pictures, and draws new ones.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.duty = duty
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=WEB), name="static")
    app.add_api_route("/docs", docs, include_in_schema=False)
    errors.answer_all(app)
    app.add_middleware(
        guards.BodyLimit,
        limit=settings.max_upload,
        together=settings.max_bodies,
        backlog=lambda: app.state.parts.batcher.backlog,
    )
    app.add_middleware(guards.Attendance, duty=duty)
    app.add_middleware(guards.RequestIds)
    return app


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Parts]:
    """The parts at work: models loaded and warm, the queue served, decoders waiting; all ended in order."""
    use_cores(settings.cores)
    engine = await asyncio.to_thread(Engine, Catalog.of(SHIPPED, settings.models), settings)
    batcher = Batcher(
        engine.run,  # type: ignore[arg-type]
        engine.capacity,
        key=lambda kind: (kind.model, kind.task),
        max_waiting=settings.max_waiting,
        max_held=settings.max_pictures,
    )
    limits = Limits(max_pixels=settings.max_pixels)
    decoders = Decoders(settings.decoder_processes, settings.decode_deadline, limits)
    await decoders.start()
    batcher.start()
    parts = Parts(engine, batcher, decoders)
    try:
        await asyncio.get_running_loop().run_in_executor(batcher.thread, engine.warm_up)
        await pipeline.measure(parts)  # only now, so that what is done but once does not count
        yield parts
    finally:
        await batcher.close()
        await decoders.close()


async def docs() -> HTMLResponse:
    """The API's page, its scripts served from here."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="denoir",
        swagger_js_url="/static/docs/swagger-ui-bundle.js",
        swagger_css_url="/static/docs/swagger-ui.css",
        swagger_favicon_url="/static/docs/favicon-32x32.png",
    )
    page.headers["Content-Security-Policy"] = DOCS_POLICY
    return page
