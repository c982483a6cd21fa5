"""The view of a VAE: its wall, what is around one of its pictures, the way between two, the pad, the address."""

import json
from pathlib import Path

import pytest
from conftest import stocked
from playwright.sync_api import Browser, Page, Request, Route, expect
from serving import Server, started

from .conftest import LEVELS, SMALL, Visit, holding, visiting

PLACE = "#dream?model=tiny-vae&seed=7&temperature=1"
LIVELIEST = """async () => {
    const {Pad} = await import("/static/page/pad.js");
    const {json} = await import("/static/page/service.js");
    const model = (await json("/models")).models.find(({name}) => name === "tiny-vae");
    const {codes} = await json("/codes?model=tiny-vae&seed=7&first=3&n=1");
    return Pad.prototype.liveliest(model, codes[0], new AbortController().signal);
}"""
CONTENT = f"picture => ({LEVELS})(picture).join()"
FIRST = f"(() => {{ const first = document.querySelector('#wall img'); return first && ({CONTENT})(first); }})()"


def cells(page: Page, host: str, count: int) -> list[str]:
    """What the first pictures of a wall show, when there are so many."""
    expect(page.locator(f"#{host} .cell").nth(count - 1)).to_be_attached()
    return page.locator(f"#{host} .cell").evaluate_all(f"cells => cells.map((cell) => ({CONTENT})(cell.firstChild))")[
        :count
    ]


def test_an_address_shows_the_same_pictures_to_everybody(visit: Visit):
    first = cells(visit.open(PLACE), "wall", 48)
    assert len(set(first)) == 48
    visit.page.goto("about:blank")
    assert cells(visit.open(PLACE), "wall", 48) == first


def test_where_an_answer_has_fewer_pictures_no_more_are_asked_for(browser: Browser, graphs: Path, tmp_path: Path):
    shelf = stocked(tmp_path / "shelf", SMALL)
    with (
        started(shelf, DENOIR_CACHE=str(graphs), DENOIR_MAX_SAMPLES="6") as server,
        visiting(browser, server.url) as visit,
    ):
        page = visit.open(PLACE)
        assert len(set(cells(page, "wall", 12))) == 12, "it grows by sixes"
        for number, title in ((1, "Around sample 1"), (2, "From 1 to 2")):
            page.locator("#wall .cell").nth(number).click()
            expect(page.locator("#near-title")).to_have_text(title)
            assert len(set(cells(page, "near", 6))) == 6
            expect(page.locator("#near .cell")).to_have_count(6)


@pytest.mark.slow
def test_another_seed_stands_in_the_address_and_has_other_pictures(visit: Visit):
    page = visit.open("#dream?model=tiny-vae")
    first = cells(page, "wall", 48)
    address = page.url
    assert "seed=" in address
    page.get_by_role("button", name="Another seed").click()
    expect(page).not_to_have_url(address)
    page.wait_for_function(f"before => {FIRST} !== before", arg=first[0])
    assert cells(page, "wall", 48)[0] != first[0]
    page.go_back()
    page.wait_for_function(f"before => {FIRST} === before", arg=first[0])


def settled(page: Page) -> int:
    """How many pictures the wall has once it has stopped growing by itself."""
    count = -1
    while (now := page.locator("#wall .cell").count()) != count or not now:
        count = now
        page.wait_for_timeout(700)
        expect(page.locator("#wall[aria-busy=true]")).to_have_count(0)
    return count


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1440, 900), (360, 740)])
def test_the_wall_grows_as_it_is_scrolled_by_pictures_that_go_on(
    browser: Browser, small: Server, size: tuple[int, int]
):
    """Each time that its end comes near, whether the page scrolls or the wall by itself, and no sooner."""
    with visiting(browser, small.url, *size) as visit:
        page = visit.open(PLACE)
        counts = [settled(page)]
        for _ in range(2):
            page.locator("#wall .cell").first.hover()
            for _ in range(30):
                page.mouse.wheel(0, 400)
                page.wait_for_timeout(30)
                if page.locator("#wall .cell").count() > counts[-1]:
                    break
            counts.append(settled(page))
        assert counts[0] < counts[1] < counts[2]
        shown = cells(page, "wall", counts[-1])
        assert len(set(shown)) == len(shown), "none comes twice"


