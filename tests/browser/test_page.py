"""The page as a whole: for who sees it and who doesn't, by keyboard alone, with a key, on a narrow screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from answers import encoded
from axe_playwright_python.sync_playwright import Axe
from conftest import scene, stocked
from playwright.sync_api import Browser, Page, Request, expect
from serving import Server, started

from .conftest import SMALL, WIDTHS, Visit, visiting

VIEWS = ("clean", "dream", "colour", "code", "models", "credits")
KEY = "a-key-of-sixteen-letters"
WIRE = 75_000
TOUCHED = "main :is(button, select, summary, input:not(.apart), label.button)"
SMALL_TARGETS = """all => all
    .filter((one) => one.offsetParent && !one.matches(".cell"))
    .map((one) => [one.className, one.innerText, one.offsetWidth, one.offsetHeight])
    .filter(([, , width, height]) => width < 44 || height < 44)"""


def findings(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:150]}" for one in found]


def overflow(page: Page) -> int:
    return page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")


def with_work(page: Page) -> None:
    """Brings a picture and waits till it is clean."""
    good, bad = encoded(scene(90, 120, 3)), b"no picture"
    files = [
        {"name": f"{name}.png", "mimeType": "image/png", "buffer": data} for name, data in (("a", good), ("b", bad))
    ]
    page.locator("#clean input[type=file]").set_input_files(files)  # type: ignore[arg-type]
    page.wait_for_selector("#clean .stage.whole")
    page.wait_for_selector("#clean .file.bad")


def test_axe_finds_nothing_and_nothing_sticks_out(refused: Visit):
    page = refused.open()
    with_work(page)
    for view in VIEWS:
        page.evaluate("view => (location.hash = view)", view)
        page.locator(f"#{view}-title").wait_for()
        page.wait_for_load_state("networkidle")
        assert findings(page) == [], view
        assert overflow(page) <= 0, view


def cleaned(visit: Visit) -> Page:
    page = visit.open()
    with_work(page)
    return page


def dreamt(visit: Visit) -> Page:
    page = visit.open("#dream?model=digits-vae&seed=7&pick=3&pick=5")
    page.wait_for_selector("#near .cell")
    return page


def coded(visit: Visit) -> Page:
    page = visit.open("#code")
    page.wait_for_selector("#bars .bar")
    return page


def coloured(visit: Visit) -> Page:
    page = visit.open("#colour")
    page.get_by_role("button", name="Bridge").click()
    page.wait_for_selector("#colour .stage.whole")
    return page


def listed(visit: Visit) -> Page:
    page = visit.open("#models")
    page.wait_for_selector(".model")
    for summary in page.locator(".model summary").all():
        summary.click()
    for filled in (".sheet img", ".card[data-filled]"):
        expect(page.locator(filled)).to_have_count(page.locator(".model").count())
    return page


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_with_all_there_is_to_see(browser: Browser, real: Server, scheme: str):
    with visiting(browser, real.url, scheme=scheme, refusals=True) as visit:
        for bring in (cleaned, dreamt, coded, coloured, listed):
            page = bring(visit)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                assert overflow(page) <= 0, (bring.__name__, width)
                if width in (min(WIDTHS), max(WIDTHS)):
                    assert findings(page) == [], (bring.__name__, width)


@pytest.mark.slow
def test_it_is_used_with_a_thumb(browser: Browser, small: Server):
    """On a phone nothing sticks out, and what is touched is as large as WCAG 2.5.5 has it, but pictures."""
    with visiting(browser, small.url, 360, 740, touch=True, refusals=True) as visit:
        page = visit.open()
        with_work(page)
        for view in VIEWS:
            page.evaluate("view => (location.hash = view)", view)
            page.locator(f"#{view}-title").wait_for(state="attached")
            page.wait_for_load_state("networkidle")
            assert overflow(page) <= 0, view
            assert page.locator(TOUCHED).evaluate_all(SMALL_TARGETS) == [], view


def test_tab_goes_as_one_sees_it(visit: Visit):
    """What comes later on the page stands below what comes before."""
    page = visit.open()
    files = [{"name": "a.png", "mimeType": "image/png", "buffer": encoded(scene(90, 120, 3))}]
    page.locator("#clean input[type=file]").set_input_files(files)  # type: ignore[arg-type]
    page.wait_for_selector("#clean .stage.whole")
    stops = page.locator("#clean :is(.view, .download, .show, .choose, .samples button)")
    tops = stops.evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
    assert len(tops) == 8
    assert tops[0] == min(tops)
    assert tops[2:] == sorted(tops[2:])
    assert tops[2] > max(tops[:2])


def test_it_is_light(browser: Browser, small: Server):
    """By what goes over the wire: text comes packed."""
    texts: list[Request] = []
    with visiting(browser, small.url) as visit:
        visit.page.on("requestfinished", lambda request: texts.append(request))
        page = visit.open()
        for view in VIEWS:
            page.evaluate("view => (location.hash = view)", view)
            page.wait_for_load_state("networkidle")
        answers = [(request.response(), request.sizes()["responseBodySize"]) for request in texts]
        sizes = [size for answer, size in answers if answer and told_as_text(answer.headers)]
    assert 20_000 < sum(sizes) < WIRE


def told_as_text(headers: dict[str, str]) -> bool:
    return not headers["content-type"].startswith("image/")


def until_focused(page: Page, name: str, most: int = 60) -> None:
    """Goes on by Tab to what is called so."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if (
            page.evaluate("() => document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
            == name
        ):
            return
    raise AssertionError(f"{name} is not reached by Tab")


