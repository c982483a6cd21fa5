"""Colour, Code and Models, and what the page says where there is no model for a view; with small untrained models."""

import numpy as np
import pytest
from answers import encoded
from conftest import scene
from playwright.sync_api import Page, Route, expect

from .conftest import FAMILY, Visit, holding

pytestmark = pytest.mark.slow

ONE, OTHER = encoded(scene(24, 20, 2)), encoded(scene(36, 30, 2))
"""Told apart on the page by their sizes, also from the models' own pictures, which are 10 x 12."""


def bring(page: Page, picture: bytes) -> None:
    """Chooses a file to be encoded."""
    page.locator("#code-settings input[type=file]").set_input_files(
        [{"name": "a.png", "mimeType": "image/png", "buffer": picture}]  # type: ignore[arg-type]
    )


def shows(page: Page, width: int, numbers: int) -> None:
    """Waits till a picture of that width stands beside a code of so many numbers, and nothing more is asked for."""
    expect(page.locator("#code-picture")).to_have_attribute("width", str(width))
    expect(page.locator("#bars .bar")).to_have_count(numbers)
    page.wait_for_load_state("networkidle")


def test_a_grey_picture_gets_colours(visit: Visit):
    page = visit.open("#colour")
    page.get_by_role("button", name="Mountain").click()
    expect(page.locator("#colour .facts")).to_contain_text("480 × 300")
    with page.expect_download() as download:
        page.locator("#colour aside").get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "mountain-colour.jpg"


def test_a_picture_that_has_colours_is_shown_without_them_before(visit: Visit):
    page = visit.open("#colour")
    red = encoded(np.full((60, 60, 3), (200, 30, 30), np.uint8))
    files = [{"name": "red.png", "mimeType": "image/png", "buffer": red}]
    page.locator("#colour input[type=file]").set_input_files(files)  # type: ignore[arg-type]
    page.wait_for_selector("#colour .stage.whole")
    left = page.locator("#colour .view canvas").evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(canvas.width * 0.45, canvas.height / 2, 1, 1).data]"
    )
    grey = round(0.299 * 200 + 0.587 * 30 + 0.114 * 30)
    assert max(left[:3]) - min(left[:3]) <= 1
    assert abs(left[0] - grey) <= 2


def test_a_code_is_bars_that_can_be_left_out(visit: Visit):
    page = visit.open("#code?model=tiny-sparse")
    bars = page.get_by_role("listbox", name="The code")
    bring(page, ONE)
    expect(bars.get_by_role("option")).to_have_count(20)
    code = page.request.post(f"{visit.url}/encode?model=tiny-sparse", data=ONE).json()["code"]
    expect(page.locator("#code-told")).to_contain_text("20 numbers")

    with page.expect_request("**/decode") as asked:
        bars.get_by_role("option").nth(4).click()
    assert asked.value.post_data_json["code"] == [0 if at == 4 else value for at, value in enumerate(code)]
    bars.focus()
    bars.press("Home")
    with page.expect_request("**/decode") as asked:
        bars.press("Enter")
    assert asked.value.post_data_json["code"][0] == 0
    largest = sorted(range(20), key=lambda at: -abs(code[at]))[:5]
    with page.expect_request("**/decode") as asked:
        page.get_by_role("button", name="The five largest alone").click()
    assert asked.value.post_data_json["code"] == [value if at in largest else 0 for at, value in enumerate(code)]
    with page.expect_request("**/decode") as asked:
        page.get_by_role("button", name="All of them").click()
    assert asked.value.post_data_json["code"] == code


def test_ones_own_picture_is_taken_by_the_next_model_too(visit: Visit):
    page = visit.open("#code?model=tiny-sparse")
    shows(page, 10, 20)
    bring(page, ONE)
    shows(page, 20, 20)
    assert page.locator("#code-settings input[type=file]").input_value() == "", "the same file can be chosen once more"
    page.locator("#code-settings select").select_option("tiny-vae@1")
    shows(page, 20, 5)
    code = page.request.post(f"{visit.url}/encode?model=tiny-vae", data=ONE).json()["code"]
    bars = page.locator("#bars .bar").evaluate_all("all => all.map((one) => one.ariaLabel.split(': ')[1])")
    assert [float(bar) for bar in bars] == pytest.approx(code, rel=0.01)


def test_where_a_models_own_picture_was_taken_last_the_next_model_begins_with_its_own(visit: Visit):
    page = visit.open("#code?model=tiny-sparse")
    shows(page, 10, 20)
    bring(page, ONE)
    shows(page, 20, 20)
    page.locator("#code-given .cell").nth(1).click()
    shows(page, 10, 20)
    with page.expect_request("**/encode?model=tiny-vae*") as asked:
        page.locator("#code-settings select").select_option("tiny-vae@1")
    assert asked.value.post_data_buffer != ONE
    shows(page, 10, 5)