@pytest.mark.slow
def test_a_wall_that_did_not_come_goes_on_when_it_is_told_to(refused: Visit):
    page, asked = refused.page, []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        return route.abort() if len(asked) == 1 else route.continue_()

    page.route("**/sample?*", answer)
    refused.open(PLACE)
    expect(page.locator("#wall-notice")).to_contain_text("The service does not answer")
    page.wait_for_timeout(500)
    assert len(asked) == 1, "not by itself"
    expect(page.locator("#near-notice")).to_be_hidden()
    page.get_by_role("button", name="More").click()
    cells(page, "wall", 48)
    expect(page.locator("#wall-notice")).to_be_hidden()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("model=nobody&seed=7", "There is no model “nobody”"),
        ("model=tiny-vae&seed=12345678901234567890", "no whole number of up to 18 digits"),
        ("model=tiny-vae&seed=7&pick=-4", "The link picks what is not on the wall"),
    ],
)
def test_what_a_link_names_that_there_is_not_is_told(visit: Visit, query: str, said: str):
    page = visit.open(f"#dream?{query}")
    cells(page, "wall", 48)
    expect(page.locator("#lost")).to_contain_text(said)
    expect(page.locator("#near-title")).to_have_text("Neighbours")
    page.get_by_role("button", name="Another seed").click()
    expect(page.locator("#lost")).to_be_hidden()


@pytest.mark.slow
def test_troubles_of_the_pad_and_of_the_neighbours_are_told_apart(refused: Visit):
    page = refused.open(PLACE)
    cells(page, "wall", 48)
    page.wait_for_load_state("networkidle")
    page.route("**/codes?*", lambda route: route.abort())
    page.get_by_role("button", name="Sample 3", exact=True).click()
    expect(page.locator("#near-notice")).to_contain_text("The service does not answer")
    page.get_by_role("button", name="More").click()
    settled(page)
    expect(page.locator("#near-notice")).to_be_visible()
    expect(page.locator("#pad-notice")).to_be_hidden()
    page.unroute("**/codes?*")
    page.locator("#near-notice").get_by_role("button", name="Try again").click()
    expect(page.locator("#near-notice")).to_be_hidden()
    cells(page, "near", 24)


@pytest.mark.slow
def test_the_pads_axes_are_the_liveliest_though_a_pick_comes_between(visit: Visit):
    page, held = visit.page, []
    page.route("**/decode", lambda route: held.append(route) if len(held) < 8 else route.continue_())
    visit.open(PLACE)
    cells(page, "wall", 48)
    while not any("codes" in (route.request.post_data or "") for route in held):
        page.wait_for_timeout(20)
    page.unroute("**/decode")
    with page.expect_request(lambda request: "/decode" in request.url and "codes" in (request.post_data or "")):
        page.get_by_role("button", name="Sample 3", exact=True).click()
    page.wait_for_load_state("networkidle")
    expect(page.locator("#near .cell")).to_have_count(24)
    page.wait_for_function("() => document.querySelectorAll('#pad-across-number option').length > 1")
    order = page.locator("#pad-across-number option").evaluate_all("all => all.map(({ value }) => Number(value))")
    assert order == page.evaluate(LIVELIEST)


def test_one_has_neighbours_and_two_have_a_way_between_them(visit: Visit):
    page = visit.open(PLACE)
    wall = cells(page, "wall", 48)
    page.get_by_role("button", name="Sample 3", exact=True).click()
    expect(page.get_by_role("heading", name="Around sample 3")).to_be_visible()
    near = cells(page, "near", 24)
    assert near[0] == wall[3]
    assert len(set(near)) == 24
    page.get_by_role("button", name="Sample 5", exact=True).click()
    expect(page.get_by_role("heading", name="From 3 to 5")).to_be_visible()
    page.wait_for_function(
        f"last => ({CONTENT})(document.querySelector('#near .cell:last-child img')) === last", arg=wall[5]
    )
    assert cells(page, "near", 24)[0] == wall[3]
    page.get_by_role("button", name="Sample 3", exact=True).click()
    expect(page.get_by_role("heading", name="Around sample 5")).to_be_visible()
    assert "pick=5" in page.url


def test_drawings_are_transparent(visit: Visit):
    page = visit.open("#dream?model=tiny-drawing&seed=7")
    cells(page, "wall", 48)
    shown = page.locator("#wall .cell img").evaluate_all(f"images => images.flatMap({LEVELS})")
    assert min(shown[3::4]) < 255
    cell, ground = page.locator("#wall .cell").first, "cell => getComputedStyle(cell).backgroundColor"
    grounds = [cell.evaluate(ground)]
    cell.click()
    expect(cell).to_have_attribute("aria-pressed", "true")
    grounds.append(cell.evaluate(ground))
    assert grounds == ["rgb(140, 138, 135)"] * 2, "on a grey that shows black and white, picked or not"


