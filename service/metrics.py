"""What is counted of the service, for Prometheus, on a port of its own.

Labels are routes as the application writes them, titles of models, slugs of ours and status codes: nothing that a
client sent. With several workers each writes its numbers to files that all of them share, and the supervisor tells the
sums; a dead worker's counters stay, its gauges go.
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from models.inference import NotFinite

log = logging.getLogger("denoir")

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""What prometheus_client calls the folder that workers share, in the environment that they start with."""
OTHER = "other"
"""The route of what no route takes."""
SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0)

REGISTRY = CollectorRegistry()
"""Of one process; where there are several, each metric goes to the shared files as well as here."""


def counter(name: str, told: str, *labels: str) -> Counter:
    return Counter(f"denoir_{name}", told, labels, registry=REGISTRY)


def histogram(name: str, told: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"denoir_{name}", told, labels, registry=REGISTRY, buckets=buckets)


def gauge(name: str, told: str, *labels: str) -> Gauge:
    return Gauge(f"denoir_{name}", told, labels, registry=REGISTRY, multiprocess_mode="livesum")


REQUESTS = counter("requests", "Requests that have ended; status 0 where the client had gone.", "route", "status")
REQUEST_SECONDS = histogram("request_seconds", "From a request's head to the end of its answer.", LONG, "route")
REJECTIONS = counter("rejections", "Requests told that something is wrong, by the slug of it.", "reason")
PART_SECONDS = histogram("part_seconds", "Of what was answered: decode, queue, model, encode.", LONG, "part")
BATCH_PIECES = histogram("batch_pieces", "Pieces of work in a batch.", (1, 2, 4, 8, 16, 32, 64), "task")
TILE_SECONDS = histogram("tile_seconds", "Seconds of a batch by its pieces.", SHORT, "model", "task")
NOT_FINITE = counter("not_finite", "Pieces for which a model gave a value that is not finite.", "model")
LOADS = counter("model_loads", "Models loaded.", "model")
UNLOADS = counter("model_unloads", "Models let go of, to make room or for a newer one.", "model")
REFUSALS = counter("checkpoint_refusals", "Checkpoints on the shelf that could not be used.")
MODEL_BYTES = gauge("model_bytes", "Memory that a loaded model takes, as measured when it was loaded.", "model")
QUEUE_PIXELS = gauge("queue_pixels", "Pixels of admitted work that have not begun to be computed.")
QUEUE_SECONDS = gauge("queue_seconds", "Seconds predicted for all that runs and waits.")
DEVICE_BYTES = gauge("device_bytes", "Memory that is taken: of the GPU, or on a CPU by the process.")


def watched(run: Callable[[Any, list[Any]], list[Any]]) -> Callable[[Hashable, list[Any]], list[Any]]:
    """What runs batches of a `Kind`, each counted and timed."""

    def counted(kind: Any, payloads: list[Any]) -> list[Any]:
        began = time.monotonic()
        results = run(kind, payloads)
        pieces = len(payloads) * kind.pieces
        BATCH_PIECES.labels(kind.task).observe(pieces)
        TILE_SECONDS.labels(kind.model, kind.task).observe((time.monotonic() - began) / pieces)
        for result in results:
            if isinstance(result, NotFinite):
                NOT_FINITE.labels(kind.model).inc()
        return results

    return counted


def tell(host: str, port: int, registry: CollectorRegistry = REGISTRY) -> Callable[[], None]:
    """Answers on the metrics' port, where there is one. Returns what ends that.

    A port that is taken is told in the log: the service is worth more than what is counted of it.
    """
    if not port:
        return lambda: None
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        log.warning("no metrics are told: %s:%d can't be listened to: %s", host, port, error.strerror)
        return lambda: None

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end


@contextmanager
def summed(host: str, port: int) -> Iterator[Callable[[int], None]]:
    """Tells the sums over the processes that are started meanwhile. Gives what is to be told of each that has died."""
    if not port:
        yield lambda pid: None
        return
    with tempfile.TemporaryDirectory(prefix="denoir-metrics-") as folder:
        os.putenv(FOLDER, folder)  # for those that are started: it must be there before they import prometheus_client
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)
        end = tell(host, port, registry)
        try:
            yield lambda pid: mark_process_dead(pid, folder)
        finally:
            end()
            os.unsetenv(FOLDER)
