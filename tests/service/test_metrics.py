import re
import socket
import subprocess
import sys
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prometheus_client import generate_latest
from starlette.testclient import TestClient

from models.inference import NotFinite
from service import metrics
from service.engine import Kind


def value(name: str, **labels: str) -> float:
    """What is counted by now."""
    return metrics.REGISTRY.get_sample_value(f"denoir_{name}", labels) or 0.0


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetched(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        return answer.read().decode()


def test_requests_are_counted_by_route_and_status_and_what_is_wrong_by_its_slug(client: TestClient):
    asked = [
        ("GET", "/models/nobody", "/models/{name}", "404", "unknown-model"),
        ("HEAD", "/models/nobody", "/models/{name}", "404", "unknown-model"),
        ("GET", "/sample?model=tiny-vae&n=0", "/sample", "422", "invalid-parameter"),
        ("POST", "/denoise?model=tiny-photo", "/denoise", "422", "empty-upload"),
        ("PUT", "/denoise", "/denoise", "405", "method-not-allowed"),
        ("GET", "/secret-of-a-client", "other", "404", "not-found"),
    ]
    for method, path, route, status, reason in asked:
        before = value("requests_total", route=route, status=status), value("rejections_total", reason=reason)
        client.request(method, path)
        after = value("requests_total", route=route, status=status), value("rejections_total", reason=reason)
        assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1], (method, path)


def test_a_body_that_is_refused_on_the_way_counts_at_its_route(client: TestClient):
    before = value("requests_total", route="/denoise", status="413")
    client.post("/denoise", content=b"x" * 400_000)
    assert value("requests_total", route="/denoise", status="413") == before + 1


def test_no_label_is_what_a_client_sent(client: TestClient):
    client.get("/models/secret1", headers={"x-request-id": "secret2", "user-agent": "secret3"})
    client.get("/secret4?secret5=secret6")
    client.request("SECRET7", "/denoise")
    assert "secret" not in generate_latest(metrics.REGISTRY).decode().lower()


def test_the_parts_of_a_journey_and_the_batches_are_counted(client: TestClient):
    before = value("part_seconds_count", part="model"), value("batch_pieces_sum", task="decode")
    tiles = value("tile_seconds_count", model="tiny-vae@1", task="decode")
    client.get("/sample?model=tiny-vae&n=21&seed=1")  # a full batch, and five that have one to themselves
    assert value("part_seconds_count", part="model") == before[0] + 1
    assert value("batch_pieces_sum", task="decode") == before[1] + 21
    assert value("tile_seconds_count", model="tiny-vae@1", task="decode") > tiles
    assert value("model_loads_total", model="tiny-vae@1") >= 1
    assert value("model_bytes", model="tiny-vae@1") > 0


def test_the_metrics_are_not_told_on_the_public_port(client: TestClient):
    assert client.get("/metrics").status_code == 404


def test_values_that_are_not_finite_are_counted_by_model():
    run = metrics.watched(lambda kind, payloads: [NotFinite(), 1, NotFinite()])
    before = value("not_finite_total", model="fake@1")
    run(Kind("fake@1", "decode"), [0, 0, 0])
    assert value("not_finite_total", model="fake@1") == before + 2


def test_they_are_told_on_a_port_of_their_own_until_that_ends(port: int):
    end = metrics.tell("127.0.0.1", port)
    metrics.REFUSALS.inc()
    assert re.search(r"^denoir_checkpoint_refusals_total [1-9]", fetched(port), re.MULTILINE)
    end()
    with pytest.raises(URLError):
        fetched(port)


def test_a_port_that_is_taken_stops_nobody(port: int, caplog: pytest.LogCaptureFixture):
    end = metrics.tell("127.0.0.1", port)
    metrics.tell("127.0.0.1", port)()
    end()
    assert f"127.0.0.1:{port} can't be listened to" in caplog.text


def test_there_may_be_no_port(monkeypatch: pytest.MonkeyPatch):
    started = []
    monkeypatch.setattr(metrics, "start_http_server", lambda *asked: started.append(asked))
    metrics.tell("127.0.0.1", 0)()
    with metrics.summed("127.0.0.1", 0) as forget:
        forget(1)
    assert not started


WORKER = """
from service import metrics
metrics.REFUSALS.inc(3)
metrics.QUEUE_PIXELS.set(100)
metrics.BATCH_PIECES.labels("decode").observe(2)
print("done", flush=True)
input()
"""


def working() -> subprocess.Popen:
    """One that has counted, and lives until its input ends."""
    one = subprocess.Popen([sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert one.stdout
    assert one.stdout.readline() == b"done\n"
    return one


def test_what_several_workers_count_is_summed_and_of_a_dead_one_only_the_counters_stay(port: int):
    with metrics.summed("127.0.0.1", port) as forget:
        first, second = working(), working()
        both = fetched(port)
        first.communicate(b"\n")
        forget(first.pid)
        one = fetched(port)
        second.communicate(b"\n")
    for told in (both, one):
        assert "denoir_checkpoint_refusals_total 6.0" in told
        assert 'denoir_batch_pieces_sum{task="decode"} 4.0' in told
    assert "denoir_queue_pixels 200.0" in both
    assert "denoir_queue_pixels 100.0" in one
    with pytest.raises(URLError):
        fetched(port)
