"""The first view: pictures brought, cleaned, looked at and taken away, with small untrained models."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from answers import decoded, encoded
from conftest import SAMPLES, scene
from PIL import Image
from playwright.sync_api import Page, Route, expect

from .conftest import Visit, holding

GREY = encoded(scene(90, 120, 3))
NOISE = np.random.default_rng(0).normal(0, 20, (90, 120, 3))
NOISY = encoded(np.clip(scene(90, 120, 3) + NOISE, 0, 255).astype(np.uint8))
LARGE = encoded(np.zeros((1500, 1500, 3), np.uint8))
"""2.25 megapixels, in a file of a few kilobytes."""


def file(name: str, data: bytes, kind: str = "image/png") -> dict[str, object]:
    return {"name": name, "mimeType": kind, "buffer": data}


def choose(page: Page, *files: dict[str, object]) -> None:
    page.locator("#clean input[type=file]").set_input_files(list(files))  # type: ignore[arg-type]


def taken(page: Page, button: str = "#clean .download") -> tuple[str, Image.Image]:
    """What is downloaded: under which name, and the picture."""
    with page.expect_download() as download:
        page.locator(button).click()
    with Image.open(download.value.path()) as picture:
        picture.load()
    return download.value.suggested_filename, picture


def after_asking(page: Page, change: Callable[[], object]) -> list[str]:
    """Where the page has asked for something while it was changed, and for a moment after."""
    asked: list[str] = []
    page.on("request", note := lambda request: asked.append(request.url))
    change()
    page.wait_for_timeout(600)
    page.remove_listener("request", note)
    return [url for url in asked if not url.startswith("blob:")]


def test_a_sample_is_clean_after_one_click(visit: Visit):
    page = visit.open()
    page.get_by_role("button", name="Cat").click()
    name, clean = taken(page)
    assert (name, clean.format, clean.size) == ("cat-clean.jpg", "JPEG", (451, 300))
    facts = page.locator("#clean .facts").inner_text()
    assert "tiny-photo@1" in facts
    assert "451 \u00d7 300" in facts


def test_what_is_no_picture_is_told_so_beside_it_and_the_others_go_on(refused: Visit):
    page = refused.open()
    large = encoded(np.zeros((700, 700, 3), np.uint8))
    text, cut = file("letter.png", b"Dear Sir"), file("cut.png", GREY[:-200])
    choose(page, text, cut, file("good.png", GREY), file("large.png", large))
    good = page.locator("#clean .file", has_text="good.png")
    expect(good.get_by_role("button", name="Download")).to_be_visible()
    for name, said in (
        ("letter", "no picture"),
        ("cut", "damaged"),
        ("large", "0.5 megapixels, and the service takes 0.4"),
    ):
        row = page.locator("#clean .file", has_text=name)
        expect(row.locator(".words")).to_contain_text(said)
        expect(row.get_by_role("button", name="Try again")).to_have_count(0)
        row.locator(".show").click()
        expect(page.locator("#clean .veil")).to_contain_text(said)
        expect(page.locator("#clean .veil button")).to_be_hidden()
    assert not page.locator("#clean .file.bad", has_text="good.png").count()


@pytest.mark.slow
def test_a_level_is_set_instead_of_measured_and_back(visit: Visit):
    page = visit.open()
    choose(page, file("a.png", NOISY))
    panel = page.locator("#clean aside")
    told = panel.locator(".told").first
    expect(told).to_contain_text(", measured")
    assert float(told.inner_text().split(",")[0]) == pytest.approx(20, abs=3)
    with page.expect_request(lambda request: "sigma=30" in request.url):
        panel.get_by_label("Noise level").fill("30")
    expect(told).to_have_text("30.0, set by you")
    held = holding(page)
    panel.get_by_role("button", name="Measure it again").click()
    expect(page.locator("#clean .words")).to_have_text("Sending")
    expect(told).to_have_text("measured by itself")
    assert "sigma" not in held[0].request.url
    held[0].continue_()
    expect(told).to_contain_text(", measured")


@pytest.mark.slow
def test_no_number_is_told_where_no_noise_is_found(visit: Visit):
    page = visit.open()
    choose(page, file("flat.png", encoded(np.full((60, 80, 3), 128, np.uint8))))
    panel = page.locator("#clean aside")
    expect(panel).to_contain_text("none found")
    expect(panel.locator(".hint")).to_contain_text("Set a level if you see noise")
    assert not any(digit in panel.locator("label", has_text="Noise level").inner_text() for digit in "0123456789")


@pytest.mark.slow
def test_model_and_format_are_asked_for(visit: Visit):
    page = visit.open()
    choose(page, file("a.png", GREY))
    panel = page.locator("#clean aside")
    with page.expect_response(lambda answer: "format=webp" in answer.url):
        panel.get_by_label("Format").select_option("webp")
    name, picture = taken(page)
    assert (name, picture.format) == ("a-clean.webp", "WEBP")


@pytest.mark.slow
def test_less_strength_is_mixed_here_and_taken_as_it_is_shown(visit: Visit):
    """Nothing is sent for it but when it is to be taken, and then once."""
    page = visit.open()
    choose(page, file("a.png", NOISY))
    page.wait_for_selector("#clean .stage.whole")
    whole = np.asarray(taken(page)[1], int)
    slider = page.locator("#clean aside").get_by_label("Strength")
    assert after_asking(page, lambda: slider.fill("0.5")) == []
    download = page.locator("#clean .download")
    expect(download).to_have_text("Download at 50 %")
    expect(page.locator("#clean .words")).to_have_text(re.compile(r"^Done in [\d.]+ s$"))
    expect(page.locator("#clean .facts")).to_contain_text("\u2192 \u2013")
    with page.expect_request(lambda request: "strength=0.5" in request.url):
        half = np.asarray(taken(page)[1], int)
    before = np.asarray(decoded(NOISY), int)
    assert np.abs(before - whole).max() > 8, "so that half of it is something"
    assert np.abs(half - (before + whole) / 2).max() <= 1
    page.get_by_role("button", name="Pixels").click()
    page.get_by_role("slider", name="Before and after").press("Home")
    shown = seen(page)
    middle = shown[shown.shape[0] // 2 + 8 - 16 * 4 :: 16, shown.shape[1] // 2 + 8 - 16 * 4 :: 16][:8, :8]
    assert np.abs(middle.astype(int) - half[41:49, 56:64]).max() <= 2
    assert after_asking(page, lambda: taken(page, "#clean .get")) == [], "it is there by now"
    assert after_asking(page, lambda: slider.fill("1")) == []
    assert np.array_equal(np.asarray(taken(page)[1], int), whole)


@pytest.mark.slow
def test_a_file_that_is_made_for_another_strength_is_given_up(visit: Visit):
    page = visit.open()
    choose(page, file("a.png", GREY))
    page.wait_for_selector("#clean .stage.whole")
    slider, words = page.locator("#clean aside").get_by_label("Strength"), page.locator("#clean .file .words")
    slider.fill("0.5")
    holding(page)
    page.locator("#clean .download").click()
    expect(words).to_have_text("Sending")
    page.locator("#clean .veil").get_by_role("button", name="Cancel").click()
    expect(words).to_contain_text("Done in")
    page.locator("#clean .download").click()
    expect(words).to_have_text("Sending")
    slider.fill("0.25")
    expect(words).to_contain_text("Done in")
    page.unroute("**/denoise?*")
    with page.expect_request(lambda request: "strength=0.25" in request.url):
        assert taken(page)[0] == "a-clean.png"


@pytest.mark.slow
def test_what_is_changed_while_an_answer_comes_is_not_forgotten(visit: Visit):
    page = visit.open()
    held = holding(page, times=1)
    choose(page, file("a.png", GREY))
    while not held:
        page.wait_for_timeout(20)
    panel = page.locator("#clean aside")
    with page.expect_response(lambda answer: "format=webp" in answer.url):
        panel.get_by_label("Format").select_option("webp")
        held[0].continue_()
    assert taken(page)[0] == "a-clean.webp"
    expect(panel.get_by_label("Format")).to_have_value("webp")


@pytest.mark.slow
def test_how_much_was_taken_away_is_told(visit: Visit):
    """As the root mean square of what changed."""
    page = visit.open()
    given, cleaned = (encoded(np.full((40, 60, 3), level, np.uint8)) for level in (100, 110))
    page.route("**/denoise?*", lambda route: route.fulfill(content_type="image/png", body=cleaned))
    choose(page, file("a.png", given))
    expect(page.locator("#clean .facts")).to_contain_text("10.0 levels")


@pytest.mark.slow
def test_a_row_is_cancelled_and_taken_up_again_over_the_picture(visit: Visit):
    page = visit.open()
    holding(page)
    choose(page, file("a.png", GREY))
    veil = page.locator("#clean .veil")
    veil.get_by_role("button", name="Cancel").click()
    expect(veil).to_contain_text("Cancelled")
    expect(page.locator("#clean .file .words")).to_have_text("Cancelled")
    page.unroute("**/denoise?*")
    veil.get_by_role("button", name="Try again").press("Enter")
    expect(page.locator("#clean aside").get_by_role("button", name="Download")).to_be_visible()
    expect(veil).to_be_hidden()
    assert page.evaluate("() => document.activeElement.className") == "view", "the focus is not lost"


@pytest.mark.slow
def test_what_is_transparent_is_shown_on_squares(visit: Visit):
    drawing = np.zeros((64, 64, 4), np.uint8)
    drawing[16:48, 16:48] = (200, 30, 30, 255)
    page = visit.open()
    choose(page, file("drawing.png", encoded(drawing)))
    page.wait_for_selector("#clean .stage.whole")
    height, width, _ = (shown := seen(page)).shape
    margin = (width - height) // 2
    for left in (margin + 10, width - margin - 30):
        corner = shown[-50:-10, left : left + 20].reshape(-1, 3)
        assert set(map(tuple, corner.tolist())) == {(255, 255, 255), (226, 224, 219)}


@pytest.mark.slow
def test_a_picture_that_the_browser_cant_read_is_shown_all_the_same(visit: Visit):
    page = visit.open()
    choose(page, file("scan.tif", encoded(scene(40, 60, 1), "tiff"), "image/tiff"))
    expect(page.locator("#clean .facts")).to_contain_text("60 \u00d7 40")
    expect(page.locator("#clean .stage")).to_have_class("stage whole")


@pytest.fixture
def pixels(visit: Visit) -> Page:
    """Looks at single pixels of a picture whose every one differs from its neighbours."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    page = visit.open()
    choose(page, file("noise.png", encoded(noise)))
    page.wait_for_selector("#clean .stage.whole")
    page.get_by_role("button", name="Pixels").click()
    expect(page.get_by_label("Zoom", exact=True).last).to_have_text("1600 %")
    return page


