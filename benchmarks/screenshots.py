"""The README's pictures of the page, taken of a server of the models that ship: `python -m benchmarks.screenshots`.

`python -m benchmarks.screenshots FOLDER` takes all views there, in both themes and three widths, to be looked at.
"""

import contextlib
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

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SIZES = ((360, 740), (820, 1100), (1440, 900))
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PATIENCE = 300.0


def clean(page: Page) -> None:
    """A sample, cleaned."""
    page.goto("/#clean")
    page.get_by_role("button", name="Rocket").click()
    page.wait_for_selector("#clean .stage.whole")


def dream(page: Page) -> None:
    """A wall, and the way between two of its pictures."""
    page.goto("/#dream?model=fashion-vae&seed=7&temperature=0.8&pick=1&pick=15")
    page.wait_for_selector("#near .cell")


def colour(page: Page) -> None:
    """A grey photograph in colours, where a model ships that gives them."""
    page.goto("/#colour")
    page.get_by_role("button", name="Bridge").click()
    page.wait_for_selector("#colour .stage.whole")


def code(page: Page) -> None:
    """A digit as bars."""
    page.goto("/#code")
    page.wait_for_selector("#bars .bar")


def models(page: Page) -> None:
    """What ships."""
    page.goto("/#models")
    page.wait_for_selector(".model")


VIEWS: dict[str, Callable[[Page], None]] = {
    "clean": clean,
    "dream": dream,
    "colour": colour,
    "code": code,
    "models": models,
}
SHOWN = (("clean", "light"), ("clean", "dark"), ("dream", "dark"))
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


def take(folder: Path, views: list[tuple[str, str]], sizes: tuple[tuple[int, int], ...], name: str, form: str) -> None:
    """Writes a picture of each view, (name, theme), in each size. name: of a file, of view, theme and width."""
    folder.mkdir(parents=True, exist_ok=True)
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with serving() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        for view, theme in views:
            for width, height in sizes:
                page = browser.new_page(
                    base_url=url,
                    viewport={"width": width, "height": height},
                    color_scheme=theme,  # type: ignore[arg-type]
                )
                VIEWS[view](page)
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(500)
                file = folder / f"{name.format(view=view, theme=theme, width=width)}.{form}"
                page.screenshot(path=file, type=form, **({"quality": 82} if form == "jpeg" else {}))  # type: ignore[arg-type]
                print(file)
                page.close()
        browser.close()


def main() -> None:
    """Takes them."""
    if len(sys.argv) > 1:
        views = [(view, theme) for view in VIEWS for theme in ("light", "dark")]
        take(Path(sys.argv[1]), views, SIZES, "{view}-{theme}-{width}", "png")
    else:
        take(DOCS, list(SHOWN), ((1280, 800),), "page-{view}-{theme}", "jpeg")


if __name__ == "__main__":
    main()
