"""What the page does when the service is busy, gone or ends, and with what takes long: with the models that ship."""

import io
import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from answers import encoded
from conftest import SAMPLES, scene
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from serving import Server, started

from .conftest import PATIENCE, SHIPPED, Visit, visiting

pytestmark = pytest.mark.slow

PICTURE = encoded(scene(90, 120, 3))
MEGAPIXELS = (5000, 4000)
WRITING = "import os; os.dup2(os.open({path!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2); {then}"
BUSY = {"type": "urn:denoir:overloaded", "title": "overloaded", "status": 503, "detail": "too much work is waiting"}


def choose(page: Page, name: str, data: bytes, kind: str = "image/png") -> None:
    files = [{"name": name, "mimeType": kind, "buffer": data}]
    page.locator("#clean input[type=file]").set_input_files(files)  # type: ignore[arg-type]


def test_who_is_told_that_the_service_is_busy_waits_and_tries_again(refused: Visit):
    page, asked = refused.open(), []

    def answer(route: Route) -> None:
        asked.append(time.monotonic())
        if len(asked) > 1:
            return route.continue_()
        told = {"Content-Type": "application/problem+json", "Retry-After": "2"}
        return route.fulfill(status=503, headers=told, body=json.dumps(BUSY))

    page.route("**/denoise?*", answer)
    choose(page, "a.png", PICTURE)
    expect(page.locator("#clean .file .words")).to_contain_text("The service is busy")
    expect(page.locator("#clean .file .words")).to_contain_text("Trying again in")
    expect(page.locator("#clean .file").get_by_role("link", name="Download")).to_be_visible()
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 1.9


def test_a_service_that_is_gone_is_told_and_asked_again_when_told_to(refused: Visit):
    page = refused.open()
    page.wait_for_selector("#clean .samples img")
    page.context.set_offline(True)
    choose(page, "a.png", PICTURE)
    row = page.locator("#clean .file")
    expect(row.locator(".words")).to_contain_text("The service does not answer")
    page.context.set_offline(False)
    row.get_by_role("button", name="Try again").click()
    expect(row.get_by_role("link", name="Download")).to_be_visible()


def test_a_service_that_is_gone_from_the_start_is_asked_again_when_told_to(refused: Visit):
    refused.page.route("**/models", lambda route: route.abort())
    page = refused.open()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.unroute("**/models")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Cat")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_an_answer_that_is_cut_off_is_told_so(refused: Visit):
    page = refused.open()
    head = b"--b\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n" + b'{"done": 1, "tiles":9}\r\n--b\r\n'
    told = {"Content-Type": "multipart/mixed; boundary=b"}
    page.route("**/denoise?*", lambda route: route.fulfill(status=200, headers=told, body=head))
    choose(page, "a.png", PICTURE)
    expect(page.locator("#clean .file .words")).to_contain_text("ended before it was done")


def test_what_goes_wrong_after_the_first_tiles_is_told(refused: Visit):
    page = refused.open()
    problem = json.dumps({**BUSY, "type": "urn:denoir:deadline", "status": 504}).encode()
    parts = b"--b\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%s\r\n--b--\r\n" % (
        len(problem),
        problem,
    )
    told = {"Content-Type": "multipart/mixed; boundary=b"}
    page.route("**/denoise?*", lambda route: route.fulfill(status=200, headers=told, body=parts))
    choose(page, "a.png", PICTURE)
    expect(page.locator("#clean .file .words")).to_contain_text("longer than the service lets an answer take")


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server of the models that ship, and the log that it writes."""
    log = tmp_path_factory.mktemp("log") / "log"
    code = WRITING.format(path=str(log), then=SHIPPED)
    with started(tmp_path_factory.mktemp("empty shelf"), code) as server:
        yield server, log


@pytest.fixture(scope="module")
def large() -> bytes:
    """A noisy photograph of 20 megapixels."""
    stream = io.BytesIO()
    with Image.open(SAMPLES / "bridge-noisy.png") as noisy:
        noisy.convert("RGB").resize(MEGAPIXELS).save(stream, "jpeg", quality=90)
    return stream.getvalue()


def noted(log: Path) -> list[dict[str, object]]:
    """What is written down of cleaning."""
    return [line for line in map(json.loads, log.read_text().splitlines()) if line.get("path") == "/denoise"]


def test_a_large_picture_is_followed_cancelled_and_taken_up_again(
    browser: Browser, writing: tuple[Server, Path], large: bytes
):
    server, log = writing
    with visiting(browser, server.url) as visit:
        page = visit.open()
        page.set_default_timeout(5 * PATIENCE)
        choose(page, "large.jpg", large, "image/jpeg")
        row = page.locator("#clean .file")
        bar = row.locator("progress")
        expect(bar).to_have_attribute("value", re.compile(r"^[2-9]$|^\d\d"), timeout=5 * PATIENCE)
        assert int(bar.get_attribute("max") or 0) >= 80
        expect(row.locator(".words")).to_contain_text("tiles")
        row.get_by_role("button", name="Cancel").click()
        expect(row.locator(".words")).to_have_text("Cancelled")
        end = time.monotonic() + PATIENCE / 1000
        while not noted(log):
            assert time.monotonic() < end, "the service goes on"
            time.sleep(0.1)
        done, tiles = map(int, re.findall(r"\d+", str(noted(log)[0]["gone_after"])))
        assert 2 <= done < tiles

        row.get_by_role("button", name="Try again").click()
        seen = []
        while not row.get_by_role("link", name="Download").is_visible():
            seen.append(int(bar.get_attribute("value") or 0))
            page.wait_for_timeout(200)
        grown = [value for value in seen if value]
        assert grown == sorted(grown)
        assert len(set(grown)) > 3
        expect(page.locator("#clean .facts")).to_contain_text("5000 × 4000")


def test_who_waits_when_the_service_ends_is_told_so(browser: Browser, tmp_path: Path, large: bytes):
    with (
        started(tmp_path, SHIPPED, DENOIR_GRACE="0") as server,
        visiting(browser, server.url, refusals=True) as visit,
    ):
        page = visit.open()
        choose(page, "large.jpg", large, "image/jpeg")
        row = page.locator("#clean .file")
        expect(row.locator("progress")).to_have_attribute("value", re.compile(r"\d+"), timeout=5 * PATIENCE)
        server.process.send_signal(signal.SIGTERM)
        expect(row.locator(".words")).to_contain_text("The service is stopping", timeout=PATIENCE)
        expect(row.get_by_role("button", name="Try again")).to_be_visible()


def test_a_noisy_photograph_comes_back_clean(browser: Browser, writing: tuple[Server, Path], tmp_path: Path):

    def decibels(a: Path, b: Path) -> float:
        with Image.open(a) as one, Image.open(b) as other:
            difference = np.asarray(one.convert("RGB"), float) - np.asarray(other.convert("RGB"), float)
        return float(-10 * np.log10(np.mean(difference**2) / 255**2))

    noisy, clean, got = SAMPLES / "bridge-noisy.png", SAMPLES / "bridge.jpg", tmp_path / "got.png"
    with visiting(browser, writing[0].url) as visit:
        page = visit.open("#clean?model=photo")
        page.wait_for_selector("#clean .samples img")
        choose(page, "bridge-noisy.png", noisy.read_bytes())
        with page.expect_download() as download:
            page.locator("#clean aside").get_by_role("link", name="Download").click()
        download.value.save_as(got)
        expect(page.locator("#clean .facts")).to_contain_text("photo@")
    assert decibels(got, clean) > decibels(noisy, clean) + 7