def seen(page: Page) -> np.ndarray:
    """What is drawn of the picture, `h w 3`."""
    box = page.locator("#clean .view canvas").bounding_box()
    assert box
    with Image.open(io.BytesIO(page.screenshot(clip=box))) as shot:  # type: ignore[arg-type]
        return np.asarray(shot.convert("RGB"))


def edges(line: np.ndarray) -> set[int]:
    """Where a line of pixels `w 3` changes, modulo the 16 that one is wide."""
    return {int(at + 1) % 16 for at in np.flatnonzero(np.abs(np.diff(line.astype(int), axis=0)).sum(1) > 30)}


def test_both_sides_show_the_same_pixels_and_move_together(pixels: Page):
    def halves() -> tuple[set[int], set[int]]:
        picture = seen(pixels)
        row, middle = picture[picture.shape[0] * 3 // 4], picture.shape[1] // 2
        return edges(row[: middle - 40]), {(one + middle + 40) % 16 for one in edges(row[middle + 40 :])}

    before, after = halves()
    assert len(before) == 1, "squares of 16, sharp at their edges"
    assert after <= before
    pixels.locator("#clean .view").focus()
    first = seen(pixels)
    pixels.keyboard.press("ArrowRight")
    moved, moved_after = halves()
    assert (seen(pixels) != first).mean() > 0.2, "it has moved"
    assert len(moved) == 1
    assert moved_after <= moved


@pytest.mark.slow
def test_the_divider_is_moved_by_pointer_and_by_keys(visit: Visit):
    page = visit.open()
    page.get_by_role("button", name="Rocket").click()
    divider = page.get_by_role("slider", name="Before and after")
    expect(divider).to_have_attribute("aria-valuenow", "50")
    divider.press("ArrowLeft")
    expect(divider).to_have_attribute("aria-valuenow", "45")
    divider.press("End")
    expect(divider).to_have_attribute("aria-valuenow", "100")
    box = page.locator("#clean .view").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    page.mouse.down()
    page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "50")


