"""What is written down of each request, and of what goes wrong: JSON, one line each; and traces, where they are wanted.

JSON's own escapes keep a line a line, whatever a client sent. Of a picture its bytes, format and size are told, and
neither its name nor what a camera noted in it; of a query nothing.
"""

import json
import logging
import logging.config
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from service import metrics

log = logging.getLogger("denoir")

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

LONGEST_PATH = 200
"""Characters of a path that are written down."""

NOTES: ContextVar[dict[str, Any] | None] = ContextVar("notes", default=None)


class Line(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


def write_lines() -> None:
    """Sets logging up, for a process that serves: our lines and the server's, from `info` on; of libraries warnings."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": Line}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {"denoir": {"level": "INFO"}, "uvicorn": {"level": "INFO"}},
        }
    )


class Record:
    """What is known of one request by its end. Those who answer it add to it with `note`."""

    def __init__(self, request_id: str, method: str, path: str):
        self.began = time.monotonic()
        self.notes: dict[str, Any] = {"id": request_id, "method": method, "path": path[:LONGEST_PATH]}
        NOTES.set(self.notes)
        trace.get_current_span().set_attribute("denoir.id", request_id)

    def end(self, status: int, route: str = metrics.OTHER) -> None:
        """Writes it down, and counts it among those of its route."""
        seconds = round(time.monotonic() - self.began, 4)
        metrics.REQUESTS.labels(route, status).inc()
        metrics.REQUEST_SECONDS.labels(route).observe(seconds)
        log.info("request", extra={"fields": self.notes | {"status": status, "seconds": seconds}})


def attributes(notes: dict[str, Any], prefix: str = "denoir") -> dict[str, Any]:
    """Of a span, which has no tables within tables."""
    flat: dict[str, Any] = {}
    for name, value in notes.items():
        told = f"{prefix}.{name}"
        flat |= attributes(value, told) if isinstance(value, dict) else {told: value}
    return flat


def note(**fields: Any) -> None:
    """Adds to what is written down of the request that is being answered, where one is, and to its trace."""
    if (notes := NOTES.get()) is not None:
        notes.update(fields)
        trace.get_current_span().set_attributes(attributes(fields))


def traces_to(address: str) -> "TracerProvider":
    """Spans of requests on their way to a collector by OTLP over HTTP, in batches, from a thread of their own; what
    can't be sent is dropped. Raises ValueError."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise ValueError("traces need more of OpenTelemetry: pip install 'denoir[traces]'") from error
    provider = TracerProvider(resource=Resource({SERVICE_NAME: "denoir"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(address)))
    return provider