def test_a_sample_is_cleaned_looked_at_and_taken_by_keyboard_alone(visit: Visit):
    page = visit.open()
    page.wait_for_selector("#clean .samples img")
    until_focused(page, "Coffee, a photograph by Rachel Michetti")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("coffee.jpg is done")
    page.locator("body").press("Control+Home")
    page.evaluate("() => document.activeElement.blur()")
    until_focused(page, "Before and after")
    page.keyboard.press("Home")
    expect(page.get_by_role("slider", name="Before and after")).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("+")
    expect(page.locator("#clean .view")).to_have_class("view near")
    page.keyboard.press("0")
    expect(page.locator("#clean .view")).to_have_class("view")
    until_focused(page, "Download")
    with page.expect_download():
        page.keyboard.press("Enter")
    until_focused(page, "Remove coffee.jpg")
    page.keyboard.press("Enter")
    expect(page.locator("#clean .rows")).to_be_hidden()
    assert page.evaluate("() => document.activeElement.type") == "file"


@pytest.mark.slow
def test_a_wall_without_end_is_one_stop_of_the_keyboard(visit: Visit):
    page = visit.open("#dream?model=tiny-vae&seed=7")
    page.wait_for_selector("#wall .cell")
    assert page.locator("#wall [tabindex='0']").count() == 1
    until_focused(page, "Sample 0")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Around sample 0")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.get_by_role("heading", name="From 0 to 1")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    until_focused(page, "More", most=1)
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("() => document.activeElement.dataset.number") == "1"
    until_focused(page, "Credits")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Credits.")).to_be_focused()


@pytest.mark.slow
def test_a_code_is_walked_through_by_keyboard(visit: Visit):
    page = visit.open("#code?model=tiny-sparse")
    page.locator("#code-settings input[type=file]").set_input_files(
        [{"name": "a.png", "mimeType": "image/png", "buffer": encoded(scene(12, 10, 2))}]  # type: ignore[arg-type]
    )
    page.wait_for_selector("#bars .bar")
    until_focused(page, "The code")
    page.keyboard.press("End")
    expect(page.locator("#bar-told")).to_contain_text("number 19")
    page.keyboard.press("Space")
    expect(page.locator("#bar-19")).to_have_attribute("aria-selected", "false")
    until_focused(page, "All of them")
    page.keyboard.press("Enter")
    expect(page.locator("#bar-19")).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("place", ["#nothing", "#main", "#constructor"])
def test_an_address_that_names_no_view_shows_the_first(visit: Visit, place: str):
    page = visit.open(place)
    expect(page.get_by_role("button", name="Cat")).to_be_visible()
    page.evaluate("() => (location.hash = 'credits')")
    expect(page.get_by_role("heading", name="Credits.")).to_be_visible()
    page.evaluate("() => (location.hash = 'main')")
    page.wait_for_timeout(200)
    expect(page.get_by_role("heading", name="Credits.")).to_be_visible()
    page.evaluate("() => (location.hash = 'nothing')")
    expect(page.get_by_role("button", name="Cat")).to_be_visible()


