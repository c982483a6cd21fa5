"""The page and its files: what they may do, and who may have them."""

import re
from pathlib import Path

import pytest
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


def test_the_page_is_no_part_of_the_api(client: TestClient):
    assert "/" not in client.get("/openapi.json").json()["paths"]
    assert client.head("/").status_code == 200
    assert client.post("/").status_code == 405
