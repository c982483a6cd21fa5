import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from answers import encoded
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.testclient import TestClient

from service import app as application
from service.app import create_app
from service.settings import Settings

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(BaseHTTPRequestHandler):
    """Takes what is sent, as a collector does."""

    received: list[bytes] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[str]:
    Collector.received.clear()
    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces"
    server.shutdown()
    server.server_close()


def asked(shelf: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture cleaned, one path that isn't there."""
    monkeypatch.setattr(application, "SHIPPED", shelf / "nothing ships")
    settings = Settings(models=shelf, device="cpu", decoders=1, tile=128, traces=address)
    with TestClient(create_app(settings)) as client:
        picture = encoded(np.full((30, 40, 3), 9, np.uint8))
        query = {"model": "tiny-photo", "sigma": 7}
        client.post("/denoise", params=query, content=picture, headers={"traceparent": CALLER})
        client.get("/nowhere")


def test_each_request_is_a_span_that_the_collector_has_by_the_end(shelf: Path, collector: str, monkeypatch):
    asked(shelf, collector, monkeypatch)
    sent = [ExportTraceServiceRequest.FromString(body) for body in Collector.received]
    spans = [span for one in sent for part in one.resource_spans for scope in part.scope_spans for span in scope.spans]
    cleaned, lost = sorted(spans, key=lambda span: span.start_time_unix_nano)
    assert cleaned.name == "POST /denoise"
    assert cleaned.trace_id.hex() == CALLER.split("-")[1]
    assert cleaned.parent_span_id.hex() == CALLER.split("-")[2]
    assert cleaned.end_time_unix_nano > cleaned.start_time_unix_nano
    known = {one.key for one in cleaned.attributes}
    assert {"http.route", "http.response.status_code", "denoir.model", "denoir.width", "denoir.took.model"} <= known
    assert next(one.value.int_value for one in lost.attributes if one.key == "http.response.status_code") == 404


def test_nothing_is_sent_unless_it_is_asked_for(shelf: Path, collector: str, monkeypatch):
    asked(shelf, "", monkeypatch)
    assert not Collector.received


def test_without_the_library_the_start_says_what_is_missing(tmp_path: Path):
    """In a process where it can't be found, which serves all the same where no traces are asked for."""
    code = """
import sys
sys.modules["opentelemetry.sdk"] = None
from service.app import create_app
from service.settings import Settings
create_app(Settings())
try:
    create_app(Settings(traces="http://x/"))
except ValueError as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'denoir[traces]'" in found.stdout


@pytest.mark.parametrize("address", ["collector:4318", "ftp://collector"])
def test_an_address_that_is_none_is_refused(address: str):
    with pytest.raises(ValueError, match="traces"):
        Settings(traces=address)
