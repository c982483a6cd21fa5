"""Hostile files over HTTP: never 5xx, never a hang, never a dropped connection, and nothing that stays behind."""

import io
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import httpx2
import numpy as np
import pytest
from files import ORIENTATION, SRGB, encoded, exif_with, noise, scene, tiff
from PIL import Image
from serving import Server

from models import images
from tests.hostile import spoilt
from tests.hostile.bombs import BOMBS, READ, SLOW, Bomb
from tests.hostile.conftest import slug_of
from tests.hostile.others import OTHERS
from tests.hostile.pictures import VALID
from tests.hostile.test_decoder import REFUSED

LEFT = 300_000_000
"""Bytes that may stay after whatever was asked."""

AT_ONCE = 8

SOME = {
    "png texts",
    "jpeg scans",
    "webp no data",
    "bmp runs",
    "tiff strips",
    "gif comments",
    "avif items",
    "ink profile",
}
"""Bombs of which little is left when they are met as they should be."""


def denoised(client: httpx2.Client, data: bytes, **more: object) -> httpx2.Response:
    return client.post("/denoise", params={"model": "tiny-photo", "sigma": 9} | more, content=data)


def outcomes(client: httpx2.Client, files: Iterable[bytes]) -> Counter[str]:
    """How often each slug was told, several being asked for at once. Each picture that comes back can be read."""

    def one(data: bytes) -> str:
        response = denoised(client, data)
        slug = slug_of(response)
        if not slug:
            images.read(response.content)
        return slug or READ

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return Counter(threads.map(one, files))


@pytest.mark.parametrize("name", VALID)
def test_every_make_comes_back_as_it_was(client: httpx2.Client, name: str) -> None:
    before = images.read(VALID[name])
    response = denoised(client, VALID[name])
    assert slug_of(response) == ""
    after = images.read(response.content)
    assert (after.width, after.height, after.depth) == (before.width, before.height, before.depth)
    assert before.format == name.split()[0]
    assert after.format == images.ANSWERED[before.format]
    assert (after.alpha is None) == (before.alpha is None)


@pytest.mark.parametrize("size", [(1, 1), (1, 97), (97, 1), (3, 2), (31, 33)])
@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_any_size_comes_back_in_that_size(client: httpx2.Client, size: tuple[int, int], mode: str) -> None:
    response = denoised(client, encoded(Image.new(mode, size), "PNG"))
    assert slug_of(response) == ""
    with Image.open(io.BytesIO(response.content)) as image:
        assert (image.size, image.mode) == (size, mode)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "tiff"])
def test_what_is_noted_beside_the_pixels_goes_and_the_profile_stays(client: httpx2.Client, form: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010F] = 6, "a secret maker"
    exif.get_ifd(0x8825)[1] = "N"
    data = encoded(scene(), form, exif=exif, icc_profile=SRGB, comment=b"a secret comment")
    assert b"secret" in data
    response = client.post("/denoise?model=tiny-photo&sigma=9", files={"file": ("secret.png", data, "text/html")})
    assert slug_of(response) == ""
    assert b"secret" not in response.content
    assert "secret" not in str(response.headers)
    with Image.open(io.BytesIO(response.content)) as image:
        assert image.size == scene().size[::-1]
        assert not set(image.getexif()) & {ORIENTATION, 0x010F, 0x8825}
        assert image.info["icc_profile"] == SRGB


def test_floats_are_kept_and_what_is_no_number_is_damage(client: httpx2.Client) -> None:
    floats = noise(5, 7, 1).astype(np.float32)
    for samples, slug in (
        (floats, ""),
        (np.full_like(floats, np.nan), "damaged-image"),
        (floats.astype(float), ""),
    ):
        assert slug_of(denoised(client, tiff(samples, t339=3))) == slug


def test_a_sample_of_what_is_spoilt_is_refused_or_read(client: httpx2.Client) -> None:
    cuts = [data for number, (_, data) in enumerate(spoilt.cut(17)) if number % 23 == 0]
    flips = (data for _, data in spoilt.flipped(100))
    assert set(outcomes(client, [*cuts, *flips])) <= REFUSED | {READ}


@pytest.mark.slow
def test_whatever_is_spoilt_is_refused_or_read(server: Server, client: httpx2.Client) -> None:
    before = server.usage
    found = outcomes(client, (data for spoil in (spoilt.cut(1), spoilt.flipped(5000)) for _, data in spoil))
    assert set(found) <= REFUSED | {READ}
    assert found["damaged-image"] > found.total() // 2
    after = server.usage
    assert after.memory < before.memory + LEFT
    assert after.descriptors <= before.descriptors + AT_ONCE
    assert after.processes == before.processes


