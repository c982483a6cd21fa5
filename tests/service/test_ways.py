"""Ways through codes, from picture to picture and along directions, through the whole application."""

import numpy as np
import pytest
from answers import decoded, encoded, problem
from conftest import scene
from starlette.testclient import TestClient

from models.sampling import grid
from tests.service.drawing import FITTING, HEIGHT, WIDTH, frames, get, post, singles


def test_the_ends_of_a_way_are_the_pictures_of_the_two_seeds(client: TestClient):
    ends = [singles(get(client, "/sample", n=1, seed=seed, format="zip"))[0] for seed in (7, 8)]
    for path in ("sphere", "straight"):
        response = get(client, "/interpolate", **{"from": 7, "to": 8}, steps=5, path=path, format="zip")
        assert (response.headers["denoir-from"], response.headers["denoir-to"]) == ("7", "8")
        way = singles(response)
        assert len(way) == 5
        assert np.array_equal([way[0], way[-1]], ends)


def test_the_two_paths_differ_and_one_picture_does_not_depend_on_the_form(client: TestClient):
    asked = {"from": 7, "to": 8, "steps": 5}
    round_way, straight = (
        singles(get(client, "/interpolate", **asked, path=p, format="zip")) for p in ("sphere", "straight")
    )
    assert not np.array_equal(round_way[2], straight[2])
    assert np.array_equal(frames(get(client, "/interpolate", **asked, format="webp").content), round_way)
    sheet = grid(np.stack(round_way)[..., None])[..., 0]
    assert np.array_equal(decoded(get(client, "/interpolate", **asked).content), sheet)


def test_ends_that_are_not_given_are_drawn_and_told(client: TestClient):
    first = get(client, "/interpolate", steps=3)
    ends = {"from": first.headers["denoir-from"], "to": first.headers["denoir-to"]}
    assert ends["from"] != ends["to"]
    assert get(client, "/interpolate", steps=3, **ends).content == first.content


def test_the_way_between_two_pictures_ends_at_their_reconstructions(client: TestClient):
    other = encoded(255 - scene(40, 30, 1))
    response = client.post(
        "/interpolate?model=tiny-vae&steps=4&format=zip",
        files={"from": ("../a.png", FITTING, "text/html"), "to": ("b.png", other)},
    )
    way = singles(response)
    ends = [np.asarray(decoded(post(client, "/reconstruct", data).content)) for data in (FITTING, other)]
    assert np.abs(np.stack([way[0], way[-1]]).astype(int) - np.stack(ends)).max() <= 1
    assert "denoir-fitted-from" not in response.headers
    assert response.headers["denoir-fitted-to"] == "30x40 to 9x12+0+0 of 10x12"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"from": ("a.png", FITTING)}, "to"),
        ({"from": (None, "text"), "to": ("b.png", FITTING)}, "from"),
        ([("to", ("a.png", FITTING)), ("to", ("b.png", FITTING)), ("from", ("b.png", FITTING))], "to"),
    ],
)
def test_a_form_without_its_two_files_is_told_which_is_missing(client: TestClient, fields, field: str):
    body = problem(client.post("/interpolate?model=tiny-vae", files=fields), 422, "missing-image")
    assert body["field"] == field
    assert field in body["detail"]


def test_two_pictures_come_in_a_form(client: TestClient):
    assert problem(post(client, "/interpolate"), 415, "unsupported-media-type")["fields"] == ["from", "to"]


def test_one_direction_is_a_row_with_the_seeds_picture_in_its_middle(client: TestClient):
    response = get(client, "/traverse", seed=7, directions="2", steps=5)
    assert response.headers["denoir-seed"] == "7"
    assert decoded(response.content).size == (2 + 5 * (WIDTH + 2), 4 + HEIGHT)
    row = singles(get(client, "/traverse", seed=7, directions="2", steps=5, format="zip"))
    seen = singles(get(client, "/sample", n=1, seed=7, format="zip"))[0]
    assert np.array_equal(row[2], seen)
    assert not np.array_equal(row[0], row[4])


def test_two_directions_are_rows_and_columns(client: TestClient):
    wide = {"seed": 7, "steps": 3, "span": 2}
    both = singles(get(client, "/traverse", directions="1,4", format="zip", **wide))
    down, across = (singles(get(client, "/traverse", directions=d, format="zip", **wide)) for d in "14")
    assert np.array_equal(both[1::3], down)
    assert np.array_equal(both[3:6], across)
    assert decoded(get(client, "/traverse", directions="1,4", **wide).content).size == (2 + 3 * 12, 2 + 3 * 14)


@pytest.mark.parametrize(
    ("path", "query", "parameter"),
    [
        ("/interpolate", {"from": -1}, "from"),
        ("/interpolate", {"to": 2**63}, "to"),
        ("/interpolate", {"steps": 1}, "steps"),
        ("/interpolate", {"steps": 65}, "steps"),
        ("/interpolate", {"path": "spiral"}, "path"),
        ("/interpolate", {"temperature": "nan"}, "temperature"),
        ("/interpolate", {"format": "gif"}, "format"),
        ("/traverse", {"directions": "5"}, "directions"),
        ("/traverse", {"directions": "1,1"}, "directions"),
        ("/traverse", {"directions": "1,2,3"}, "directions"),
        ("/traverse", {"directions": "-1"}, "directions"),
        ("/traverse", {"directions": "x"}, "directions"),
        ("/traverse", {"directions": "1,2", "steps": 9}, "steps"),
        ("/traverse", {"steps": 65}, "steps"),
        ("/traverse", {"steps": 10**9, "directions": "1,2"}, "steps"),
        ("/traverse", {"span": "inf"}, "span"),
        ("/traverse", {"span": 0}, "span"),
    ],
)
def test_what_is_out_of_range_is_named(client: TestClient, path: str, query: dict, parameter: str):
    body = problem(get(client, path, **query), 422, "invalid-parameter")
    assert [one["parameter"] for one in body["errors"]] == [parameter]
