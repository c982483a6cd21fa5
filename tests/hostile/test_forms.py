"""Forms that are broken, or made to cost: refused as such, or the picture in them is found all the same."""

import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.hostile.conftest import LONGEST, slug_of
from tests.hostile.pictures import VALID

PNG = VALID["png grey"]
FILE = b'Content-Disposition: form-data; name="file"; filename="a.png"'
BROKEN, MISSING, FINE = "broken-multipart", "missing-image", ""


def part(*heads: bytes, body: bytes = PNG, boundary: bytes = b"X") -> bytes:
    return b"--" + boundary + b"\r\n" + b"".join(head + b"\r\n" for head in heads) + b"\r\n" + body + b"\r\n"


def form(*parts: bytes, boundary: bytes = b"X") -> bytes:
    return b"".join(parts) + b"--" + boundary + b"--\r\n"


WHOLE = form(part(FILE))
OTHER = part(b'Content-Disposition: form-data; name="other"; filename="b"')
FIELD = part(b'Content-Disposition: form-data; name="x"', body=b"1")
NESTED = form(part(FILE, boundary=b"Y"), boundary=b"Y")


def posted(client: httpx2.Client, body: Any, content_type: str = "multipart/form-data; boundary=X") -> httpx2.Response:
    path = "/denoise?model=tiny-photo&sigma=0"
    return client.post(path, content=body, headers={"content-type": content_type})


@pytest.mark.parametrize(
    ("body", "slugs"),
    [
        (WHOLE, FINE),
        (b"a preamble\r\n" + WHOLE + b"an epilogue", f"{FINE} or {BROKEN}"),
        (b"", f"{BROKEN} or {MISSING}"),
        (b"--X--\r\n", f"{BROKEN} or {MISSING}"),
        (b"\r\n" * 1_000_000, f"{BROKEN} or {MISSING}"),
        (b"--X" * 300_000, f"{BROKEN} or {MISSING}"),
        (b"\r\n--" * 300_000 + WHOLE, f"{BROKEN} or {MISSING}"),
        (WHOLE.replace(b"--X--", b""), f"{BROKEN} or {MISSING}"),
        (WHOLE.replace(b"\r\n", b"\n"), f"{BROKEN} or {MISSING}"),
        (WHOLE.replace(b"X", b"Y"), f"{BROKEN} or {MISSING}"),
        (form(part()), f"{BROKEN} or {MISSING}"),
        (form(part(b"no colon here")), BROKEN),
        (form(part(b": no name")), BROKEN),
        (form(part(b"Content-Disposition: form-data")), f"{BROKEN} or {MISSING}"),
        (form(part(b"Content-Disposition: attachment; filename=a")), f"{BROKEN} or {MISSING}"),
        (form(part(b'Content-Disposition: form-data; name="file')), f"{BROKEN} or {MISSING}"),
        (
            form(part(b"Content-Disposition: form-data; name*=utf-8''file; filename=a")),
            f"{FINE} or {BROKEN} or {MISSING}",
        ),
        (form(part(FILE + b"; a=b" * 500)), f"{FINE} or {BROKEN}"),
        (form(part(FILE + b'; x="' + b"\\" * 3000)), f"{FINE} or {BROKEN}"),
        (form(part(FILE, b"Content-Transfer-Encoding: base64")), f"{FINE} or {BROKEN}"),
        (form(part(FILE, b"Content-Type: multipart/mixed; boundary=Y", body=NESTED)), "unsupported-format"),
        (form(part(FILE, b"Content-Length: 99999999999")), f"{FINE} or {BROKEN}"),
        (form(part(FILE, b"X\0Y: Z")), BROKEN),
        (form(part(FILE.replace(b"a.png", b"../../\xff\xfe\0.png"))), f"{FINE} or {BROKEN}"),
        (form(part(FILE.replace(b'; filename="a.png"', b""))), MISSING),
        (form(part(FILE), part(FILE)), MISSING),
        (form(part(FILE, body=b"")), "empty-upload"),
        (form(part(FILE), *[OTHER] * 3), FINE),
        (form(part(FILE), *[OTHER] * 4), BROKEN),
        (form(part(FILE), *[FIELD] * 8), FINE),
        (form(part(FILE), *[FIELD] * 9), BROKEN),
        (form(*[part(FILE, body=b"")] * 10_000), BROKEN),
        (form(part(FILE), part(b'Content-Disposition: form-data; name="x"', body=bytes(2**16 + 1))), BROKEN),
        (form(part(FILE, *[b"A: b"] * 7)), FINE),
        (form(part(FILE, *[b"A: b"] * 100)), BROKEN),
        (form(part(FILE, b"A: " + b"b" * 1_000_000)), BROKEN),
        (form(part(FILE, b"b" * 1_000_000 + b": A")), BROKEN),
    ],
)
def test_a_form_is_read_or_told_to_be_broken(client: httpx2.Client, body: bytes, slugs: str) -> None:
    assert slug_of(posted(client, body)) in slugs.split(" or ")


@pytest.mark.parametrize(
    ("heads", "slug"),
    [
        ([FILE, *[b"A: b"] * 8], BROKEN),
        ([FILE, b"A: " + b"b" * 5000], BROKEN),
    ],
)
def test_a_parts_head_has_bounds(client: httpx2.Client, heads: list[bytes], slug: str) -> None:
    assert slug_of(posted(client, form(part(*heads)))) == slug


