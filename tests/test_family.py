"""Every recipe, trained from the command line on a folder of one's own, of any height and width, and asked over HTTP
for all that it can be asked."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from answers import decoded, encoded, pictures, problem
from conftest import scene
from PIL import Image
from serving import started

from models import checkpoints
from models.cli import main
from models.recipes import RECIPES

HEIGHT, WIDTH = 22, 30
GENERAL = ("colorize", "denoise", "digits-hvae", "dropout", "photo", "sparse", "vae")
"""One recipe of each architecture and way of looking; the others are these with settings of their own."""


def trained(recipe: str, mode: str, folder: Path, shelf: Path) -> None:
    """By the command line: few steps of a small network."""
    size = "8" if RECIPES[recipe].crop else f"{WIDTH}x{HEIGHT}"
    asked = ["train", recipe, "--data", folder, "--name", f"{recipe}-{mode.lower()}", "--steps", 2, "--batch", 2]
    asked += ["--size", size, "--set", "widths=[4, 8]", "--compile", "off", "--quiet"]
    asked += ["--set", "blocks=1"] if recipe.startswith("photo") else []
    assert main(["--shelf", str(shelf), *map(str, asked)]) == 0


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What comes of each recipe by a folder of pictures in colour, and of grey ones where colour isn't the point."""
    shelf = tmp_path_factory.mktemp("family")
    for mode in ("RGB", "L"):
        folder = tmp_path_factory.mktemp(mode)
        for number, size in enumerate([(33, 21), (17, 50), (64, 19), (25, 25)]):
            Image.fromarray(scene(*size, number)).convert(mode).save(folder / f"{number}.png")
        for recipe in GENERAL:
            if (recipe, mode) != ("colorize", "L"):
                trained(recipe, mode, folder, shelf)
    return shelf


@pytest.fixture(scope="module")
def client(shelf: Path) -> Iterator[httpx2.Client]:
    with started(shelf) as server, httpx2.Client(base_url=server.url, timeout=60) as client:
        yield client


def gotten(client: httpx2.Client, path: str, name: str, **asked: Any) -> list[Image.Image]:
    """The pictures of an answer, one by one."""
    response = client.get(path, params={"model": name, "format": "zip"} | asked)
    assert response.status_code == 200, response.text
    found = [decoded(data) for data in pictures(response).values()]
    assert {one.size for one in found} == {(WIDTH, HEIGHT)}
    return found


def posted(client: httpx2.Client, path: str, name: str, size: tuple[int, int]) -> httpx2.Response:
    response = client.post(path, params={"model": name}, content=encoded(scene(*size, 9)))
    assert response.status_code == 200, response.text
    return response


def denoised(client: httpx2.Client, name: str) -> None:
    size = (41, 57) if name.startswith("photo") else (HEIGHT, WIDTH)
    assert decoded(posted(client, "/denoise", name, size).content).size == size[::-1]


def colorized(client: httpx2.Client, name: str) -> None:
    assert decoded(posted(client, "/colorize", name, (41, 57)).content).size == (57, 41)


def rebuilt(client: httpx2.Client, name: str) -> None:
    assert decoded(posted(client, "/reconstruct", name, (41, 57)).content).size == (WIDTH, HEIGHT)


def coded(client: httpx2.Client, name: str) -> None:
    answer = posted(client, "/encode", name, (HEIGHT, WIDTH)).json()
    assert np.isfinite(answer["code"]).all()
    assert answer["zeros"] == pytest.approx(np.mean(np.array(answer["code"]) == 0))


def undone(client: httpx2.Client, name: str) -> None:
    code = posted(client, "/encode", name, (HEIGHT, WIDTH)).json()["code"]
    response = client.post("/decode", json={"model": name, "code": code})
    assert response.status_code == 200, response.text
    assert decoded(response.content).size == (WIDTH, HEIGHT)
    for wrong, slug in ((code[1:], "wrong-code"), ([*code[1:], math.inf], "invalid-parameter")):
        as_json = {"Content-Type": "application/json"}
        response = client.post("/decode", content=json.dumps({"model": name, "code": wrong}), headers=as_json)
        problem(response, 422, slug)


def drawn(client: httpx2.Client, name: str) -> None:
    assert len(gotten(client, "/sample", name, n=3)) == 3


def walked(client: httpx2.Client, name: str) -> None:
    assert len(gotten(client, "/interpolate", name, **{"from": 1, "to": 2, "steps": 3})) == 3


def crossed(client: httpx2.Client, name: str) -> None:
    assert len(gotten(client, "/traverse", name, seed=1, steps=3)) == 3


ANSWERS: dict[str, Callable[[httpx2.Client, str], None]] = {
    "denoise": denoised,
    "colorize": colorized,
    "reconstruct": rebuilt,
    "encode": coded,
    "decode": undone,
    "sample": drawn,
    "interpolate": walked,
    "traverse": crossed,
}


def test_each_answers_all_that_it_can_be_asked(shelf: Path, client: httpx2.Client):
    for folder in sorted(shelf.glob("*-*")):
        described = checkpoints.describe(folder)
        assert described.config.get("channels", 3) == (1 if folder.name.endswith("-l") else 3)
        for ask in described.asks:
            ANSWERS[ask](client, folder.name)


def test_what_one_cannot_do_is_told_with_what_it_can(shelf: Path, client: httpx2.Client):
    for folder in sorted(shelf.glob("*-*")):
        asks = checkpoints.describe(folder).asks
        for ask in {"denoise", "colorize", "reconstruct", "encode"} - set(asks):
            response = client.post(f"/{ask}", params={"model": folder.name}, content=encoded(scene(HEIGHT, WIDTH, 9)))
            told = problem(response, 409, "wrong-model")
            assert all(able in json.dumps(told) for able in asks)


def test_a_size_that_no_model_of_one_size_takes_is_refused_by_denoise(client: httpx2.Client):
    response = client.post("/denoise", params={"model": "denoise-rgb"}, content=encoded(scene(HEIGHT + 1, WIDTH, 9)))
    told = problem(response, 422, "wrong-size")
    assert (told["width"], told["height"]) == (WIDTH, HEIGHT)
