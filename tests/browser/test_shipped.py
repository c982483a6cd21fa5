"""Each view with the models that ship: that what it shows is what it says."""

import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from conftest import SAMPLES, SHIPPED_PHOTO
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from serving import Server

from models import checkpoints
from models.catalog import SHIPPED

from .conftest import LEVELS, PATIENCE, Visit, visiting

pytestmark = pytest.mark.slow

REDS = f"picture => ({LEVELS})(picture).filter((_, place) => place % 4 === 0)"
RMS_OF_BRIDGE = 25
HEADLINE = re.compile(r"\d (dB|nats|% zeros|levels off|× the error|Fréchet distance)$")
MEASURED = checkpoints.metrics(SHIPPED / "photo")["sets"]["cbsd68"]["table"]


@pytest.fixture
def shipped(browser: Browser, real: Server):
    """A visitor of a server of the models that ship."""
    with visiting(browser, real.url) as visit:
        yield visit


def levels(page: Page, canvas: str) -> np.ndarray:
    """The red of what a canvas shows, 0 to 255."""
    return np.array(page.locator(canvas).first.evaluate(REDS))


def until_changed(page: Page, canvas: str, before: np.ndarray) -> None:
    """Waits till a canvas shows something else."""
    page.wait_for_function(
        f"([canvas, before]) => ({REDS})(document.querySelector(canvas)).join() !== before",
        arg=[canvas, ",".join(map(str, before))],
    )


def decibels(a: Path, b: Path) -> float:
    with Image.open(a) as one, Image.open(b) as other:
        difference = np.asarray(one.convert("RGB"), float) - np.asarray(other.convert("RGB"), float)
    return float(-10 * np.log10(np.mean(difference**2) / 255**2))


def test_a_noisy_photograph_comes_back_clean(shipped: Visit, tmp_path: Path):
    noisy, clean, got = SAMPLES / "bridge-noisy.png", SAMPLES / "bridge.jpg", tmp_path / "got.png"
    page = shipped.open("#clean?model=photo")
    page.wait_for_selector("#clean .samples img")
    page.locator("#clean input[type=file]").set_input_files(noisy)
    with page.expect_download() as download:
        page.locator("#clean aside").get_by_role("button", name="Download").click()
    download.value.save_as(got)
    facts = page.locator("#clean .facts")
    expect(facts).to_contain_text("photo@")
    measured = float(page.locator("#clean .told").first.inner_text().split(",")[0])
    assert measured == pytest.approx(RMS_OF_BRIDGE, abs=2)
    assert decibels(got, clean) > decibels(noisy, clean) + 7


def test_a_sample_loses_the_noise_of_a_camera(shipped: Visit, tmp_path: Path):
    page, got = shipped.open(), tmp_path / "got.jpg"
    page.get_by_role("button", name="Cat").click()
    with page.expect_download() as download:
        page.locator("#clean aside").get_by_role("button", name="Download").click()
    download.value.save_as(got)
    noisy = Path(__file__).parents[2] / "service" / "web" / "samples" / "cat.jpg"
    assert decibels(got, SAMPLES / "cat.jpg") > decibels(noisy, SAMPLES / "cat.jpg") + 2


def test_the_noise_asks_for_its_model_which_stays_when_a_level_is_set_and_for_the_next_picture_anew(shipped: Visit):
    page = shipped.open()
    facts, chosen = page.locator("#clean .facts"), page.locator("#clean aside").get_by_label("Model")
    page.get_by_role("button", name="Cat").click()
    expect(facts).to_contain_text("photo-real@", timeout=PATIENCE)
    assert chosen.input_value() == ""
    with page.expect_request(lambda asked: "sigma=20" in asked.url) as again:
        page.locator("#clean aside").get_by_label("Noise level").fill("20")
    assert "model=photo-real%40" in again.value.url
    page.locator("#clean input[type=file]").set_input_files(SAMPLES / "bridge-noisy.png")
    expect(facts).to_contain_text("photo@", timeout=PATIENCE)
    assert chosen.input_value() == ""


def test_every_model_that_draws_does(shipped: Visit):
    page = shipped.open("#dream?seed=7")
    choice = page.locator("#dream-settings select[name=model]")
    page.wait_for_selector("#wall .cell")
    titles = choice.locator("option").evaluate_all("options => options.map((option) => option.value)")
    assert {"digits-vae@2", "fashion-vae@2"} <= set(titles)
    for title in titles:
        choice.select_option(title)
        page.wait_for_url(f"**model={title.replace('@', '%40')}*")
        page.wait_for_load_state("networkidle")
        page.wait_for_selector("#wall .cell:nth-child(48)")
        shown = [tuple(one) for one in page.locator("#wall img").evaluate_all(f"images => images.map({REDS})")]
        assert len(set(shown)) == len(shown), title
        assert np.std(shown) > 20, title


