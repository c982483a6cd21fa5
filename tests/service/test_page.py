"""The page and its files: what they may do, and who may have them."""

import os
import re
from pathlib import Path

import pytest
from answers import problem
from starlette.testclient import TestClient

from service import page

LOCAL = re.compile(r"""(?:href|src)=["'](/[^"']*)["']|from ["'](\./[^"']+)["']|import\(["'](\./[^"']+)["']\)""")
PARTS = ("index.html", "icon.svg", "page", "style", "samples")
OTHERS = re.compile(r"https?://(?!www\.w3\.org/2000/svg)")


def own_files() -> list[Path]:
    """All files of the page, those of the API's page left out."""
    roots = [page.WEB / part for part in PARTS]
    return [
        path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*"))) if path.is_file()
    ]


def test_the_page_may_load_from_here_and_run_nothing_inline(client: TestClient):
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy.pop("require-trusted-types-for") == "'script'"
    assert policy.pop("img-src") == "'self' blob:"
    assert policy.pop("default-src") == "'none'"
    assert set(policy) == {"script-src", "style-src", "connect-src", "base-uri", "form-action", "frame-ancestors"}
    assert set(policy.values()) == {"'self'", "'none'"}
    assert policy["frame-ancestors"] == "'none'"


def test_there_is_nothing_inline_and_nothing_of_another_host():
    html = (page.WEB / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", html)
    for path in own_files():
        if path.suffix in (".html", ".js", ".css", ".svg"):
            assert not OTHERS.search(path.read_text()), path.name


def test_all_that_the_page_names_is_there(client: TestClient):
    named = set()
    for path in own_files():
        if path.suffix in (".html", ".js"):
            for here, *near in LOCAL.findall(path.read_text()):
                named.add(here or f"/static/page/{next(filter(None, near))[2:]}")
    assert len(named) > 20
    for address in named - {"/docs"}:
        assert client.get(address).status_code == 200, address


def test_all_modules_are_small():
    for path in own_files():
        if path.suffix in (".js", ".css", ".html"):
            assert len(path.read_text().splitlines()) <= 600, path.name


@pytest.mark.parametrize(
    ("address", "media_type"),
    [("page/main.js", "javascript"), ("style/base.css", "text/css"), ("icon.svg", "image/svg+xml")],
)
def test_files_are_kept_and_asked_for_again(client: TestClient, address: str, media_type: str):
    answer = client.get(f"/static/{address}")
    assert media_type in answer.headers["content-type"]
    assert answer.headers["cache-control"] == "no-cache"
    again = client.get(f"/static/{address}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("address", ["/", "/static/page/main.js", "/static/style/base.css", "/static/docs/api.html"])
def test_text_comes_packed_to_who_takes_it(client: TestClient, address: str):
    plain = client.get(address, headers={"Accept-Encoding": "gzip;q=0, br"})
    small = client.get(address, headers={"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert small.content == plain.content
    assert int(small.headers["content-length"]) < 0.7 * int(plain.headers["content-length"])
    for same in ("content-type", "cache-control", "content-security-policy", "vary"):
        assert small.headers[same] == plain.headers[same]
    assert small.headers["vary"] == "Accept-Encoding"
    assert small.headers["etag"] != plain.headers["etag"]
    for encoding, answer in (("gzip", small), ("identity", plain)):
        asked = {"Accept-Encoding": encoding, "If-None-Match": answer.headers["etag"]}
        if address != "/" or encoding == "gzip":
            again = client.get(address, headers=asked)
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == answer.headers["etag"]
            assert again.headers["vary"] == "Accept-Encoding"


def test_what_is_small_already_comes_as_it_lies(client: TestClient):
    answer = client.get("/static/samples/cat.jpg")
    assert "content-encoding" not in answer.headers
    assert answer.content == (page.WEB / "samples" / "cat.jpg").read_bytes()
    part = client.get("/static/samples/cat.jpg", headers={"Range": "bytes=0-9"})
    assert (part.status_code, len(part.content)) == (206, 10)


@pytest.mark.parametrize(
    ("asked", "status", "slug"),
    [
        ("bytes=nonsense", 400, "bad-request"),
        ("lines=0-9", 400, "bad-request"),
        ("bytes=999999999-", 416, "range-not-satisfiable"),
    ],
)
def test_a_range_that_makes_no_sense_is_a_problem(client: TestClient, asked: str, status: int, slug: str):
    for method in ("GET", "HEAD"):
        answer = client.request(method, "/static/samples/cat.jpg", headers={"Range": asked})
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code == status
    problem(client.get("/static/samples/cat.jpg", headers={"Range": asked}), status, slug)


def test_a_file_that_is_written_anew_is_packed_anew(tmp_path: Path):
    path = tmp_path / "a.js"
    path.write_text("one")
    first = page.gzipped(str(path), path.stat().st_mtime_ns)
    path.write_text("two")
    os.utime(path, ns=(1, 1))
    assert page.gzipped(str(path), 1) != first


def test_the_description_has_a_page_that_runs_nothing_inline(client: TestClient):
    answer = client.get("/static/docs/api.html")
    assert answer.status_code == 200
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=", answer.text)


def test_the_page_is_no_part_of_the_api(client: TestClient):
    assert "/" not in client.get("/openapi.json").json()["paths"]
    assert client.head("/").status_code == 200
    assert client.post("/").status_code == 405