@pytest.mark.slow
def test_who_comes_to_another_view_is_taken_to_its_heading(visit: Visit):
    page = visit.open()
    page.get_by_role("link", name="Models", exact=True).click()
    assert page.evaluate("() => document.activeElement.id") == "models-title"
    assert page.title() == "Models · denoir"
    expect(page.locator("nav [aria-current]")).to_have_text("Models")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, graphs: Path) -> Iterator[Server]:
    """A server that asks for a key."""
    shelf = stocked(tmp_path_factory.mktemp("locked"), SMALL)
    with started(shelf, DENOIR_CACHE=str(graphs), DENOIR_API_KEYS=KEY) as server:
        yield server


@pytest.mark.slow
def test_a_key_is_asked_for_once_and_sent_with_all(browser: Browser, locked: Server):
    with visiting(browser, locked.url, refusals=True) as visit:
        page = visit.open()
        dialog = page.get_by_role("dialog", name="A key, please")
        dialog.get_by_label("Key").fill("a-wrong-one-of-sixteen")
        dialog.get_by_role("button", name="Use it").click()
        expect(dialog).to_contain_text("does not know that key")
        assert findings(page) == []
        dialog.get_by_label("Key").fill(KEY)
        dialog.get_by_role("button", name="Use it").click()
        expect(dialog).to_be_hidden()
        with_work(page)
        page.evaluate("() => (location.hash = 'dream?seed=3')")
        page.wait_for_selector("#wall .cell")
        page.reload()
        page.wait_for_selector("#wall .cell")
        expect(dialog).to_be_hidden()
        assert page.evaluate("() => [localStorage.length, document.cookie]") == [0, ""]


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong", ["a-key-of-sixteen…", "a-key\u200b-of-sixteen-letters", "a-key-of-sixteen’s", "a key of sixteen"]
)
def test_what_cant_be_sent_as_a_key_is_refused_and_another_asked_for(browser: Browser, locked: Server, wrong: str):
    with visiting(browser, locked.url, refusals=True) as visit:
        page = visit.open()
        dialog = page.get_by_role("dialog", name="A key, please")
        expect(dialog).to_contain_text("This service answers those who have a key")
        dialog.get_by_label("Key").fill(wrong)
        dialog.get_by_role("button", name="Use it").click()
        expect(dialog).to_contain_text("That can’t be a key")
        expect(dialog.get_by_label("Key")).to_have_value("")
        assert page.evaluate("() => sessionStorage.length") == 0
        dialog.get_by_label("Key").fill(f" {KEY} ")
        dialog.get_by_role("button", name="Use it").click()
        page.wait_for_selector("#clean .samples img")
        expect(dialog).to_be_hidden()


@pytest.mark.slow
def test_what_was_kept_and_cant_be_sent_as_a_key_is_as_good_as_none(browser: Browser, locked: Server):
    with visiting(browser, locked.url, refusals=True) as visit:
        visit.page.add_init_script("sessionStorage.setItem('denoir-key', 'a-key-of-sixteen…')")
        page = visit.open()
        dialog = page.get_by_role("dialog", name="A key, please")
        expect(dialog).to_contain_text("This service answers those who have a key")
        dialog.get_by_label("Key").fill(KEY)
        dialog.get_by_role("button", name="Use it").click()
        page.wait_for_selector("#clean .samples img")


@pytest.mark.slow
def test_who_has_no_key_is_told_what_to_do(browser: Browser, locked: Server):
    with visiting(browser, locked.url, refusals=True) as visit:
        page = visit.open()
        page.get_by_role("dialog").get_by_role("button", name="Not now").click()
        expect(page.get_by_role("alert")).to_contain_text("asks for a key")
        page.get_by_role("alert").get_by_role("button", name="Try again").click()
        page.get_by_role("dialog").get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("#clean .samples img")
        expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.slow
def test_the_description_is_shown_to_who_has_the_key(browser: Browser, locked: Server):
    with visiting(browser, locked.url, refusals=True) as visit:
        page = visit.open()
        page.get_by_role("dialog").get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("#clean .samples img")
        page.get_by_role("link", name="The API").click()
        expect(page.locator(".opblock-summary-path").first).to_be_visible()
        assert page.locator(".opblock-summary-path").count() > 10
        assert overflow(page) <= 0
        expect(page.get_by_role("dialog")).to_be_hidden()
        page.evaluate("() => sessionStorage.clear()")
        page.reload()
        page.get_by_role("dialog").get_by_role("button", name="Not now").click()
        expect(page.get_by_role("status")).to_contain_text("asks for a key")
        page.get_by_role("button", name="Try again").click()
        page.get_by_role("dialog").get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.locator(".opblock-summary-path").first).to_be_visible()
