"""What is put around all routes."""

import inspect
import logging
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from answers import encoded, problem
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.testclient import TestClient

from service import cards, page
from service.app import announced, create_app
from service.keys import Keys
from service.routes import health, router
from service.settings import Settings

from .conftest import asked

OURS = "https://pictures.example"
ALLOWS = "access-control-allow-origin"


def unstarted(**settings: Any) -> TestClient:
    return TestClient(create_app(Settings(models=Path("nothing"), **settings)))


def preflight(client: TestClient, origin: str, method: str = "POST", headers: str = "authorization"):
    asked = {"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}
    return client.options("/denoise", headers=asked)


def test_other_sites_pages_may_not_ask_unless_they_are_named():
    for origin in (OURS, "null", "https://else.example"):
        for answer in (unstarted().get("/healthz", headers={"origin": origin}), preflight(unstarted(), origin)):
            assert not [name for name in answer.headers if name.startswith("access-control")]


def test_named_sites_pages_may_ask_with_a_key_and_see_what_is_told():
    client = unstarted(origins=f"{OURS}, http://localhost:5173", api_keys="abcdefghijklmnopqrst")
    for origin in (OURS, "http://localhost:5173"):
        answer = client.get("/models", headers={"origin": origin})
        problem(answer, 401, "unauthorized")
        assert answer.headers[ALLOWS] == origin
        assert "Denoir-Sigma" in answer.headers["access-control-expose-headers"]
        assert "Origin" in answer.headers["vary"]
        before = preflight(client, origin)
        assert (before.status_code, before.headers[ALLOWS]) == (200, origin)
        assert "Authorization" in before.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers.keys() | before.headers.keys()


@pytest.mark.parametrize("origin", ["https://pictures.example.org", "http://pictures.example", "null", OURS + ":8443"])
def test_a_site_is_known_by_its_exact_origin(origin: str):
    client = unstarted(origins=OURS)
    assert ALLOWS not in client.get("/healthz", headers={"origin": origin}).headers
    problem(preflight(client, origin), 400, "bad-request")
    problem(preflight(client, OURS, method="DELETE"), 400, "bad-request")


ELSEWHERE = {"sec-fetch-site": "cross-site"}


@pytest.mark.parametrize("mode", ["no-cors", "cors", "navigate"])
@pytest.mark.parametrize("origin", [{}, {"origin": "null"}, {"origin": "https://else.example"}])
def test_what_a_browser_asks_for_another_sites_page_is_not_done(mode: str, origin: dict[str, str]):
    """A form that a page sends by itself comes as a navigation too."""
    for client in (unstarted(), unstarted(origins=OURS), unstarted(api_keys="abcdefghijklmnopqrst")):
        answer = client.post("/denoise", headers=ELSEWHERE | origin | {"sec-fetch-mode": mode})
        assert "names its origin" in problem(answer, 403, "other-site")["detail"]
    if mode != "navigate":
        problem(unstarted().get("/sample", headers=ELSEWHERE | origin | {"sec-fetch-mode": mode}), 403, "other-site")


def test_links_from_elsewhere_named_sites_and_who_is_no_browser_are_let_in():
    link = ELSEWHERE | {"sec-fetch-mode": "navigate"}
    for client, way, headers in (
        (unstarted(), "/", link),
        (unstarted(), "/sample", link),
        (unstarted(origins=OURS), "/sample", ELSEWHERE | {"origin": OURS}),
        (unstarted(), "/sample", {}),
        *((unstarted(), "/sample", {"sec-fetch-site": site}) for site in ("same-origin", "same-site", "none")),
    ):
        problem(client.get(way, headers=headers), 503, "shutting-down")
    assert unstarted().get("/healthz", headers=ELSEWHERE).status_code == 200


@pytest.mark.parametrize("origins", ["*", "null", "https://*.example", "https://a.example/", "a.example", f"{OURS} *"])
def test_origins_are_exact_or_refused(origins: str):
    with pytest.raises(ValidationError, match="a scheme, a host"):
        Settings(origins=origins)  # type: ignore[arg-type]


def test_who_asks_by_another_name_is_refused_but_for_health():
    client = unstarted(hosts="pictures.example, 127.0.0.1 [::1]")
    for host in ("pictures.example", "Pictures.Example:8000", "127.0.0.1:8000", "[::1]", "[::1]:8000"):
        for path in ("/", "/models"):
            problem(client.get(path, headers={"host": host}), 503, "shutting-down")
    for host in ("evil.example:8000", "pictures.example.evil.example", "evil@127.0.0.1", "127.0.0.1:x", "[::1", ""):
        for path in ("/", "/models", "/static/index.html", "/nowhere"):
            problem(client.get(path, headers={"host": host}), 400, "unknown-host")
        assert client.get("/healthz", headers={"host": host}).status_code == 200
    problem(unstarted().get("/", headers={"host": "evil.example"}), 503, "shutting-down")


@pytest.mark.parametrize("hosts", ["*", "*.example", "a.example:8000", "::1", "https://a.example", "a.example [x]"])
def test_names_have_no_port_and_no_stars(hosts: str):
    with pytest.raises(ValidationError, match="a name or an address"):
        Settings(hosts=hosts)  # type: ignore[arg-type]


def test_no_redirect_leads_to_whatever_host_a_client_names(client: TestClient):
    answer = client.get("/models/", headers={"host": "evil.example"}, follow_redirects=False)
    problem(answer, 404, "not-found")
    assert "location" not in answer.headers


def test_no_route_waits_for_a_thread():
    """Those that are no coroutines share forty, and a crowd would keep the service's health from being told."""
    routers = (router, cards.router, health, page.router)
    routes = [route for one in routers for route in one.routes if isinstance(route, APIRoute)]
    assert {"/healthz", "/readyz", "/denoise", "/"} <= {route.path for route in routes}
    called = [
        one for route in routes for one in (route.endpoint, *(part.call for part in route.dependant.dependencies))
    ]
    assert [one for one in called if not inspect.iscoroutinefunction(one)] == []


def test_serving_reaches_for_no_network(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    with asked(shelf) as client:
        picture = encoded(np.full((20, 30, 3), 99, np.uint8))
        assert client.post("/denoise?model=tiny-photo", content=picture).status_code == 200
        for path in ("/sample?model=tiny-vae", "/models/tiny-vae", "/openapi.json", "/docs", "/"):
            assert client.get(path).status_code == 200
        for url in (b"http://127.0.0.1/a.png", b"file:///etc/passwd"):
            problem(client.post("/denoise?model=tiny-photo", content=url), 415, "unsupported-format")


def test_every_route_says_that_it_may_be_late_full_or_stopping(client: TestClient):
    for path, methods in client.app.openapi()["paths"].items():  # type: ignore[attr-defined]
        for told in methods.values():
            assert path == "/healthz" or "503" in told["responses"]
            if path in ("/denoise", "/sample", "/encode", "/decode"):
                assert "504" in told["responses"]


def test_who_starts_it_is_told_what_it_loaded_on_what_and_where_to_look(shelf: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "denoir"), asked(shelf):
        told = [record.getMessage() for record in caplog.records]
    assert "on cpu, of 3 models loaded: tiny-denoise@1, tiny-photo@1, tiny-vae@1" in told
    assert "the page is at http://127.0.0.1:8000/ and the description of the API at http://127.0.0.1:8000/docs" in told


@pytest.mark.parametrize(
    ("host", "home"), [("0.0.0.0", "localhost"), ("::", "localhost"), ("::1", "[::1]"), ("10.1.1.1", "10.1.1.1")]
)
def test_the_page_is_told_at_an_address_that_a_browser_takes(host: str, home: str):
    engine: Any = SimpleNamespace(device="cpu", catalog=SimpleNamespace(titles=["a@1"]), loaded={})
    first, second = announced(engine, Settings(host=host, port=81), Keys())
    assert first == "on cpu, of 1 models loaded: none yet"
    assert f"http://{home}:81/ " in second
    assert second.endswith(":81/docs")
    _, keyed = announced(engine, Settings(host=host, port=81), Keys(["abcdefghijklmnop"]))
    assert keyed.endswith(":81/static/docs/api.html"), "/docs itself would ask for a key that no browser sends"
