"""The README's pictures of the page, taken of a server of the models that ship: `python -m benchmarks.screenshots`.

`python -m benchmarks.screenshots FOLDER` takes all that there is to see there, in both themes and three widths, to be
looked at. `--at URL` asks a server that runs.
"""

import argparse
import contextlib
import io
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

from PIL import Image
from playwright.sync_api import Page, Route, sync_playwright

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SAMPLES = ROOT / "samples"
SIZES = ((360, 740), (768, 1024), (1440, 900))
THEMES = ("light", "dark")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PATIENCE = 300.0
LARGEST = 150_000
"""Bytes of a picture in the README."""
LOCKED = {"type": "urn:denoir:unauthorized", "title": "unauthorized", "status": 401}


def empty(page: Page) -> None:
    """As one comes to it."""
    page.goto("/#clean")
    page.wait_for_selector("#clean .samples img")


def clean(page: Page) -> None:
    """A sample, cleaned."""
    empty(page)
    page.get_by_role("button", name="Rocket").click()
    page.wait_for_selector("#clean .stage.whole")


def bring(page: Page, **files: tuple[str, bytes]) -> None:
    """Brings files by name, each of a media type."""
    empty(page)
    given = [{"name": name.replace("_", "."), "mimeType": kind, "buffer": data} for name, (kind, data) in files.items()]
    page.locator("#clean input[type=file]").set_input_files(given)  # type: ignore[arg-type]


def several(page: Page) -> None:
    """Three pictures, and a file that is none."""
    noisy, cat = (SAMPLES / "bridge-noisy.png").read_bytes(), (SAMPLES / "cat.jpg").read_bytes()
    bring(page, bridge_png=("image/png", noisy), letter_pdf=("application/pdf", b"%PDF"), cat_jpg=("image/jpeg", cat))
    page.wait_for_selector("#clean .stage.whole")
    page.wait_for_selector("#clean .file.bad")
    page.wait_for_function("() => document.querySelectorAll('#clean .get:not([hidden])').length === 2")


def large(page: Page) -> None:
    """20 megapixels under way."""
    stream = io.BytesIO()
    with Image.open(SAMPLES / "bridge-noisy.png") as noisy:
        noisy.convert("RGB").resize((5000, 4000)).save(stream, "jpeg", quality=90)
    bring(page, large_jpg=("image/jpeg", stream.getvalue()))
    page.wait_for_function("() => document.querySelector('#clean .file progress').value >= 5")


def dream(page: Page) -> None:
    """A wall, and the way between two of its pictures."""
    page.goto("/#dream?model=fashion-vae&seed=7&temperature=0.8&pick=9&pick=31")
    page.wait_for_selector("#near .cell")
    page.wait_for_selector("#wall .cell:nth-child(96)")  # more than there is to see


def colour(page: Page) -> None:
    """A grey photograph in colours, where a model ships that gives them."""
    page.goto("/#colour")
    page.get_by_role("button", name="Bridge").click()
    page.wait_for_selector("#colour .stage.whole")


def code(page: Page) -> None:
    """A digit as bars, and what they make."""
    page.goto("/#code")
    page.wait_for_selector("#bars .bar")
    page.wait_for_function("() => document.getElementById('code-rebuilt').width === 28")


def draw(page: Page) -> None:
    """Paper to draw on."""
    code(page)
    page.get_by_role("button", name="Draw one").click()


def models(page: Page) -> None:
    """What ships."""
    page.goto("/#models")
    page.wait_for_selector(".sheet img")


def card(page: Page) -> None:
    """One of them, with all that is known of it."""
    models(page)
    page.locator(".model summary").last.click()
    page.wait_for_selector(".card[data-filled]")
    page.locator(".model").last.scroll_into_view_if_needed()


def key(page: Page) -> None:
    """Where a key is asked for."""

    def refuse(route: Route) -> None:
        route.fulfill(status=401, content_type="application/problem+json", body=json.dumps(LOCKED))

    page.route("**/models", refuse)
    page.goto("/")
    page.wait_for_selector("dialog[open]")


VIEWS: tuple[Callable[[Page], None], ...] = (
    empty,
    clean,
    several,
    large,
    dream,
    colour,
    code,
    draw,
    models,
    card,
    key,
)
SHOWN = ((clean, "light"), (dream, "dark"), (code, "light"))
"""Views that the README shows."""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A server of what ships; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as empty:
        command = [sys.executable, "-c", "from service.cli import main; main()", "--shelf", empty, "serve"]
        process = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL, cwd=ROOT, env=os.environ)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def wait_until_ready(url: str) -> None:
    """Raises TimeoutError."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urlopen(f"{url}/readyz"):
            return
        time.sleep(0.2)
    raise TimeoutError("the server is not ready")


@contextlib.contextmanager
def pages(at: str | None) -> Iterator[Callable[..., Page]]:
    """Something that makes pages of a size and a theme: of the server `at` an address, or of one of what ships."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with contextlib.nullcontext(at) if at else serving() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)

        def page(width: int, height: int, theme: str) -> Page:
            size = {"width": width, "height": height}
            made = browser.new_page(base_url=url, viewport=size, color_scheme=theme)  # type: ignore[arg-type]
            made.set_default_timeout(1000 * PATIENCE)
            return made

        yield page
        browser.close()


def taken(page: Page, view: Callable[[Page], None]) -> Image.Image:
    """What a view shows, once it has come to rest; the page is closed."""
    view(page)
    if view is not large:
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(500)
    shot = Image.open(io.BytesIO(page.screenshot()))
    page.close()
    return shot


def main() -> None:
    """Takes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--at", metavar="URL")
    asked = parser.parse_args()
    with pages(asked.at) as page:
        if asked.folder:
            asked.folder.mkdir(parents=True, exist_ok=True)
            for view, (width, height), theme in itertools.product(VIEWS, SIZES, THEMES):
                taken(page(width, height, theme), view).save(asked.folder / f"{view.__name__}-{theme}-{width}.png")
        else:
            for view, theme in SHOWN:
                write(taken(page(1280, 800, theme), view), DOCS / f"page-{view.__name__}-{theme}.webp")


def write(shot: Image.Image, path: Path) -> None:
    """As WebP, as well as LARGEST allows."""
    for quality in range(90, 10, -5):
        stream = io.BytesIO()
        shot.convert("RGB").save(stream, "webp", quality=quality, method=6)
        if stream.tell() < LARGEST:
            break
    path.write_bytes(stream.getvalue())
    print(f"{path.relative_to(ROOT)}: {stream.tell():,} bytes, quality {quality}")


if __name__ == "__main__":
    main()