def with_one_under_way(visit: Visit) -> tuple[Page, list[Route]]:
    """The Code view, ONE brought to it, and what rebuilds that held back."""
    page = visit.open("#code?model=tiny-sparse")
    shows(page, 10, 20)
    held = holding(page, "**/reconstruct?*", times=1)
    with page.expect_request("**/reconstruct?*"):
        bring(page, ONE)
    return page, held


def test_of_two_pictures_the_one_taken_last_is_shown(visit: Visit):
    page, held = with_one_under_way(visit)
    bring(page, OTHER)
    shows(page, 30, 20)
    held[0].fulfill(body=ONE, content_type="image/png")
    page.wait_for_timeout(500)
    shows(page, 30, 20)
    code = page.request.post(f"{visit.url}/encode?model=tiny-sparse", data=OTHER).json()["code"]
    with page.expect_request("**/decode") as asked:
        page.locator("#bars .bar").nth(4).click()
    assert asked.value.post_data_json["code"] == [0 if at == 4 else value for at, value in enumerate(code)]


def test_a_code_is_decoded_by_the_model_that_made_it(visit: Visit):
    """Also where another model was chosen that has not answered yet, or can't."""
    page, held = with_one_under_way(visit)
    holding(page, "**/encode?*")
    page.locator("#code-settings select").select_option("tiny-vae@1")
    held[0].fulfill(body=ONE, content_type="image/png")
    page.wait_for_timeout(500)
    with page.expect_response("**/decode") as answer:
        page.locator("#bars .bar").nth(4).click()
    assert answer.value.request.post_data_json["model"] == "tiny-sparse@1"
    assert answer.value.status == 200


def test_a_drawing_of_ones_own_is_encoded(visit: Visit):
    page = visit.open("#code?model=tiny-vae")
    page.get_by_role("button", name="Draw one").click()
    box = page.locator("#easel canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 180, steps=4)
    page.mouse.up()
    with page.expect_response("**/encode?*") as answer:
        page.locator("#easel").get_by_role("button", name="Use it").click()
    assert answer.value.status == 200
    page.wait_for_function(
        """() => {
            const canvas = document.getElementById("code-picture");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return data.filter((level, place) => place % 4 === 0 && level > 200).length > 1000;
        }"""
    )


def test_each_model_has_its_facts_and_its_card(visit: Visit):
    page = visit.open("#models")
    page.wait_for_selector(".model")
    names = page.locator(".model h2").all_inner_texts()
    assert set(names) == {f"{name}@1" for name in FAMILY}
    vae = page.locator(".model", has_text="tiny-vae@1")
    expect(vae).to_contain_text("10 × 12 pixels")
    vae.get_by_text("Card and figures").click()
    expect(vae).to_contain_text("It has not been evaluated")
    vae.get_by_role("link", name="sample").click()
    expect(page.locator("#dream-settings select[name=model]")).to_have_value("tiny-vae@1")


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ("colour", "No model that is loaded here can colour pictures."),
        ("dream", "No model that is loaded here can draw pictures."),
        ("code", "No model that is loaded here has a code to be shown."),
        ("clean", "No model that is loaded here can take noise out of pictures."),
    ],
)
def test_what_isnt_loaded_is_explained(visit: Visit, view: str, said: str):
    visit.page.route("**/models", lambda route: route.fulfill(json={"models": [], "most": 64}))
    page = visit.open(f"#{view}")
    expect(page.locator(f"#{view} .notice:visible")).to_contain_text(said)
    assert not page.locator(f"#{view} input[type=file]:visible").count()


def test_a_card_that_did_not_come_is_asked_for_again(refused: Visit):
    page, asked = refused.page, []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            return route.abort()
        return route.fulfill(
            content_type="text/markdown", body="---\na: b\n---\n# t@1\n\n## Measured\n\n| a |\n| --- |\n| 7 |\n"
        )

    page.route("**/card", answer)
    page.route("**/models/*", lambda route: route.fulfill(json={"metrics": {"PSNR": 1}}))
    model = refused.open("#models").locator(".model", has_text="tiny-photo@1")
    summary = model.get_by_text("Card and figures")
    summary.click()
    expect(model).to_contain_text("The service does not answer")
    summary.click()
    summary.click()
    expect(model.get_by_role("cell", name="7")).to_be_visible()
    expect(model.get_by_role("heading", name="Measured")).to_be_visible()
    summary.click()
    summary.click()
    page.wait_for_timeout(200)
    assert len(asked) == 2, "what has come is kept"
