"""Pictures of every size and kind through `POST /denoise`, on a small untrained model."""

import os
import signal
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from answers import problem
from conftest import stocked
from files import SRGB, encoded, heic, laid_tiff, noise, png16, scene, tiff
from PIL import Image
from starlette.testclient import TestClient

from models import images
from models.images import ACCEPTED, FORMATS, WRITTEN, Picture
from models.unet import UNetConfig

from .conftest import asked

KINDS = list(product((1, 3), (False, True), (np.uint8, np.uint16)))
"""Channels, whether there is alpha, and depth."""


def denoise(client: TestClient, data: bytes, **query: object):
    return client.post("/denoise", params={"model": "tiny-photo", "sigma": 20} | query, content=data)


def picture(height: int, width: int, channels: int, see_through: bool, dtype: type) -> Picture:
    """A noisy picture, of which alpha hides a third."""
    alpha = noise(height, width) // 86 * np.uint8(127) if see_through else None
    if alpha is not None and dtype == np.uint16:
        alpha = alpha.astype(np.uint16) * np.uint16(257)
    return Picture(noise(height, width, channels, dtype=dtype), alpha, SRGB if channels == 3 else None)


@pytest.mark.parametrize("form", ["png", "tiff"])
@pytest.mark.parametrize(("channels", "see_through", "dtype"), KINDS)
def test_any_size_and_kind_is_answered_in_that_size_and_kind(
    client: TestClient, form: str, channels: int, see_through: bool, dtype: type
):
    for size in ((1, 1), (1, 90), (90, 1), (3, 5), (131, 57)):
        given = picture(*size, channels, see_through, dtype)
        response = denoise(client, images.write(given, form))
        assert response.status_code == 200, response.text
        answer = images.read(response.content)
        assert (answer.pixels.shape, answer.depth, answer.format) == (given.pixels.shape, given.depth, form)
        assert answer.profile == given.profile
        assert (answer.alpha is None) == (given.alpha is None)
        if given.alpha is not None and answer.alpha is not None:
            assert np.array_equal(answer.alpha, given.alpha)
            assert np.array_equal(answer.pixels[given.alpha == 0], given.pixels[given.alpha == 0])


def test_what_alpha_hides_does_not_show(client: TestClient):
    given = picture(60, 90, 3, True, np.uint8)
    assert given.alpha is not None
    answers = []
    for unseen in (0, 255):
        pixels = np.where(given.alpha[..., None] > 0, given.pixels, np.uint8(unseen))
        answer = images.read(denoise(client, images.write(Picture(pixels, given.alpha), "png"), sigma=30).content)
        answers.append(answer.pixels[given.alpha > 0])
    assert np.array_equal(*answers)


