"""The pages: the one at `/`, and that of the API; both made of files that are served from here."""

import asyncio
import gzip
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.types import Scope

WEB = Path(__file__).parent / "web"
FRAMELESS = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    f"require-trusted-types-for 'script'; {FRAMELESS}"
)
DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data:; connect-src 'self'; {FRAMELESS}"
)
API_POLICY = DOCS_POLICY.replace("script-src 'self' 'unsafe-inline'", "script-src 'self'")
"""Of the description as the page links to it, which has no script of its own inside it."""
KEPT = "no-cache"
"""Files may be kept, and are asked for again: an answer of 304 where they are the same."""

TEXT = {".css", ".html", ".js", ".svg"}
"""Suffixes of files that get smaller when they are packed."""

router = APIRouter(include_in_schema=False)


class Files(StaticFiles):
    """What the pages are made of."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = KEPT
        if path.endswith(".html"):
            response.headers["Content-Security-Policy"] = API_POLICY
        return await packed(response, path, scope)


async def packed(response: Response, path: str, scope: Scope) -> Response:
    """The answer in fewer bytes, where the file is text and the client takes gzip.

    Its tag is another than that of the file as it lies, as the bytes are others.
    """
    if Path(path).suffix not in TEXT:
        return response
    response.headers["Vary"] = "Accept-Encoding"
    asked = Headers(scope=scope)
    if not isinstance(response, FileResponse) or not takes_gzip(asked.get("accept-encoding", "")):
        return response
    written = await asyncio.to_thread(Path(response.path).stat)
    tag = f'"{written.st_mtime_ns:x}-{written.st_size:x}-gzip"'
    kept = {name: value for name, value in response.headers.items() if name not in ("content-length", "accept-ranges")}
    headers = kept | {"etag": tag, "content-encoding": "gzip"}
    if tag in (one.strip().removeprefix("W/") for one in asked.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers={name: headers[name] for name in headers if name != "content-type"})
    small = await asyncio.to_thread(gzipped, str(response.path), written.st_mtime_ns)
    return Response(small, headers=headers)


def takes_gzip(accepted: str) -> bool:
    """Whether a client says that it does, by its Accept-Encoding."""
    codings = [one.replace(" ", "").lower().partition(";q=") for one in accepted.split(",")]
    return any(name == "gzip" and weight not in ("0", "0.0", "0.00", "0.000") for name, _, weight in codings)


@lru_cache(maxsize=64)
def gzipped(path: str, _written: int) -> bytes:
    """A file's bytes, packed once for all who ask; anew when it was written anew."""
    return gzip.compress(Path(path).read_bytes(), mtime=0)


@router.get("/")
async def home(request: Request) -> Response:
    """The page. It is told by the service what there is to be asked, and asks for a key where one is needed."""
    page = FileResponse(WEB / "index.html", headers={"Content-Security-Policy": POLICY, "Cache-Control": KEPT})
    return await packed(page, "index.html", request.scope)


@router.get("/docs")
async def docs() -> HTMLResponse:
    """The API's page."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="denoir",
        swagger_js_url="/static/docs/swagger-ui-bundle.js",
        swagger_css_url="/static/docs/swagger-ui.css",
        swagger_favicon_url="/static/docs/favicon-32x32.png",
    )
    page.headers["Content-Security-Policy"] = DOCS_POLICY
    return page
