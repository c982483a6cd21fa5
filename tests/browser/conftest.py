"""The page in a real browser: Chromium, a server of small untrained models, one of those that ship, and pages that
tell what went wrong on them.

Everything here is slow in parts: fixtures live as long as a module, as Playwright's loop must not outlive the tests
that use it.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import TINY, stocked
from playwright.sync_api import Browser, Page, Request, Route, expect, sync_playwright
from serving import Server, started

from models.colorizer import ColorizerConfig
from models.sparse import SparseConfig
from models.vae import VAEConfig

PATIENCE = 60_000
"""Milliseconds that the page may take, on a machine that is busy."""
NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--no-first-run"]
SHIPPED = """
import os
from service import cli
os.dup2(os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
cli.main()
"""
"""`denoir` with the models that ship; it writes its log into a file."""
SMALL = {name: TINY[name] for name in ("tiny-photo", "tiny-vae")}
FAMILY = TINY | {
    "tiny-colorize": ("colorize", ColorizerConfig(side=32, widths=(4, 8), bins=5)),
    "tiny-drawing": ("emoji-vae", VAEConfig(height=12, width=12, channels=4, widths=(4, 8), latent=5)),
    "tiny-sparse": ("sparse", SparseConfig(height=12, width=10, widths=(4, 8), code=20)),
}
WIDTHS = (360, 768, 1440)
LEVELS = """picture => {
    const [width, height] = [picture.naturalWidth ?? picture.width, picture.naturalHeight ?? picture.height];
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(picture, 0, 0);
    return [...context.getImageData(0, 0, width, height).data];
}"""
"""Of an image or a canvas: red, green, blue and opacity of each of its pixels."""

expect.set_options(timeout=PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


def chromium() -> str | None:
    """The system's, installed where that is allowed."""
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        for words in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", "-qq", *words], capture_output=True, timeout=600, check=False)
    return next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium, and it can't be installed here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, graphs: Path) -> Iterator[Server]:
    """A server of small untrained models for all that the page can ask."""
    shelf = stocked(tmp_path_factory.mktemp("small"), FAMILY)
    with started(shelf, DENOIR_CACHE=str(graphs), DENOIR_MAX_PIXELS="400000") as server:
        yield server


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server of the models that ship writes down."""
    return tmp_path_factory.mktemp("log") / "log"


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory, graphs: Path, log: Path) -> Iterator[Server]:
    """A server of the models that ship."""
    code = SHIPPED.format(log=str(log))
    with started(tmp_path_factory.mktemp("empty shelf"), code, DENOIR_CACHE=str(graphs)) as server:
        yield server


@dataclass
class Visit:
    """A page, and what it should not have done."""

    page: Page
    url: str
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    refusals: bool = False
    """Whether answers that are errors are expected: the browser writes each of them to its console."""

    def open(self, place: str = "") -> Page:
        self.page.goto(f"{self.url}/{place}")
        return self.page

    def heard(self, kind: str, text: str) -> None:
        if kind == "error" and not (self.refusals and text.startswith("Failed to load resource")):
            self.errors.append(text)

    def asked(self, request: Request) -> None:
        if urlsplit(request.url).scheme not in ("blob", "data") and not request.url.startswith(self.url + "/"):
            self.elsewhere.append(request.url)


def holding(page: Page, place: str = "**/denoise?*", times: int | None = None) -> list[Route]:
    """What is asked of a place from now on, which waits until a test lets it go."""
    held: list[Route] = []
    page.route(place, lambda route: held.append(route), times=times)
    return held


@contextmanager
def visiting(
    browser: Browser,
    url: str,
    width: int = 1280,
    height: int = 900,
    scheme: str = "light",
    refusals: bool = False,
    touch: bool = False,
) -> Iterator[Visit]:
    """A new visitor, who in the end must have seen no error, and have been sent to nobody else."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        has_touch=touch,
        is_mobile=touch,
    )
    context.set_default_timeout(PATIENCE)
    visit = Visit(context.new_page(), url, refusals=refusals)
    visit.page.on("console", lambda said: visit.heard(said.type, said.text))
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    context.on("request", visit.asked)
    yield visit
    context.close()
    assert visit.errors == []
    assert visit.elsewhere == []


@pytest.fixture
def visit(browser: Browser, small: Server) -> Iterator[Visit]:
    """A visitor of the small server."""
    with visiting(browser, small.url) as visit:
        yield visit


@pytest.fixture
def refused(browser: Browser, small: Server) -> Iterator[Visit]:
    """A visitor of the small server, who will be refused something."""
    with visiting(browser, small.url, refusals=True) as visit:
        yield visit