@pytest.mark.slow
def test_a_dropped_and_a_pasted_picture(visit: Visit):
    page = visit.open()
    page.wait_for_selector("#clean .samples img")
    bring = """([kind, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, {type: "image/png"}));
        const event = kind === "drop"
            ? new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
            : new ClipboardEvent("paste", {clipboardData: data, bubbles: true});
        document.body.dispatchEvent(event);
    }"""
    for kind in ("drop", "paste"):
        page.evaluate(bring, [kind, list(GREY)])
        expect(page.locator("#clean .file", has_text=kind).get_by_role("button", name="Download")).to_be_visible()


@pytest.mark.slow
def test_rows_are_chosen_and_removed(visit: Visit):
    page = visit.open()
    choose(page, file("one.png", GREY), file("two.png", encoded(scene(50, 70, 5))))
    page.get_by_role("button", name="two.png", exact=True).click()
    expect(page.locator("#clean .facts")).to_contain_text("70 \u00d7 50")
    page.get_by_role("button", name="Remove two.png").click()
    expect(page.locator("#clean .facts")).to_contain_text("120 \u00d7 90")
    page.get_by_role("button", name="Remove one.png").click()
    expect(page.locator("#clean .work")).to_be_hidden()
    expect(page.get_by_text("Or take one of these").first).to_be_visible()


