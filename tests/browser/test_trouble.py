"""What the page does when the service is busy, gone or ends, and with what takes long: with the models that ship."""

import io
import json
import re
import signal
import time
from pathlib import Path

import pytest
from answers import encoded
from conftest import SAMPLES, scene, stocked
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from serving import Server, started

from models.unet import UNetConfig

from .conftest import PATIENCE, Visit, visiting

pytestmark = pytest.mark.slow

PICTURE = encoded(scene(90, 120, 3))
MEGAPIXELS = (5000, 4000)
SLOW = {"slow-photo": ("photo", UNetConfig(widths=(48, 96), blocks=4))}
"""As slow as one that ships, and sooner loaded."""
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
    expect(page.locator("#clean .file .words")).to_contain_text("The service is busy. Asking again in")
    expect(page.locator("#clean .file.bad")).to_have_count(0)
    expect(page.locator("#clean .veil").get_by_role("button", name="Cancel")).to_be_visible()
    expect(page.locator("#clean .file").get_by_role("button", name="Download")).to_be_visible()
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 1.9


def test_a_service_that_stays_busy_is_waited_for_a_few_times_and_then_told(refused: Visit):
    page, asked = refused.open(), []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        told = {"Content-Type": "application/problem+json", "Retry-After": "1"}
        route.fulfill(status=503, headers=told, body=json.dumps(BUSY))

    page.route("**/denoise?*", answer)
    choose(page, "a.png", PICTURE)
    expect(page.locator("#clean .file.bad .words")).to_contain_text("It can be asked again in about 1.0 s")
    assert len(asked) == 5
    page.unroute("**/denoise?*")
    page.locator("#clean .file").get_by_role("button", name="Try again").click()
    expect(page.locator("#clean .file").get_by_role("button", name="Download")).to_be_visible()


def test_a_service_that_is_gone_is_told_and_asked_again_when_told_to(refused: Visit):
    page = refused.open()
    page.wait_for_selector("#clean .samples img")
    page.context.set_offline(True)
    choose(page, "a.png", PICTURE)
    row = page.locator("#clean .file")
    expect(row.locator(".words")).to_contain_text("The service does not answer")
    page.context.set_offline(False)
    row.get_by_role("button", name="Try again").click()
    expect(row.get_by_role("button", name="Download")).to_be_visible()


def test_a_service_that_is_gone_from_the_start_is_asked_again_when_told_to(refused: Visit):
    refused.page.route("**/models", lambda route: route.abort())
    page = refused.open()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.unroute("**/models")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Cat")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_view_that_did_not_come_is_tried_again_when_told_to(refused: Visit):
    page = refused.open()
    page.wait_for_selector("#clean .samples img")
    page.context.set_offline(True)
    page.get_by_role("link", name="Dream", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("did not come from the service")
    expect(page.locator("#dream-settings")).to_be_hidden()
    expect(page.get_by_role("button", name="More")).to_be_hidden()
    page.context.set_offline(False)
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    page.wait_for_selector("#wall .cell")
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


@pytest.mark.parametrize(
    ("view", "place", "line"),
    [
        ("", "**/models", "#down"),
        ("#dream?model=tiny-vae&seed=7", "**/sample?*", "#wall-notice"),
        ("#dream?model=tiny-vae&seed=7", "**/codes?*", "#near-notice"),
        ("#code?model=tiny-vae", "**/encode?*", "#code-notice"),
        ("#code?model=tiny-vae", "**/decode", "#code-notice"),
    ],
)
def test_a_body_that_is_cut_off_is_told_in_every_view(visit: Visit, view: str, place: str, line: str):
    visit.page.route(place, lambda route: route.fulfill(status=200, body='{"code": [0.5, '))
    page = visit.open(view)
    expect(page.locator(line)).to_contain_text("That did not work. Try again.")
    assert visit.errors, "the console has more of it"
    assert not any("Cannot read properties" in error for error in visit.errors)
    page.goto("about:blank")
    visit.errors.clear()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            {"max_side": 16383, "format": "webp"},
            "A side of a picture in WebP may have at most 16383 pixels. Choose another format: PNG.",
        ),
        (
            {"max_side": 65500, "format": "jpeg"},
            "A side of a picture in JPEG may have at most 65500 pixels. Choose another format: PNG.",
        ),
        ({"max_side": 65535}, "A side of a picture may have at most 65535 pixels. Make it smaller."),
        ({}, "It has 0.8 megapixels, and the service takes 268.4 megapixels. Make it smaller."),
    ],
)
def test_of_what_is_too_large_it_is_told_what_is(refused: Visit, members: dict[str, object], said: str):
    page = refused.open()
    told = {"type": "urn:denoir:image-too-large", "status": 413, "detail": "it is too large", "max_pixels": 268_435_456}
    told |= {"width": 20_000, "height": 40} | members
    page.route("**/denoise?*", lambda route: route.fulfill(status=413, json=told))
    choose(page, "a.png", PICTURE)
    expect(page.locator("#clean .file.bad .words")).to_have_text(said)