@pytest.mark.parametrize("end", ["<", ">"])
def test_16_bits_come_in_by_other_hands_and_go_out_as_16(client: TestClient, end: str):
    for channels, compression, planar in product((1, 2, 3, 4), (1, 5, 8), (False, True)):
        if planar and channels == 1:
            continue
        samples = noise(40, 30, channels, dtype=np.uint16)
        more = {"t338": 2} if channels in (2, 4) else {}
        data = laid_tiff(samples, end, compression, tiled=planar, planar=planar, **more)
        for body in (data, png16(samples)):
            assert np.array_equal(
                images.read(denoise(client, body, strength=0).content).pixels, images.read(body).pixels
            )
            answer = images.read(denoise(client, body).content)
            assert answer.depth == 16
            assert np.unique(answer.pixels % 257).size > 200, "as many as 8 bits can have"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (tiff(noise(5, 7, 4, dtype=np.uint16), photometric=5), "16-bit"),
        (tiff(noise(5, 7, 3).astype(np.uint32)), "32-bit"),
        (encoded(scene(), "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "12-bit"),
    ],
)
def test_a_depth_that_can_not_be_kept_is_refused_and_named(client: TestClient, data: bytes, said: str):
    assert said in problem(denoise(client, data), 415, "unsupported-depth")["detail"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strength_is_the_share_of_the_change_that_is_made(client: TestClient, dtype: type):
    given = picture(60, 50, 3, True, dtype)
    data = images.write(given, "png")
    found = {}
    for strength in ("0", "0.25", "1"):
        response = denoise(client, data, strength=strength)
        assert response.headers["denoir-strength"] == strength
        assert response.headers["denoir-sigma"] == "20.00"
        found[strength] = images.read(response.content).pixels.astype(float)
    assert np.array_equal(found["0"], given.pixels)
    assert not np.array_equal(found["1"], given.pixels)
    assert np.abs(found["0.25"] - (0.75 * given.pixels + 0.25 * found["1"])).max() <= 0.51
    assert denoise(client, data).content == denoise(client, data, strength=1).content
    assert denoise(client, data).headers["denoir-strength"] == "1"


def test_no_strength_takes_nothing_of_the_model(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("service.engine.Session.restore", None)
    data = images.write(picture(30, 40, 3, False, np.uint8), "png")
    assert denoise(client, data, strength=0).status_code == 200
    fitting = images.write(picture(12, 10, 1, False, np.uint8), "png")
    whole = client.post("/denoise?model=tiny-denoise&strength=0", content=fitting)
    assert images.read(whole.content).pixels.tolist() == images.read(fitting).pixels.tolist()
    assert "denoir-sigma" not in whole.headers


@pytest.mark.parametrize("wrong", ["nan", "inf", "-0.01", "1.01", "", "x", "9" * 400])
def test_strength_is_from_none_to_all(client: TestClient, wrong: str):
    body = problem(denoise(client, b"", strength=wrong), 422, "invalid-parameter")
    assert body["errors"][0]["parameter"] == "strength"
    twice = client.post("/denoise?model=tiny-photo&strength=0&strength=1", content=b"")
    problem(twice, 422, "invalid-parameter")


def test_what_is_read_and_what_is_written_is_told(client: TestClient):
    described = client.get("/openapi.json").json()["paths"]["/denoise"]["post"]
    taken, given = described["requestBody"]["content"], described["responses"]["200"]["content"]
    assert {one for one in taken if one.startswith("image/")} == {form.media_type for form in FORMATS.values()}
    assert {one for one in given if one.startswith("image/")} == {form.media_type for form in WRITTEN.values()}
    assert problem(denoise(client, b"no picture"), 415, "unsupported-format")["detail"].endswith(
        f"{', '.join(ACCEPTED)}."
    )
    assert ("HEIC" in str(described["parameters"])) == ("heic" in FORMATS)
    body = problem(denoise(client, b"", format="heic"), 422, "invalid-parameter")
    assert "heic" not in body["detail"]


@pytest.mark.skipif("heic" not in FORMATS, reason="pillow-heif is not installed")
def test_heic_is_answered_as_png_or_as_asked(client: TestClient):
    samples = noise(70, 90, 3)
    data = heic(Image.fromarray(samples))
    still = denoise(client, data, strength=0)
    assert still.headers["content-type"] == "image/png"
    assert np.array_equal(images.read(still.content).pixels, samples)
    deep = denoise(client, heic(noise(70, 90, 3, dtype=np.uint16), 10))
    assert images.read(deep.content).depth == 16
    assert denoise(client, data, format="webp").headers["content-type"] == "image/webp"
    wished = client.post(
        "/denoise?model=tiny-photo&sigma=9", content=data, headers={"accept": "image/heic, image/jpeg"}
    )
    assert wished.headers["content-type"] == "image/jpeg"
    problem(denoise(client, data[: len(data) // 2]), 422, "damaged-image")
    problem(denoise(client, heic(scene(), append_images=[scene()])), 422, "animated")
    large = bytearray(data)
    large[(at := large.index(b"ispe")) + 8 : at + 16] = (13_000).to_bytes(4, "big") * 2
    problem(denoise(client, bytes(large)), 413, "image-too-large")


def test_quality_and_effort_can_be_asked_for(client: TestClient):
    data = images.write(picture(90, 120, 3, False, np.uint8), "png")
    small, large = (denoise(client, data, format="jpeg", quality=quality).content for quality in (10, 95))
    assert len(small) < len(large) / 2
    quick, slow = (denoise(client, data, sigma=0, effort=effort).content for effort in (1, 9))
    assert quick != slow
    assert np.array_equal(images.read(quick).pixels, images.read(slow).pixels)
    for wrong in ({"quality": 0}, {"quality": 101}, {"effort": -1}, {"effort": 10}, {"effort": "much"}):
        response = denoise(client, data, **wrong)
        problem(response, 422, "invalid-parameter")


def test_more_effort_than_there_is_time_for_is_told_before_anything_is_computed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("service.decoders.MOST", 0.5)
    data = images.write(Picture(np.zeros((400, 400, 3), np.uint8)), "png")
    told = problem(denoise(client, data, sigma=0, format="webp", quality=100, effort=9), 422, "invalid-parameter")
    assert [one["parameter"] for one in told["errors"]] == ["effort"]
    assert denoise(client, data, sigma=0, format="webp", effort=0).status_code == 200


def test_where_no_model_is_named_the_noise_that_is_found_chooses(tmp_path: Path):
    config = UNetConfig(widths=(4, 8), blocks=1)
    loud = images.write(Picture(noise(64, 64, 3) // 3 + np.uint8(80)), "png")
    calm = images.write(Picture(np.full((64, 64, 3), 120, np.uint8)), "png")
    with asked(stocked(tmp_path, {name: (name, config) for name in ("photo", "photo-real")})) as client:
        for query, data, model in (
            ({}, loud, "photo@1"),
            ({}, calm, "photo-real@1"),
            ({"sigma": 1}, calm, "photo@1"),
            ({"model": "photo-real"}, loud, "photo-real@1"),
            ({"model": "photo"}, calm, "photo@1"),
        ):
            response = client.post("/denoise", params=query, content=data)
            assert response.status_code == 200, response.text
            assert response.headers["Denoir-Model"] == model
        engine = client.app.state.parts.engine  # type: ignore[attr-defined]
        engine.unload("photo@1")
        for data, there in ((calm, ["photo-real@1"]), (loud, ["photo-real@1", "photo@1"])):
            assert client.post("/denoise", content=data).headers["Denoir-Model"] == there[-1]
            assert list(engine.loaded) == there, "one that the noise does not ask for is not loaded"


def test_a_decoder_that_was_lost_while_idle_costs_nobody_an_answer(client: TestClient):
    for pid in client.app.state.parts.decoders.pids:  # type: ignore[attr-defined]
        os.kill(pid, signal.SIGKILL)
    assert denoise(client, images.write(picture(9, 9, 3, False, np.uint8), "png")).status_code == 200
