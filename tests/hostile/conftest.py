"""A real server with small models, and what every answer of it has to be, whatever was sent."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import Server, started

TELLING = re.compile(r"Traceback|\.py\b|/(usr|home|work|root|tmp)/|PIL|numpy|starlette|torch|0x[0-9a-f]{6}")
"""What no answer may let out."""

LONGEST = 30.0
"""Seconds after which a request counts as hanging."""


@pytest.fixture(scope="package")
def server(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    cache = str(tmp_path_factory.mktemp("graphs"))
    limits = {"DENOIR_BODY_PAUSE": "3", "DENOIR_KEEP_ALIVE": "1"}  # so that nobody waits long for a connection to close
    with started(shelf, DENOIR_CACHE=cache, DENOIR_DEVICE="cpu", DENOIR_TILE="128", **limits) as server:
        yield server


@pytest.fixture(scope="package")
def client(server: Server) -> Iterator[httpx2.Client]:
    one_each = httpx2.Limits(max_keepalive_connections=0)
    with httpx2.Client(base_url=server.url, timeout=LONGEST, limits=one_each) as client:
        yield client


def slug_of(response: Any) -> str:
    """Why there is no answer, or nothing where there is one; either has to be in good order."""
    assert response.status_code < 500, response.text
    assert response.headers["x-request-id"]
    if response.status_code == 200:
        return ""
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["status"], problem["instance"]) == (response.status_code, response.headers["x-request-id"])
    assert not TELLING.search(response.text), response.text
    return problem["type"].removeprefix("urn:denoir:")
