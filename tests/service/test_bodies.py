"""Forms that are more than a form may be."""

import numpy as np
import pytest
from answers import encoded, problem
from starlette.testclient import TestClient

PNG = encoded(np.full((8, 8, 3), 99, np.uint8))


def post(client: TestClient, parts: list[bytes], boundary: bytes = b"x") -> object:
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts) + b"--%s--\r\n" % boundary
    headers = {"content-type": f"multipart/form-data; boundary={boundary.decode()}"}
    return client.post("/denoise?model=tiny-photo&sigma=5", content=body, headers=headers)


def part(name: str, data: bytes, file: bool = False, headers: bytes = b"") -> bytes:
    named = f'Content-Disposition: form-data; name="{name}"' + ('; filename="a.png"' if file else "")
    return named.encode() + b"\r\n" + headers + b"\r\n" + data


FILE = part("file", PNG, file=True)


def test_a_form_may_have_other_fields_and_files(client: TestClient):
    file = part("file", PNG, file=True, headers=(b"X: " + b"x" * 1300 + b"\r\n") * 3)
    parts = [file, *(part(f"file{n}", PNG, file=True) for n in range(3)), *(part(f"n{n}", b"x") for n in range(8))]
    assert post(client, parts, b"b" * 200).status_code == 200  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("parts", "boundary"),
    [
        ([part(f"file{n}", PNG, file=True) for n in range(5)], b"x"),
        ([FILE, *(part(f"n{n}", b"x") for n in range(9))], b"x"),
        ([FILE, part("text", bytes(64 * 1024 + 1))], b"x"),
        ([FILE], b"b" * 300),
        ([part("file", PNG, file=True, headers=b"".join(b"X-%d: 1\r\n" % n for n in range(9)))], b"x"),
        ([part("file", PNG, file=True, headers=b"X: " + b"x" * 5000 + b"\r\n")], b"x"),
        ([part("file", PNG, file=True, headers=(b"X: " + b"x" * 1400 + b"\r\n") * 3)], b"x"),
    ],
    ids=["files", "fields", "text", "boundary", "headers", "header", "head"],
)
def test_a_form_has_bounds(client: TestClient, parts: list[bytes], boundary: bytes):
    problem(post(client, parts, boundary), 400, "broken-multipart")
    assert post(client, [FILE]).status_code == 200, "and the next is served"


@pytest.mark.parametrize(
    ("told", "parts"),
    [
        ({"max_files": 2}, [FILE, *(part(f"file{n}", PNG, file=True) for n in range(2))]),
        ({"max_fields": 1}, [FILE, part("a", b"x"), part("b", b"x")]),
        ({"max_field": 9}, [FILE, part("a", bytes(10))]),
        ({"max_part_head": 200}, [part("file", PNG, file=True, headers=b"X: " + b"x" * 200 + b"\r\n")]),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
)
def test_the_bounds_of_a_form_can_be_set(client: TestClient, told: dict[str, int], parts: list[bytes]):
    assert post(client, parts).status_code == 200
    state = client.app.state  # type: ignore[attr-defined]
    usual, state.settings = state.settings, state.settings.model_copy(update=told)
    try:
        problem(post(client, parts), 400, "broken-multipart")
    finally:
        state.settings = usual


def test_the_bounds_of_a_form_are_told(client: TestClient):
    described = client.get("/openapi.json").json()["paths"]["/interpolate"]["post"]["requestBody"]["content"]
    form = described["multipart/form-data"]["schema"]
    assert (form["maxProperties"], form["additionalProperties"]["maxLength"]) == (2 + 8, 64 * 1024)


def test_a_field_that_belongs_in_the_query_is_told_so(client: TestClient):
    response = post(client, [FILE, part("strength", b"0.5")], b"x")
    assert problem(response, 422, "invalid-parameter")["errors"][0]["parameter"] == "strength"