def test_other_formats_are_refused_whatever_they_are_called(client: httpx2.Client) -> None:
    for name, data in OTHERS.items():
        form = {"file": ("picture.png", data, "image/png")}
        response = client.post("/denoise?model=tiny-photo", files=form)
        assert slug_of(response) == "unsupported-format", name
        assert "PNG" in response.json()["detail"]


def wrongly_answered(server: Server, client: httpx2.Client, bombs: dict[str, Bomb]) -> dict[str, str]:
    """Which of them are not answered as they should be; none may leave memory or open files behind."""
    before = server.usage
    told = {name: slug_of(denoised(client, make(), sigma=0)) or READ for name, (make, _) in bombs.items()}
    after = server.usage
    assert after.memory < before.memory + LEFT
    assert after.descriptors <= before.descriptors + AT_ONCE
    return {name: slug for name, slug in told.items() if slug not in bombs[name][1].split(" or ")}


def test_a_bomb_of_each_format_costs_little(server: Server, client: httpx2.Client) -> None:
    some = {name: bomb for name, bomb in BOMBS.items() if name in SOME}
    assert wrongly_answered(server, client, some) == {}


@pytest.mark.slow
def test_all_bombs_cost_little(server: Server, client: httpx2.Client) -> None:
    assert wrongly_answered(server, client, BOMBS | SLOW) == {}


def test_what_is_too_large_is_told_with_the_limit(client: httpx2.Client) -> None:
    response = denoised(client, BOMBS["png size"][0]())
    assert slug_of(response) == "image-too-large"
    assert [response.json()[name] for name in ("max_pixels", "width", "height")] == [50_000_000, 60_000, 60_000]


def test_a_two_picture_jpeg_is_one_picture_and_a_film_is_none(client: httpx2.Client) -> None:
    for form, slug in {"MPO": "", "PNG": "animated", "WebP": "animated", "TIFF": "animated", "GIF": "animated"}.items():
        two = encoded(scene(), form, save_all=True, append_images=[scene().rotate(180)])
        assert slug_of(denoised(client, two)) == slug, form


@pytest.mark.parametrize(
    "query", ["model=" + "x" * 7000, "model=%00", "model=../photo", "model=tiny-photo%2f..", "model=."]
)
def test_a_name_is_never_a_path(client: httpx2.Client, query: str) -> None:
    response = client.post(f"/denoise?{query}", content=VALID["png grey"])
    assert slug_of(response) == "unknown-model"
    assert "tiny-photo@1" in response.json()["known"]
    for path in ("%2e%2e%2fphoto", "..%2f..%2fetc", "a%00b"):
        assert slug_of(client.get(f"/models/{path}")) in {"unknown-model", "not-found"}


@pytest.mark.parametrize(
    "path",
    [
        *[
            f"/denoise?model=tiny-photo&sigma={value}"
            for value in ("nan", "-inf", "1e999", "9" * 400, "", "100.0001", "0x9")
        ],
        *[f"/sample?model=tiny-vae&n={value}" for value in ("0", "65", "-1", "1e1", "9" * 400, "", "4&n=4", "4.5")],
        *[f"/sample?model=tiny-vae&seed={value}" for value in (2**63, -1, "", "nan", "9" * 400)],
        *[f"/sample?model=tiny-vae&temperature={value}" for value in ("nan", "inf", "-0.1", "2.1", "")],
    ],
)
def test_numbers_that_are_none_or_out_of_range_are_refused(client: httpx2.Client, path: str) -> None:
    method = "POST" if path.startswith("/denoise") else "GET"
    assert slug_of(client.request(method, path, content=VALID["png grey"])) == "invalid-parameter"


def test_an_upload_over_the_limit_is_told_so(client: httpx2.Client) -> None:
    blocks = islice(iter(lambda: bytes(2**20), None), 65)
    assert slug_of(denoised(client, b"".join([bytes(2**26), b"x"]))) == "upload-too-large"
    assert slug_of(client.post("/denoise?model=tiny-photo", content=blocks)) == "upload-too-large"


def test_orientation_is_applied_to_what_it_is_read_of(client: httpx2.Client) -> None:
    turned = denoised(client, encoded(scene(), "PNG", exif=exif_with(6)), sigma=0)
    assert np.array_equal(images.read(turned.content).pixels, np.rot90(np.asarray(scene()), -1))
