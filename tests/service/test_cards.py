"""Cards and contact sheets over HTTP."""

from pathlib import Path

import pytest
from answers import encoded
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
