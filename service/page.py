"""The pages: the one at `/`, and that of the API; both made of files that are served from here."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

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
KEPT = "no-cache"
"""Files may be kept, and are asked for again: an answer of 304 where they are the same."""

router = APIRouter(include_in_schema=False)


class Files(StaticFiles):
    """What the pages are made of."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = KEPT
        return response


@router.get("/")
async def home() -> FileResponse:
    """The page. It is told by the service what there is to be asked, and asks for a key where one is needed."""
    return FileResponse(WEB / "index.html", headers={"Content-Security-Policy": POLICY, "Cache-Control": KEPT})


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