@pytest.mark.slow
def test_one_large_picture_is_sent_at_a_time(visit: Visit):
    """And small ones beside it."""
    page, held = visit.open(), []

    def answer(route: Route) -> None:
        route.fulfill(content_type="image/png", body=GREY)

    page.route("**/denoise?*", lambda route: held.append(route) if len(held) < 2 else answer(route))
    choose(page, file("one.png", LARGE), file("two.png", LARGE), file("small.png", GREY))
    words = {name: page.locator("#clean .file", has_text=name).locator(".words") for name in ("one", "two", "small")}
    expect(words["small"]).to_have_text("Sending")
    page.wait_for_timeout(300)
    expect(words["one"]).to_have_text("Sending")
    expect(words["two"]).to_have_text("Waiting for its turn")
    assert len(held) == 2
    for route in held:
        answer(route)
    expect(page.locator("#clean .get:visible")).to_have_count(3)


@pytest.mark.slow
def test_what_is_told_of_a_picture_has_its_room_before(visit: Visit):
    page = visit.open()
    held = holding(page)
    choose(page, file("a.png", NOISY))
    expect(page.locator("#clean .words")).to_have_text("Sending")
    page.wait_for_timeout(300)
    places = "() => [...document.querySelectorAll('#clean aside *, #clean .rows')].map((one) => one.offsetTop)"
    before = page.evaluate(places)
    held[0].continue_()
    expect(page.locator("#clean .facts")).to_contain_text("levels")
    assert page.evaluate(places) == before


def test_one_thing_is_the_first_to_do(visit: Visit):
    """To bring a picture; once there is one, to take it."""
    page = visit.open()
    page.wait_for_selector("#clean .samples img")
    primary = page.locator("#clean .primary:visible")
    assert primary.all_inner_texts() == ["Choose pictures"]
    choose(page, file("a.png", GREY))
    assert primary.all_inner_texts() == ["Download"]
    expect(page.locator("#clean .choose")).to_have_text("Add pictures")
    page.get_by_role("button", name="Remove a.png").click()
    assert primary.all_inner_texts() == ["Choose pictures"]


def test_where_to_drop_is_shown_while_files_are_dragged(visit: Visit):
    page = visit.open()
    page.wait_for_selector("#clean .samples img")
    landing = page.locator("#clean .landing")
    drag = """(kind) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File(["a"], "a.png"));
        document.body.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer}));
    }"""
    expect(landing).to_be_hidden()
    page.evaluate(drag, "dragover")
    expect(landing).to_be_visible()
    box = landing.bounding_box()
    assert box
    assert (box["width"], box["height"]) == (1280 - 24, 900 - 24)
    page.evaluate(drag, "dragleave")
    expect(landing).to_be_hidden()


def test_a_bar_whose_end_nobody_knows_moves(visit: Visit):
    page = visit.open()
    page.route("**/denoise?*", lambda route: None)
    choose(page, file("a.png", GREY))
    bar = page.locator("#clean .file.shown progress")
    expect(bar).to_be_visible()
    style = bar.evaluate("bar => [getComputedStyle(bar).backgroundImage, getComputedStyle(bar).animationName]")
    assert "gradient" in style[0]
    assert style[1] == "passing"


def test_the_samples_are_those_that_are_credited():
    credits = (SAMPLES / "README.md").read_text()
    there = {path.name for path in (Path(__file__).parents[2] / "service" / "web" / "samples").rglob("*.jpg")}
    assert {name for name in there if f"`{name}`" not in credits} == set()


def test_a_model_that_an_address_names_is_asked_for_the_picture_that_is_there(visit: Visit):
    page = visit.open("#clean")
    expect(page.locator("#clean .samples img").first).to_be_visible()
    expect(page.locator("#down")).to_be_hidden()
    choose(page, file("small.png", encoded(scene(12, 10, 3))))
    expect(page.locator("#clean .download")).to_be_enabled()

    def name(model: str) -> list[str]:
        return after_asking(page, lambda: page.evaluate("name => (location.hash = `clean?model=${name}`)", model))

    asked = name("tiny-denoise@1")
    assert any("model=tiny-denoise" in url for url in asked)
    expect(page.locator("#clean .facts")).to_contain_text("tiny-denoise@1")
    assert not [url for url in name("nosuchmodel") if "/denoise" in url]
    expect(page.locator("#lost")).to_contain_text("nosuchmodel")
