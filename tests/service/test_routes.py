"""The API through the whole application, on small untrained models."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from answers import decoded, encoded, pictures, problem
from conftest import scene
from PIL import Image, ImageCms
from starlette.testclient import TestClient

from models import images
from service import errors
from service.answers import until_gone

PNG = encoded(scene(50, 70, 0))


def denoise(client: TestClient, data: bytes = PNG, **query: object):
    return client.post("/denoise", params={"model": "tiny-photo"} | query, content=data)


def test_a_picture_comes_back_the_same_size_with_what_is_told_of_it(client: TestClient):
    response = denoise(client, sigma=20)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    assert decoded(response.content).size == (70, 50)
    assert response.headers["denoir-model"] == "tiny-photo@1"
    assert response.headers["denoir-sigma"] == "20.00"
    assert {part.split(";")[0] for part in response.headers["server-timing"].split(", ")} == {
        "decode",
        "queue",
        "model",
        "encode",
    }


def test_a_form_and_a_raw_body_are_the_same_request(client: TestClient):
    form = client.post("/denoise?model=tiny-photo&sigma=20", files={"file": ("../../evil.png", PNG, "text/html")})
    assert form.content == denoise(client, sigma=20).content
    assert "evil" not in str(form.headers)
    assert form.headers["content-disposition"] == 'inline; filename="denoir.png"'


def test_a_level_left_out_is_estimated(client: TestClient):
    rng = np.random.default_rng(0)
    noisy = (scene(120, 160, 0) + rng.normal(0, 20, (120, 160, 3))).round().clip(0, 255).astype(np.uint8)
    told = float(denoise(client, encoded(noisy)).headers["denoir-sigma"])
    assert 15 < told < 25


def test_level_nought_changes_nothing(client: TestClient):
    assert np.array_equal(np.asarray(decoded(denoise(client, sigma=0).content)), scene(50, 70, 0))


def test_alpha_is_kept(client: TestClient):
    alpha = np.random.default_rng(0).integers(0, 255, (50, 70, 1), np.uint8)
    data = encoded(np.concatenate([scene(50, 70, 0), alpha], 2))
    assert np.array_equal(np.asarray(decoded(denoise(client, data, sigma=9).content))[..., 3:], alpha)


def test_a_turned_picture_comes_back_upright(client: TestClient):
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = decoded(denoise(client, encoded(scene(50, 70, 0), "jpeg", exif=exif), sigma=9).content)
    assert answer.size == (50, 70)
    assert 0x0112 not in answer.getexif()


def test_of_what_a_camera_noted_nothing_is_sent_back_and_the_profile_is(client: TestClient):
    exif = Image.Exif()
    exif[271] = "a secret camera"
    exif.get_ifd(0x8825)[1] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"exif": exif, "comment": b"a secret", "xmp": b"<x:xmpmeta>a secret</x:xmpmeta>", "icc_profile": profile}
    answer = denoise(client, encoded(scene(50, 70, 0), "jpeg", **options), sigma=9)
    assert b"secret" not in answer.content
    assert not decoded(answer.content).getexif()
    assert decoded(answer.content).info["icc_profile"] == profile


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "bmp", "tiff"])
def test_formats_are_answered_as_they_came_or_as_asked(client: TestClient, form: str):
    came = denoise(client, encoded(scene(20, 30, 0), form), sigma=9)
    asked = denoise(client, sigma=9, format=form)
    accepted = client.post(
        "/denoise?model=tiny-photo&sigma=9", content=PNG, headers={"accept": f"image/{form}, */*;q=0.1"}
    )
    for response in (came, asked, accepted):
        assert response.headers["content-type"] == f"image/{form}"


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (3, 5), (131, 257)])
def test_any_size_is_answered_in_that_size(client: TestClient, size: tuple[int, int]):
    height, width = size
    response = denoise(client, encoded(np.full((height, width, 3), 99, np.uint8)), sigma=9)
    assert decoded(response.content).size == (width, height)


def test_sixteen_bits_stay_sixteen(client: TestClient):
    grey = np.linspace(0, 65535, 40 * 50).reshape(40, 50).astype(np.uint16)
    answer = np.asarray(decoded(denoise(client, encoded(grey), sigma=0).content))
    assert np.array_equal(answer, grey)


def test_a_model_of_one_size_takes_that_size_alone(client: TestClient):
    fits = denoise(client, encoded(np.zeros((12, 10), np.uint8)), model="tiny-denoise")
    assert decoded(fits.content).size == (10, 12)
    assert "denoir-sigma" not in fits.headers
    body = problem(denoise(client, PNG, model="tiny-denoise"), 422, "wrong-size")
    assert (body["width"], body["height"]) == (10, 12)


@pytest.mark.parametrize(
    ("data", "status", "slug"),
    [
        (b"", 422, "empty-upload"),
        (b"hello, this is no picture", 415, "unsupported-format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", 415, "unsupported-format"),
        (b"8BPS\0\1", 415, "unsupported-format"),
        (b"%PDF-1.7", 415, "unsupported-format"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "unsupported-format"),
        (PNG[: len(PNG) // 2], 422, "damaged-image"),
        (encoded(np.zeros((500, 500), np.uint8)), 413, "image-too-large"),
    ],
)
def test_bad_pictures_get_their_own_answer_and_the_service_lives(client: TestClient, data, status, slug):
    problem(denoise(client, data), status, slug)
    assert denoise(client, sigma=5).status_code == 200


def test_a_format_that_is_not_taken_is_told_which_are(client: TestClient):
    detail = problem(denoise(client, b"SIMPLE  =                    T"), 415, "unsupported-format")["detail"]
    assert all(name in detail for name in ("PNG", "JPEG", "WebP", "BMP", "TIFF", "GIF"))


def test_a_picture_over_the_limit_tells_the_limit(client: TestClient):
    body = problem(denoise(client, encoded(np.zeros((500, 500), np.uint8))), 413, "image-too-large")
    assert (body["max_pixels"], body["width"], body["height"]) == (200_000, 500, 500)
    long = problem(denoise(client, encoded(np.zeros((1, 9001), np.uint8))), 413, "image-too-large")
    assert "9,000" in long["detail"]


def test_a_body_over_the_limit_is_refused_declared_or_streamed(client: TestClient):
    declared = denoise(client, bytes(300_001))
    streamed = client.post("/denoise?model=tiny-photo", content=(bytes(50_000) for _ in range(10)))
    form = client.post("/denoise?model=tiny-photo", files={"file": bytes(400_000)})
    for response in (declared, streamed, form):
        assert problem(response, 413, "upload-too-large")["max_bytes"] == 300_000


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"picture": ("a.png", PNG)}, "no field called file"),
        ({"file": (None, "text")}, "holds text"),
        ([("file", ("a.png", PNG)), ("file", ("b.png", PNG))], "more than one"),
    ],
)
def test_a_form_without_its_one_file_is_told_what_is_missing(client: TestClient, fields, said: str):
    body = problem(client.post("/denoise?model=tiny-photo", files=fields), 422, "missing-image")
    assert body["field"] == "file"
    assert said in body["detail"]


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=xyz"])
def test_a_broken_form_is_told_apart(client: TestClient, content_type: str):
    response = client.post("/denoise?model=tiny-photo", content=PNG, headers={"content-type": content_type})
    assert "the form can't be read" in problem(response, 400, "broken-multipart")["detail"]


@pytest.mark.parametrize(
    "query",
    ["sigma=nan", "sigma=inf", "sigma=-1", "sigma=101", "sigma=", "sigma=x", "sigma=1&sigma=2", "format=exe"],
)
def test_wrong_parameters_are_named_and_not_echoed(client: TestClient, query: str):
    body = problem(client.post(f"/denoise?model=tiny-photo&{query}", content=PNG), 422, "invalid-parameter")
    assert body["errors"][0]["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize("name", ["nobody", "../../etc/passwd", "tiny-photo@9", "tiny-photo\0", "x" * 9000])
def test_unknown_models_are_told_what_there_is(client: TestClient, name: str):
    body = problem(denoise(client, model=name), 404, "unknown-model")
    assert "tiny-photo@1" in body["known"]
    assert len(body["detail"]) < 400


def test_a_model_that_can_not_is_told_what_it_can(client: TestClient):
    assert problem(denoise(client, model="tiny-vae"), 409, "wrong-model")["can"][0] == "sample"
    problem(client.get("/sample?model=tiny-photo"), 409, "wrong-model")


def colorize(client: TestClient, data: bytes, **query: object):
    return client.post("/colorize", params={"model": "tiny-colorize"} | query, content=data)


@pytest.mark.parametrize("size", [(50, 70), (1, 1), (1, 90), (200, 3)])
def test_a_grey_picture_comes_back_in_colour_in_its_size_and_lightness(family: TestClient, size: tuple[int, int]):
    grey = scene(*size, 0)[..., 0]
    response = colorize(family, encoded(grey))
    assert response.status_code == 200, response.text
    assert response.headers["denoir-model"] == "tiny-colorize@1"
    coloured = np.asarray(decoded(response.content))
    assert coloured.shape == (*size, 3)
    assert np.abs(coloured @ [0.299, 0.587, 0.114] - grey).max() <= 1


def test_a_colour_picture_is_coloured_by_its_lightness_alone(family: TestClient):
    grey = scene(50, 70, 0)[..., 0]
    answers = [colorize(family, encoded(pixels)).content for pixels in (grey, np.stack([grey] * 3, 2))]
    assert np.array_equal(*(np.asarray(decoded(answer)) for answer in answers))


def test_what_is_beside_the_colours_is_kept(family: TestClient):
    alpha = np.random.default_rng(0).integers(0, 255, (50, 70, 1), np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(np.concatenate([scene(50, 70, 0), alpha], 2), icc_profile=profile)
    answer = decoded(colorize(family, data).content)
    assert np.array_equal(np.asarray(answer)[..., 3:], alpha)
    assert answer.info["icc_profile"] == profile
    assert colorize(family, data, format="webp").headers["content-type"] == "image/webp"


def test_sixteen_bits_of_grey_are_coloured_in_sixteen(family: TestClient):
    grey = np.linspace(0, 65535, 40 * 50).reshape(40, 50).astype(np.uint16)
    coloured = images.read(colorize(family, encoded(grey)).content).pixels
    assert coloured.dtype == np.uint16
    assert np.abs(coloured @ [0.299, 0.587, 0.114] - grey).max() <= 2


def test_what_can_not_be_coloured(client: TestClient, family: TestClient):
    assert problem(colorize(family, PNG, model="tiny-sparse"), 409, "wrong-model")["can"][0] == "reconstruct"
    problem(colorize(family, PNG, model="nobody"), 404, "unknown-model")
    problem(colorize(family, b""), 422, "empty-upload")
    problem(colorize(client, PNG, model="tiny-vae"), 409, "wrong-model")


def sample(client: TestClient, **query: object):
    return client.get("/sample", params={"model": "tiny-vae"} | query)


def test_the_same_seed_gives_the_same_pictures_whatever_the_number(client: TestClient):
    few, again, many = (sample(client, n=n, seed=7, format="zip") for n in (16, 16, 40))
    assert few.content == again.content
    assert few.headers["denoir-seed"] == "7"
    assert few.headers["content-type"] == "application/zip"
    assert list(pictures(few)) == sorted(pictures(few))
    assert pictures(few).items() <= pictures(many).items()
    assert pictures(sample(client, n=16, seed=8, format="zip")).items().isdisjoint(pictures(few).items())


def test_a_grid_is_one_png(client: TestClient):
    response = sample(client, n=4, seed=1)
    assert response.headers["content-type"] == "image/png"
    assert decoded(response.content).size == (2 + 2 * 12, 2 + 2 * 14)


def test_a_seed_not_given_is_drawn_and_told(client: TestClient):
    first, second = sample(client, n=2), sample(client, n=2)
    assert first.headers["denoir-seed"] != second.headers["denoir-seed"]
    assert sample(client, n=2, seed=first.headers["denoir-seed"]).content == first.content


def test_temperature_nought_is_one_picture(client: TestClient):
    assert len(set(pictures(sample(client, n=5, temperature=0, seed=1, format="zip")).values())) == 1


@pytest.mark.parametrize(
    "query",
    [
        {"n": 0},
        {"n": 65},
        {"seed": -1},
        {"seed": 2**63},
        {"temperature": "nan"},
        {"temperature": 2.1},
        {"format": "gif"},
        {"seed": "9" * 400},
    ],
)
def test_samples_out_of_range_are_refused(client: TestClient, query: dict):
    told = problem(sample(client, **query), 422, "invalid-parameter")
    assert [{one["parameter"]} for one in told["errors"]] == [query.keys()]


def test_models_are_listed_and_described(client: TestClient):
    listed = {model["title"]: model for model in client.get("/models").json()["models"]}
    assert listed["tiny-vae@1"]["asks"][0] == "sample"
    assert listed["tiny-denoise@1"]["size"] == [12, 10]
    assert client.get("/models/tiny-photo").json()["recipe"] == "photo"
    problem(client.get("/models/nobody"), 404, "unknown-model")


def test_health_and_readiness(client: TestClient):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_the_docs_come_from_here(client: TestClient):
    page = client.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    for path in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"):
        assert f"/static/docs/{path}" in page
        assert client.get(f"/static/docs/{path}").status_code == 200


def test_every_answer_has_an_id_and_the_security_headers(client: TestClient):
    own = client.get("/healthz", headers={"x-request-id": "my-own.id_1"})
    assert own.headers["x-request-id"] == "my-own.id_1"
    for response in (own, client.get("/nowhere"), client.get("/healthz", headers={"x-request-id": "a b\tc"})):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        policy = response.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy)
        assert " " not in response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/denoise", "POST, OPTIONS"),
        ("HEAD", "/denoise", "POST, OPTIONS"),
        ("POST", "/models", "GET, HEAD, OPTIONS"),
        ("DELETE", "/interpolate", "GET, POST, HEAD, OPTIONS"),
        ("PUT", "/models/tiny-vae", "GET, HEAD, OPTIONS"),
        ("POST", "/static/docs/swagger-ui.css", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_told_which_it_does(
    client: TestClient, method: str, path: str, allowed: str
):
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    if method != "HEAD":
        problem(answer, 405, "method-not-allowed")
    options = client.options(path)
    assert (options.status_code, options.headers["allow"], options.content) == (204, allowed, b"")


@pytest.mark.parametrize("path", ["/models", "/healthz", "/readyz", "/docs", "/static/docs/swagger-ui.css"])
def test_what_can_be_fetched_can_be_asked_for_its_head(client: TestClient, path: str):
    for coding in ("identity", "gzip"):
        head, whole = (ask(path, headers={"accept-encoding": coding}) for ask in (client.head, client.get))
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == whole.headers["content-length"]
        if "content-encoding" not in whole.headers:
            assert whole.headers["content-length"] == str(len(whole.content))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "DELETE"])
def test_a_path_that_is_not_there(client: TestClient, method: str):
    assert client.request(method, "/nowhere").status_code == 404
    assert client.request(method, "/metrics").status_code == 404


def test_the_rate_of_everything_is_known_from_the_start(client: TestClient):
    rates = client.app.state.parts.batcher.rates  # type: ignore[attr-defined]
    assert {("tiny-photo@1", "restore"), ("tiny-denoise@1", "restore"), ("tiny-vae@1", "decode")} <= set(rates)


def test_an_overloaded_service_refuses_before_it_decodes(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    parts = client.app.state.parts  # type: ignore[attr-defined]
    monkeypatch.setattr(parts.batcher, "running", 100.0)
    monkeypatch.setattr(type(parts.decoders), "read", None)
    for response in (denoise(client), sample(client)):
        problem(response, 503, "overloaded")
        assert int(response.headers["retry-after"]) >= 80


def test_what_is_wrong_with_a_body_that_is_only_looked_at_for_its_end_is_told():
    async def refused() -> None:
        raise errors.upload_too_large(1)

    async def test() -> None:
        await until_gone(SimpleNamespace(receive=refused), asyncio.sleep(20))  # type: ignore[arg-type]

    with pytest.raises(errors.Problem, match="larger"):
        asyncio.run(test())


def test_what_nobody_foresaw_is_answered_without_its_trace(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    def failing(*_: object) -> None:
        raise RuntimeError("a secret of the machine")

    monkeypatch.setattr("service.pipeline.restore.split", failing)
    response = denoise(client, sigma=5)
    assert "secret" not in response.text
    problem(response, 500, "internal-error")


def test_a_value_that_is_not_finite_is_never_hidden(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    def failing(session: object, tiles: np.ndarray, sigma: object) -> tuple[np.ndarray, np.ndarray]:
        return tiles, np.zeros(len(tiles), bool)

    monkeypatch.setattr("service.engine.Session.restore", failing)
    problem(denoise(client, sigma=5), 500, "not-finite")
    monkeypatch.undo()
    assert denoise(client, sigma=5).status_code == 200


def test_a_parameter_that_there_is_not_is_told_so_and_which_was_meant(client: TestClient):
    body = problem(denoise(client, stregth=0.5), 422, "invalid-parameter")
    assert body["errors"][0]["parameter"] == "stregth"
    assert "did you mean strength?" in body["detail"]
    assert {"sigma", "strength", "format"} <= set(body["known"])
    assert "<b>" not in str(problem(client.get("/sample", params={"<b>": 1}), 422, "invalid-parameter"))


def test_a_level_is_told_to_no_model_that_takes_none(client: TestClient):
    fitting = encoded(scene(12, 10, 0)[..., 0])
    body = problem(denoise(client, fitting, model="tiny-denoise", sigma=9), 422, "invalid-parameter")
    assert body["errors"][0]["parameter"] == "sigma"


def test_a_side_that_the_format_can_not_hold_is_told_before_anything_is_computed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("service.engine.Session.restore", None)
    monkeypatch.setitem(images.WRITTEN, "webp", replace(images.WRITTEN["webp"], max_side=69))
    body = problem(denoise(client, sigma=9, format="webp"), 413, "image-too-large")
    assert (body["format"], body["max_side"]) == ("webp", 69)
    assert "max_pixels" not in body


@pytest.mark.parametrize("word", ["<b>", "x" * 5000])
def test_words_of_a_clients_own_are_not_told_again(client: TestClient, word: str):
    twice = client.post("/denoise", params=[("model", "tiny-photo"), (word, "1"), (word, "2")], content=PNG)
    assert word not in problem(twice, 422, "invalid-parameter")["detail"]
    assert word not in twice.text
    unknown = client.post("/decode", json={"model": "tiny-vae", word: 1})
    assert problem(unknown, 422, "invalid-parameter")
    assert word not in unknown.text