@pytest.fixture(scope="module")
def large() -> bytes:
    """A noisy photograph of 20 megapixels."""
    stream = io.BytesIO()
    with Image.open(SAMPLES / "bridge-noisy.png") as noisy:
        noisy.convert("RGB").resize(MEGAPIXELS).save(stream, "jpeg", quality=90)
    return stream.getvalue()


def gone(log: Path) -> list[tuple[int, int]]:
    """Of those that went while they were worked for: tiles that were done, and tiles that there were."""
    told = re.findall(r'"gone_after": "(\d+) of (\d+) tiles"', log.read_text())
    return [(int(done), int(tiles)) for done, tiles in told]


def test_a_large_picture_is_followed_cancelled_and_taken_up_again(
    browser: Browser, real: Server, log: Path, large: bytes
):
    with visiting(browser, real.url) as visit:
        page = visit.open()
        page.set_default_timeout(5 * PATIENCE)
        choose(page, "large.jpg", large, "image/jpeg")
        row = page.locator("#clean .file")
        bar = row.locator("progress")
        expect(bar).to_have_attribute("value", re.compile(r"^[2-9]$|^\d\d"), timeout=5 * PATIENCE)
        assert int(bar.get_attribute("max") or 0) >= 30
        expect(row.locator(".words")).to_contain_text("tiles")
        row.get_by_role("button", name="Cancel").click()
        expect(row.locator(".words")).to_have_text("Cancelled")
        end = time.monotonic() + PATIENCE / 1000
        while not gone(log):
            assert time.monotonic() < end, "the service goes on"
            time.sleep(0.1)
        done, tiles = gone(log)[0]
        assert 2 <= done < tiles

        row.get_by_role("button", name="Try again").click()
        seen = []
        while not row.get_by_role("button", name="Download").is_visible():
            seen.append(int(bar.get_attribute("value") or 0))
            page.wait_for_timeout(200)
        grown = [value for value in seen if value]
        assert grown == sorted(grown)
        assert len(set(grown)) > 3
        expect(page.locator("#clean .facts")).to_contain_text("5000 × 4000")


def test_who_waits_when_the_service_ends_is_told_so(browser: Browser, tmp_path: Path, graphs: Path, large: bytes):
    with (
        started(stocked(tmp_path, SLOW), DENOIR_CACHE=str(graphs), DENOIR_GRACE="0") as server,
        visiting(browser, server.url, refusals=True) as visit,
    ):
        page = visit.open()
        choose(page, "large.jpg", large, "image/jpeg")
        row = page.locator("#clean .file")
        expect(row.locator("progress")).to_have_attribute("value", re.compile(r"\d+"), timeout=5 * PATIENCE)
        server.process.send_signal(signal.SIGTERM)
        expect(row.locator(".words")).to_contain_text("The service is stopping", timeout=PATIENCE)
        expect(row.get_by_role("button", name="Try again")).to_be_visible()