@pytest.mark.slow
def test_the_way_is_that_of_the_service(visit: Visit):
    """By its own words: /interpolate of two seeds, and the page's of the same two codes."""
    page = visit.open(PLACE)
    differences = page.evaluate(
        """async () => {
            const {way} = await import("/static/page/codes.js");
            const {json, decoded} = await import("/static/page/service.js");
            const code = async (seed) => (await json(`/codes?model=tiny-vae&n=1&seed=${seed}`)).codes[0];
            const codes = way(await code(3), await code(4), 5);
            const levels = async (blob) => {
                const bitmap = await createImageBitmap(blob);
                const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
                context.drawImage(bitmap, 0, 0);
                return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
            };
            const ours = await levels((await decoded("tiny-vae", codes)).blob);
            const theirs = await levels(await (await fetch("/interpolate?model=tiny-vae&from=3&to=4&steps=5")).blob());
            return Array.from(ours, (level, place) => Math.abs(level - theirs[place]));
        }"""
    )
    assert max(differences) <= 1
    assert len(differences) > 1000


@pytest.mark.slow
def test_the_pad_moves_two_numbers_of_a_code_by_pointer_and_by_sliders(visit: Visit):
    page = visit.open(PLACE)
    cells(page, "wall", 48)
    page.wait_for_load_state("networkidle")
    home = page.request.get(f"{visit.url}/codes?model=tiny-vae&seed=7&n=1").json()["codes"][0]
    across, down = (int(page.locator(f"#pad-{axis}-number").input_value()) for axis in ("across", "down"))
    box = page.locator("#pad-field").bounding_box()
    assert box

    def moved(request: Request) -> dict[int, float]:
        code = json.loads(request.post_data or "{}")["code"]
        return {at: code[at] - home[at] for at in range(len(home)) if code[at] != home[at]}

    with page.expect_request("**/decode") as asked:
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.25)
    assert moved(asked.value) == pytest.approx({across: 1.5, down: -1.5}, abs=0.1)
    with page.expect_request("**/decode") as asked:
        page.get_by_label("How far down").fill("2.5")
    assert moved(asked.value) == pytest.approx({across: 1.5, down: 2.5}, abs=0.1)
    expect(page.locator("#pad-picture")).to_have_attribute("width", "10")


@pytest.mark.slow
def test_of_the_codes_that_wait_only_the_latest_is_asked_for(visit: Visit):
    """And an answer that has been overtaken is not shown after a later one."""
    page = visit.open("#models")
    held = holding(page, "**/decode")
    page.evaluate(
        """async () => {
            const {Walk} = await import("/static/page/walk.js");
            window.shown = [];
            window.walk = new Walk((bitmap) => window.shown.push(bitmap.width), () => window.shown.push("wrong"));
            for (let step = 1; step <= 50; step += 1) window.walk.to("any", [step]);
        }"""
    )
    page.wait_for_timeout(300)
    asked = [json.loads(route.request.post_data or "{}")["code"][0] for route in held]
    assert asked == [1, 2, 3, 4], "a few are on their way, and the others wait"

    def answer(route: Route, width: int) -> None:
        grid = f"/sample?model=tiny-vae&n={width}&seed=1"
        route.fulfill(response=page.request.get(f"{visit.url}{grid}"))

    widths = {n: 14 if n == 1 else 26 for n in (1, 2)}
    answer(held[2], 2)
    page.wait_for_function("() => window.shown.length === 1")
    answer(held[0], 1)
    page.wait_for_function("() => window.walk.dropped === 46")
    assert page.evaluate("window.shown") == [widths[2]]
    page.wait_for_timeout(300)
    later = [json.loads(route.request.post_data or "{}")["code"][0] for route in held[4:]]
    assert later == [50]
    for route in (held[1], held[3], *held[4:]):
        answer(route, 1)


@pytest.mark.slow
def test_drifting_goes_on_by_itself_until_it_is_told_not_to(visit: Visit):
    page = visit.open(PLACE)
    cells(page, "wall", 48)
    drift = page.get_by_role("button", name="Drift")
    drift.click()
    expect(drift).to_have_attribute("aria-pressed", "true")
    before = page.get_by_label("How far across").input_value()
    page.wait_for_function("before => document.getElementById('pad-across').value !== before", arg=before)
    page.get_by_role("button", name="Back to the middle").click()
    expect(drift).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_label("How far across")).to_have_value("0")
