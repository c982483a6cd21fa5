"""What is put around all routes."""

from pathlib import Path
from typing import Any

import pytest
from answers import problem
from pydantic import ValidationError
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings

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
    assert preflight(client, origin).status_code == 400
    assert preflight(client, OURS, method="DELETE").status_code == 400


@pytest.mark.parametrize("origins", ["*", "null", "https://*.example", "https://a.example/", "a.example", f"{OURS} *"])
def test_origins_are_exact_or_refused(origins: str):
    with pytest.raises(ValidationError, match="a scheme, a host"):
        Settings(origins=origins)  # type: ignore[arg-type]


def test_no_redirect_leads_to_whatever_host_a_client_names(client: TestClient):
    problem(client.get("/models/", headers={"host": "evil.example"}, follow_redirects=False), 404, "not-found")


def test_every_route_says_that_it_may_be_late_full_or_stopping(client: TestClient):
    for path, methods in client.app.openapi()["paths"].items():  # type: ignore[attr-defined]
        for told in methods.values():
            assert path == "/healthz" or "503" in told["responses"]
            if path in ("/denoise", "/sample", "/encode", "/decode"):
                assert "504" in told["responses"]
