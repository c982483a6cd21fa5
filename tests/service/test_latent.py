"""Codes through the whole application: drawn, had from pictures and decoded, on small untrained models."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from answers import decoded, encoded, pictures, problem
from conftest import scene
from PIL import Image
from starlette.testclient import TestClient

from models.tasks import DECODE_BATCH
from tests.service.drawing import CODE, FITTING, HEIGHT, LATENT, WIDTH, decode, frames, get, post, singles


def test_a_code_that_was_told_decodes_to_the_reconstruction(client: TestClient):
    told = post(client, "/encode").json()
    assert told["model"] == "tiny-vae@1"
    assert len(told["code"]) == LATENT
    assert told["fitted"] is None
    one = np.asarray(decoded(decode(client, code=told["code"]).content)).astype(int)
    rebuilt = np.asarray(decoded(post(client, "/reconstruct").content)).astype(int)
    assert one.shape == rebuilt.shape == (HEIGHT, WIDTH)
    assert np.abs(one - rebuilt).max() <= 1


def test_exact_zeros_of_a_code_are_counted(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    codes = np.array([[0, 1.5, 0, -0.0, 1e-30]], np.float32)
    monkeypatch.setattr("service.engine.Session.encode", lambda session, tiles: (codes, np.array([True])))
    told = post(client, "/encode").json()
    assert told["zeros"] == 0.6
    assert np.array_equal(np.array(told["code"], np.float32), codes[0])


@pytest.mark.parametrize("path", ["/encode", "/reconstruct"])
def test_a_picture_of_another_size_is_fitted_and_that_is_told(client: TestClient, path: str):
    response = post(client, path, encoded(scene(60, 100, 0)))
    assert response.status_code == 200, response.text
    assert response.headers["denoir-fitted"] == "100x60 to 10x6+0+3 of 10x12"
    assert "denoir-fitted" not in post(client, path).headers


def test_how_a_picture_was_fitted_stands_beside_its_code(client: TestClient):
    fitted = post(client, "/encode", encoded(scene(60, 100, 0))).json()["fitted"]
    assert fitted == {"given": [60, 100], "size": [12, 10], "top": 3, "left": 0, "height": 6, "width": 10}


def test_a_reconstruction_has_the_models_size_and_the_format_asked_for(client: TestClient):
    response = post(client, "/reconstruct", encoded(scene(60, 100, 0), "jpeg"))
    assert response.headers["content-type"] == "image/jpeg"
    assert decoded(response.content).size == (WIDTH, HEIGHT)
    assert post(client, "/reconstruct", format="webp").headers["content-type"] == "image/webp"
    assert {"decode", "queue", "model", "encode"} == {
        part.split(";")[0] for part in response.headers["server-timing"].split(", ")
    }


def test_what_is_transparent_is_seen_on_white(client: TestClient):
    clear = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    white = np.full((HEIGHT, WIDTH), 255, np.uint8)
    assert post(client, "/encode", encoded(clear)).json() == post(client, "/encode", encoded(white)).json()


def test_sixteen_bits_are_encoded_as_eight_are(client: TestClient):
    grey = scene(HEIGHT, WIDTH, 3)[..., 0]
    codes = [post(client, "/encode", encoded(p)).json()["code"] for p in (grey, grey.astype(np.uint16) * 257)]
    assert np.allclose(*codes, atol=1e-5)


@pytest.mark.parametrize("path", ["/encode", "/reconstruct"])
def test_a_picture_that_is_too_long_to_be_fitted_is_refused(client: TestClient, path: str):
    told = problem(post(client, path, encoded(np.zeros((1, 900), np.uint8))), 422, "cannot-fit")
    assert f"900x1 pixels can't be fitted into {WIDTH}x{HEIGHT}" in told["detail"]


@pytest.mark.parametrize("path", ["/encode", "/reconstruct"])
def test_bad_pictures_are_told_as_everywhere(client: TestClient, path: str):
    problem(post(client, path, b""), 422, "empty-upload")
    problem(post(client, path, b"no picture"), 415, "unsupported-format")
    told = problem(post(client, path, encoded(np.zeros((500, 500), np.uint8))), 413, "image-too-large")
    assert (told["width"], told["height"]) == (500, 500)


def test_one_code_is_one_picture_and_several_are_a_grid(client: TestClient):
    one, several = decode(client, code=CODE), decode(client, codes=[CODE, CODE, [0.0] * LATENT])
    assert one.headers["content-type"] == several.headers["content-type"] == "image/png"
    alone = np.asarray(decoded(one.content))
    sheet = np.asarray(decoded(several.content))
    assert alone.shape == (HEIGHT, WIDTH)
    assert np.array_equal(sheet[2:14, 2:12], alone)
    assert np.array_equal(sheet[2:14, 14:24], alone)
    assert decoded(decode(client, codes=[CODE]).content).size == (WIDTH + 4, HEIGHT + 4)


def test_codes_are_decoded_in_order_in_every_form(client: TestClient):
    codes = [CODE, [0.0] * LATENT, [-n for n in CODE]]
    one_by_one = [np.asarray(decoded(decode(client, code=code).content)) for code in codes]
    assert np.array_equal(singles(decode(client, codes=codes, format="zip")), one_by_one)
    film = decode(client, codes=codes, format="webp")
    assert film.headers["content-type"] == "image/webp"
    assert np.array_equal(frames(film.content), one_by_one)
    assert np.array_equal(frames(decode(client, code=CODE, format="webp").content), one_by_one[:1])


@pytest.mark.parametrize("code", [[1.0], [0.0] * 6, [1e39] + [0.0] * 4])
def test_codes_that_are_not_the_models_are_told_its_length(client: TestClient, code: list[float]):
    assert problem(decode(client, code=code), 422, "wrong-code")["latent"] == LATENT
    assert problem(decode(client, codes=[CODE, code]), 422, "wrong-code")["latent"] == LATENT


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ('{"model": "tiny-vae", "code": [NaN, 0, 0, 0, 0]}', "code.0"),
        ('{"model": "tiny-vae", "code": [0, 0, -Infinity, 0, 0]}', "code.2"),
        ('{"model": "tiny-vae", "code": [0, 0, 1e999, 0, 0]}', "code.2"),
        ('{"model": "tiny-vae", "code": ["0", 0, 0, 0, 0]}', "code.0"),
        ('{"model": "tiny-vae", "code": [true, 0, 0, 0, 0]}', "code.0"),
        ('{"model": "tiny-vae", "codes": [[0, 0, 0, 0, 0], [null]]}', "codes.1.0"),
        ('{"model": "tiny-vae", "code": []}', "code"),
        ('{"model": "tiny-vae", "codes": []}', "codes"),
        ('{"model": "tiny-vae", "code": [0, 0, 0, 0, 0], "codes": [[0]]}', "body"),
        ('{"model": "tiny-vae"}', "body"),
        ('{"model": "tiny-vae", "code": [0], "format": "exe"}', "format"),
        ('{"model": "tiny-vae", "code": [0], "more": 1}', "more"),
        ('{"model": 7, "code": [0]}', "model"),
        ("[1, 2]", "body"),
        ("null", "body"),
    ],
)
def test_what_is_wrong_in_json_is_named_and_not_echoed(client: TestClient, body: str, parameter: str):
    errors = problem(client.post("/decode", content=body), 422, "invalid-parameter")["errors"]
    assert [one["parameter"] for one in errors] == [parameter]


def test_of_many_wrong_numbers_the_first_is_told(client: TestClient):
    assert len(problem(decode(client, codes=[["x"] * 1000] * 10), 422, "invalid-parameter")["errors"]) == 1


@pytest.mark.parametrize("body", [b"", b"{", b'{"code": [1,}', b"\xff\xfe", FITTING, b"[" * 100_000])
def test_what_is_no_json_is_told_so(client: TestClient, body: bytes):
    problem(client.post("/decode", content=body), 400, "broken-json")
    assert decode(client, code=CODE).status_code == 200, "and the next is served"


def test_json_is_bounded_more_tightly_than_pictures(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    state = client.app.state  # type: ignore[attr-defined]
    monkeypatch.setitem(state._state, "settings", state.settings.model_copy(update={"max_json": 1000}))
    assert problem(decode(client, code=[0.0] * 1000), 413, "upload-too-large")["max_bytes"] == 1000


def test_a_code_so_far_out_that_nothing_comes_of_it_is_whose_it_is(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    def nothing(session: object, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((len(codes), HEIGHT, WIDTH, 1), np.uint8), np.zeros(len(codes), bool)

    monkeypatch.setattr("service.engine.Session.decode", nothing)
    told = problem(decode(client, code=[1e30] * LATENT), 422, "wrong-code")
    assert "so far out" in told["detail"]
    problem(get(client, "/sample"), 500, "not-finite")


def test_more_pictures_than_one_answer_has_are_refused_with_the_limit(client: TestClient):
    for response in (
        get(client, "/sample", n=65),
        get(client, "/interpolate", steps=65),
        get(client, "/traverse", steps=65),
        decode(client, codes=[CODE] * 65),
    ):
        assert problem(response, 422, "invalid-parameter")["limit"] == 64


@pytest.mark.parametrize("model", ["tiny-photo", "tiny-denoise"])
def test_models_without_codes_or_prior_say_what_they_can(client: TestClient, model: str):
    form = {"from": FITTING, "to": FITTING}
    for response in (
        get(client, "/sample", model=model),
        get(client, "/interpolate", model=model),
        get(client, "/traverse", model=model),
        post(client, "/encode", model=model),
        post(client, "/reconstruct", model=model),
        decode(client, model=model, code=CODE),
        client.post(f"/interpolate?model={model}", files=form),
    ):
        assert problem(response, 409, "wrong-model")["can"] == ["denoise"]


def test_a_model_without_seeds_goes_from_picture_to_picture_all_the_same(family: TestClient):
    told = problem(get(family, "/interpolate", model="tiny-plain"), 409, "wrong-model")
    assert "between seeds" in told["detail"]
    form = dict.fromkeys(("from", "to"), ("a.png", FITTING, "image/png"))
    assert family.post("/interpolate?model=tiny-plain&steps=3", files=form).status_code == 200


def test_a_plain_autoencoder_is_sampled_where_a_mixture_was_fitted_to_its_codes(family: TestClient):
    can = ["reconstruct", "encode", "decode"]
    assert problem(get(family, "/sample", model="tiny-plain"), 409, "wrong-model")["can"] == can
    asked = {"model": "tiny-mixture", "seed": 3, "format": "zip"}
    few, many = (pictures(get(family, "/sample", n=n, **asked)) for n in (2, 20))
    assert len(many) == 20
    assert few.items() <= many.items()


@pytest.mark.parametrize("model", ["tiny-plain", "tiny-sparse", "tiny-mixture"])
def test_what_has_codes_rebuilds_and_leads_from_one_picture_to_another(family: TestClient, model: str):
    code = post(family, "/encode", model=model).json()
    rebuilt = np.asarray(decoded(post(family, "/reconstruct", model=model).content)).astype(int)
    one = np.asarray(decoded(decode(family, model=model, code=code["code"]).content))
    assert np.abs(rebuilt - one).max() <= 1
    form = {"from": FITTING, "to": encoded(255 - scene(HEIGHT, WIDTH, 1))}
    way = singles(family.post(f"/interpolate?model={model}&steps=3&format=zip", files=form))
    assert np.abs(rebuilt - way[0]).max() <= 1


def test_a_sparse_code_has_exact_zeros(family: TestClient):
    told = post(family, "/encode", model="tiny-sparse").json()
    assert len(told["code"]) == 20
    assert told["zeros"] == told["code"].count(0) / 20 > 0


def test_overload_is_told_before_anything_is_read(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    parts = client.app.state.parts  # type: ignore[attr-defined]
    monkeypatch.setattr(parts.batcher, "running", 100.0)
    monkeypatch.setattr(type(parts.decoders), "read", None)
    for response in (post(client, "/encode"), post(client, "/reconstruct"), get(client, "/traverse")):
        problem(response, 503, "overloaded")
        assert int(response.headers["retry-after"]) > 0


def test_a_picture_of_a_seed_is_the_same_under_load(client: TestClient):
    """Picture i depends on (model, seed, i, temperature) alone: whatever n is, and whatever shares its batches."""
    alone = pictures(get(client, "/sample", n=40, seed=7, format="zip"))

    def asked(number: int) -> dict[str, bytes]:
        others = [
            lambda: get(client, "/sample", n=33, seed=number),
            lambda: post(client, "/encode"),
            lambda: get(client, "/traverse", seed=number, directions="0,1"),
            lambda: post(client, "/denoise", encoded(scene(50, 70, number)), model="tiny-photo", sigma=9),
        ]
        assert others[number % 4]().status_code == 200
        return pictures(get(client, "/sample", n=1 + 5 * (number % 8), seed=7, format="zip"))

    with ThreadPoolExecutor(8) as clients:
        for found in clients.map(asked, range(24)):
            assert found.items() <= alone.items()


def test_every_answer_is_described(client: TestClient):
    described = client.get("/openapi.json").json()["paths"]
    for path, methods in {
        "/reconstruct": ["post"],
        "/encode": ["post"],
        "/decode": ["post"],
        "/interpolate": ["get", "post"],
        "/traverse": ["get"],
    }.items():
        assert sorted(described[path]) == methods
        for method in methods:
            told = described[path][method]["responses"]
            assert {"200", "404", "409", "413", "422", "500", "503"} <= set(told)
            assert "application/problem+json" in told["409"]["content"]
    assert set(described["/decode"]["post"]["requestBody"]["content"]) == {"application/json"}
    assert "zeros" in str(client.get("/openapi.json").json()["components"]["schemas"]["Encoded"])


def test_pictures_of_a_seed_go_on_from_any_number(client: TestClient):
    five = singles(get(client, "/sample", n=5, seed=7, format="zip"))
    two = singles(get(client, "/sample", n=2, first=3, seed=7, format="zip"))
    assert np.array_equal(two, five[3:])


def test_full_batches_and_the_rest_are_the_same_pictures_in_order(client: TestClient):
    count = 2 * DECODE_BATCH + 3
    many = singles(get(client, "/sample", n=count, seed=7, format="zip"))
    few = [singles(get(client, "/sample", n=3, first=first, seed=7, format="zip")) for first in range(0, count - 2, 4)]
    for number, three in enumerate(few):
        assert np.array_equal(three, many[4 * number : 4 * number + 3])
    assert len(many) == count


def test_the_codes_that_are_told_are_those_of_the_samples(client: TestClient):
    asked = {"n": 3, "seed": 2**63 - 1, "temperature": 0.8, "first": 2}
    told = get(client, "/codes", **asked).json()
    assert told["seed"] == str(2**63 - 1)
    assert told["model"] == "tiny-vae@1"
    again = decode(client, codes=told["codes"], format="zip")
    assert pictures(again) == pictures(get(client, "/sample", **asked, format="zip"))


def test_codes_of_a_seed_that_is_drawn_can_be_had_again(client: TestClient):
    told = get(client, "/codes", n=2).json()
    assert get(client, "/codes", n=2, seed=told["seed"]).json() == told


def test_codes_are_told_of_what_draws_and_decodes(client: TestClient):
    told = problem(get(client, "/codes", model="tiny-photo"), 409, "wrong-model")
    assert "tiny-photo@1" not in told["can"]
    for asked in ({"n": 65}, {"first": -1}):
        told = problem(get(client, "/codes", **asked), 422, "invalid-parameter")
        assert [{one["parameter"]} for one in told["errors"]] == [asked.keys()]


def test_a_model_that_knows_transparency_is_shown_and_gives_it(family: TestClient):
    clear = np.dstack([scene(HEIGHT, WIDTH, 1), np.tile(np.linspace(0, 255, WIDTH), (HEIGHT, 1)).astype(np.uint8)])
    codes = [
        post(family, "/encode", encoded(one), model="tiny-clear").json()["code"] for one in (clear, clear[..., :3])
    ]
    assert codes[0] != codes[1]
    rebuilt = decoded(post(family, "/reconstruct", encoded(clear), model="tiny-clear").content)
    drawn = decoded(get(family, "/sample", model="tiny-clear", n=3).content)
    film = Image.open(io.BytesIO(get(family, "/sample", model="tiny-clear", n=3, format="webp").content))
    assert (rebuilt.mode, drawn.mode, film.mode) == ("RGBA", "RGBA", "RGBA")
    opaque = decoded(post(family, "/reconstruct", encoded(clear), model="tiny-clear", format="jpeg").content)
    assert opaque.mode == "RGB"


def test_what_codes_and_encode_tell_can_be_decoded_as_it_is(client: TestClient):
    drawn = get(client, "/codes", n=2, seed=3).json()
    seen = singles(get(client, "/sample", n=2, seed=3, format="zip"))
    assert np.array_equal(singles(client.post("/decode", json=drawn | {"format": "zip"})), seen)
    told = post(client, "/encode", FITTING).json()
    assert client.post("/decode", json=told).content == decode(client, code=told["code"]).content
