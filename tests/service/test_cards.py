"""Cards and contact sheets over HTTP."""

from pathlib import Path

import numpy as np
import pytest
from answers import decoded, encoded
from conftest import scene
from starlette.testclient import TestClient

CARD = "---\nlicense: none\n---\n# tiny-vae@1\n\nGrüße\n"


@pytest.fixture
def evaluated(client: TestClient, shelf: Path) -> Path:
    """The folder of a model that has both."""
    folder = shelf / "tiny-vae"
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "sheet.png").write_bytes(encoded(scene(20, 30, 0)))
    return folder


@pytest.mark.parametrize("name", ["tiny-vae", "tiny-vae@1"])
def test_a_model_has_a_card_and_a_sheet(client: TestClient, evaluated: Path, name: str):
    card = client.get(f"/models/{name}/card")
    assert card.headers["content-type"] == "text/markdown; charset=utf-8"
    assert card.text == CARD
    sheet = client.get(f"/models/{name}/sheet")
    assert sheet.headers["content-type"] == "image/png"
    assert sheet.content == (evaluated / "sheet.png").read_bytes()


@pytest.mark.parametrize(("side", "came"), [(30, "image/png"), (300, "image/webp")])
def test_a_heavy_sheet_is_light_for_who_asks(client: TestClient, evaluated: Path, side: int, came: str):
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    (evaluated / "sheet.png").write_bytes(lies := encoded(noise))
    asked, other = (client.get("/models/tiny-vae/sheet", headers={"Accept": one}) for one in ("image/webp", "*/*"))
    assert other.content == lies
    assert asked.headers["content-type"] == came
    assert asked.headers["vary"] == other.headers["vary"] == "Accept"
    assert len(asked.content) <= len(lies)
    assert decoded(asked.content).size == (side, side)


def test_a_sheet_that_cant_be_read_comes_as_it_lies(client: TestClient, evaluated: Path):
    (evaluated / "sheet.png").write_bytes(lies := b"no picture" * 20_000)
    assert client.get("/models/tiny-vae/sheet", headers={"Accept": "image/webp"}).content == lies


@pytest.mark.parametrize("what", ["card", "sheet"])
@pytest.mark.parametrize(
    ("name", "slug"),
    [("tiny-photo", "not-evaluated"), ("none", "unknown-model"), ("..", "not-found"), ("%2e%2e", "unknown-model")],
)
def test_what_there_is_not_is_told(client: TestClient, what: str, name: str, slug: str):
    answer = client.get(f"/models/{name}/{what}")
    assert answer.status_code == 404
    assert answer.json()["type"] == f"urn:denoir:{slug}"
    assert "/" not in answer.json()["detail"]


def test_the_api_tells_of_them(client: TestClient):
    paths = client.get("/openapi.json").json()["paths"]
    assert "text/markdown" in paths["/models/{name}/card"]["get"]["responses"]["200"]["content"]
    assert "image/png" in paths["/models/{name}/sheet"]["get"]["responses"]["200"]["content"]