def test_the_pad_shows_what_it_walks_through(shipped: Visit):
    page = shipped.open("#dream?model=digits-vae&seed=7&pick=3")
    page.wait_for_selector("#near .cell")
    page.wait_for_load_state("networkidle")
    before = levels(page, "#pad-picture")
    page.get_by_label("How far across").fill("2.5")
    until_changed(page, "#pad-picture", before)
    assert np.abs(levels(page, "#pad-picture") - before).mean() > 2


def test_a_grey_sky_turns_blue(shipped: Visit, tmp_path: Path):
    page, got = shipped.open("#colour"), tmp_path / "got.jpg"
    page.get_by_role("button", name="Mountain").click()
    with page.expect_download() as download:
        page.locator("#colour aside").get_by_role("button", name="Download").click()
    download.value.save_as(got)
    with Image.open(got) as coloured:
        sky = np.asarray(coloured.convert("RGB"), float)[:100, 300:].mean((0, 1))
    assert sky[2] > sky[0] + 15


def test_a_sparse_code_is_mostly_nought_and_makes_its_picture_again(shipped: Visit):
    page = shipped.open("#code?model=digits-sparse")
    page.wait_for_selector("#bars .bar")
    page.wait_for_function(f"() => ({REDS})(document.querySelector('#code-rebuilt')).some((level) => level > 200)")
    heights = page.locator("#bars .bar i").evaluate_all("bars => bars.map((bar) => bar.offsetHeight)")
    assert len(heights) == 256
    assert np.mean(np.array(heights) == 0) > 0.5
    expect(page.locator("#code-told")).to_contain_text("numbers are exactly 0")
    given, rebuilt = levels(page, "#code-picture"), levels(page, "#code-rebuilt")
    error = np.mean((given - rebuilt) ** 2)
    assert error < 0.1 * given.var()
    page.get_by_role("button", name="The five largest alone").click()
    until_changed(page, "#code-rebuilt", rebuilt)
    assert np.mean((given - levels(page, "#code-rebuilt")) ** 2) > 2 * error


def test_of_narrow_bars_the_nearest_that_is_not_0_is_meant(browser: Browser, real: Server):
    """For a thumb 256 bars on a phone are too narrow: the largest one's neighbour is tapped."""
    with visiting(browser, real.url, 360, 740, touch=True) as visit:
        page = visit.open("#code?model=digits-sparse")
        page.wait_for_selector("#bars .bar")
        heights = page.locator("#bars .bar i").evaluate_all("bars => bars.map((bar) => parseFloat(bar.style.height))")
        found = next(at for at in range(1, 255) if heights[at] and not heights[at - 1])
        page.locator("#bars").scroll_into_view_if_needed()
        box = page.locator("#bars .bar").nth(found - 1).bounding_box()
        assert box
        assert box["width"] < 2
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 50)
        expect(page.locator(f"#bar-{found}")).to_have_attribute("aria-selected", "false")


def test_each_model_has_its_headline_its_card_and_its_sheet(shipped: Visit):
    page = shipped.open("#models")
    page.wait_for_selector(".model")
    for model in page.locator(".model").all():
        model.scroll_into_view_if_needed()
        expect(model.locator(".sheet img")).to_be_visible(timeout=PATIENCE)
        expect(model.locator(".headline b")).to_have_text(
            re.compile(r"\d (dB|nats|% zeros|levels off|× the error|Fréchet distance)$")
        )
        expect(model.locator(".caption")).to_have_text(re.compile(r"\w.*\.$"))
        model.get_by_text("Card and figures").click()
        expect(model.get_by_role("heading", name="Measured", exact=True)).to_be_visible()
        assert model.get_by_role("table").count() + model.locator(".card li").count() > 0
    page.evaluate("() => scrollTo(0, 0)")
    below = "all => all.map((one) => one.querySelector('.sheet img').offsetTop - one.offsetTop)"
    assert max(page.locator(".model").evaluate_all(below)) <= 1, "the sheet of an open card begins at its top"
    at_25, at_5 = (next(row for row in MEASURED if row["sigma"] == level) for level in (25, 5))
    photo = page.get_by_role("article", name=SHIPPED_PHOTO)
    told = f"{at_25['estimated PSNR']:.1f} dB from {at_25['noisy PSNR']:.1f}, noise of 25 (cbsd68)"
    expect(photo.locator(".headline")).to_have_text(told)
    real = page.get_by_role("article", name="photo-real@")
    expect(real.locator(".headline")).to_have_text(re.compile(r"^[\d.]+ dB from [\d.]+, a camera's noise \(cbsd68\)$"))
    cells = photo.get_by_role("cell", name=f"{at_5['told PSNR']:.4g}", exact=True).first
    assert cells.evaluate("cell => getComputedStyle(cell).textAlign") == "right"


def test_sheets_of_photographs_are_light(shipped: Visit):
    page = shipped.page
    with page.expect_response(f"**/models/{quote(SHIPPED_PHOTO)}/sheet") as answer:
        shipped.open("#models")
        page.wait_for_selector(".model")
        page.get_by_role("article", name=SHIPPED_PHOTO).scroll_into_view_if_needed()
    assert answer.value.headers["content-type"] == "image/webp"
    assert len(answer.value.body()) < 150_000