@pytest.mark.parametrize(
    ("content_type", "slugs"),
    [
        ("multipart/form-data", BROKEN),
        ("multipart/form-data; boundary=", BROKEN),
        ("multipart/form-data; boundary=" + "X" * 257, BROKEN),
        ("multipart/form-data; boundary=" + "X" * 20_000, BROKEN),
        ('multipart/form-data; boundary="X', f"{FINE} or {BROKEN} or {MISSING}"),
        ("multipart/form-data; boundary=X; boundary=Y", f"{FINE} or {BROKEN} or {MISSING}"),
        ("multipart/form-data; boundary=X; charset=nonsense", f"{FINE} or {BROKEN}"),
        ("multipart/form-data; boundary=X" + "; a=b" * 4000, f"{FINE} or {BROKEN}"),
        ("multipart/form-data; boundary=X; a=" + '\\"' * 10_000, f"{FINE} or {BROKEN} or {MISSING}"),
        ('multipart/form-data; !="' + "\\\\" * 10_000 + "; boundary=X", f"{FINE} or {BROKEN} or {MISSING}"),
        ("MULTIPART/FORM-DATA; BOUNDARY=X", FINE),
        ("multipart/mixed; boundary=X", "unsupported-format"),
        ("application/x-www-form-urlencoded", "unsupported-format"),
        ("image/png", "unsupported-format"),
    ],
)
def test_what_a_body_is_said_to_be(client: httpx2.Client, content_type: str, slugs: str) -> None:
    began = time.monotonic()
    assert slug_of(posted(client, WHOLE, content_type)) in slugs.split(" or ")
    assert time.monotonic() - began < LONGEST


def test_a_form_cut_short_anywhere_is_broken(client: httpx2.Client) -> None:
    end = len(WHOLE) - len(b"--\r\n")
    for cut in [*range(0, end, 29), *range(end - 5, end + 1)]:
        assert slug_of(posted(client, WHOLE[:cut])) == BROKEN, cut


@pytest.mark.parametrize("spoil", [bytes.lower, bytes.upper, lambda data: data[::-1]])
def test_a_form_turned_about(client: httpx2.Client, spoil: Callable[[bytes], bytes]) -> None:
    assert slug_of(posted(client, spoil(WHOLE))) in {BROKEN, MISSING, "unsupported-format", "damaged-image"}


@pytest.mark.parametrize("missing", ["from", "to"])
def test_a_form_of_two_pictures_names_the_one_that_is_missing(client: httpx2.Client, missing: str) -> None:
    files = {name: ("a.png", PNG) for name in ("from", "to") if name != missing}
    response = client.post("/interpolate?model=tiny-vae", files=files)
    assert slug_of(response) == MISSING
    assert response.json()["field"] == missing


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        (b"", "broken-json"),
        (b"[" * 100_000, "broken-json"),
        (b'{"code":' * 50_000, "broken-json"),
        (b'{"code": [NaN]}', "invalid-parameter or broken-json"),
        (b'{"code": [1e999]}', "invalid-parameter or wrong-code"),
        (b'{"code": [' + b"9" * 4000 + b"]}", "invalid-parameter or wrong-code"),
        (b'{"code": [1], "codes": [[1]]}', "invalid-parameter"),
        (b'{"code": [1], "model": "\\u0000", "x": 1}', "invalid-parameter"),
        (b'{"code": [1]}', "unknown-model"),
        (b'{"model": "tiny-vae", "code": [1]}', "wrong-code"),
        (b'{"model": "tiny-vae", "codes": [' + b"[0]," * 100_000 + b"[0]]}", "invalid-parameter"),
        (b'{"model": "tiny-vae", "code": [' + b"0," * 500_000 + b"0]}", "wrong-code"),
        (b"\xff\xfe{}", "broken-json"),
        (b'{"model": "tiny-vae", "codes": [' + b"[0]," * 2**18 + b"[0]]}", "upload-too-large"),
        (
            b'{"model": "tiny-vae", "code": [0], ' + b",".join(b'"%x": 0' % n for n in range(90_000)) + b"}",
            "invalid-parameter",
        ),
        (b" " * (2**20 + 1), "upload-too-large"),
    ],
)
def test_json_is_read_or_told_to_be_broken(client: httpx2.Client, body: bytes, slug: str) -> None:
    assert slug_of(client.post("/decode", content=body)) in slug.split(" or ")


@pytest.mark.parametrize("charset", ["undefined", "punycode", "idna", "utf-16", "no-such", "utf-8"])
def test_a_form_is_read_whatever_charset_it_claims(client: httpx2.Client, charset: str):
    answer = posted(client, WHOLE, f"multipart/form-data; boundary=X; charset={charset}")
    assert answer.status_code == 200


@pytest.mark.parametrize("boundary", [r'"a\\b"', r'"a\"b"', "'()+_,-./:=?"])
def test_a_form_is_read_whatever_its_boundary_is_made_of(client: httpx2.Client, boundary: str):
    bare = boundary.strip('"').replace('\\"', '"').replace("\\\\", "\\").encode()
    answer = posted(client, form(part(FILE, boundary=bare), boundary=bare), f"multipart/form-data; boundary={boundary}")
    assert answer.status_code in (200, 400, 422)
    if boundary.startswith("'"):
        assert answer.status_code == 200


def test_thousands_of_parameters_are_looked_through_at_once(client: httpx2.Client):
    began = time.monotonic()
    names = "&".join(f"{number:x}" for number in range(5000))
    assert client.post(f"/denoise?{names}&n=1&n=2", content=PNG).status_code == 422
    assert time.monotonic() - began < LONGEST
