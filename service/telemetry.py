"""What is written down of each request, and of what goes wrong: JSON, one line each.

JSON's own escapes keep a line a line, whatever a client sent. Of a picture its bytes, format and size are told, and
neither its name nor what a camera noted in it; of a query nothing.
"""

import json
import logging
import logging.config
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from service import metrics

log = logging.getLogger("denoir")

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

    def end(self, status: int, route: str = metrics.OTHER) -> None:
        """Writes it down, and counts it among those of its route."""
        seconds = round(time.monotonic() - self.began, 4)
        metrics.REQUESTS.labels(route, status).inc()
        metrics.REQUEST_SECONDS.labels(route).observe(seconds)
        log.info("request", extra={"fields": self.notes | {"status": status, "seconds": seconds}})


def note(**fields: Any) -> None:
    """Adds to what is written down of the request that is being answered, where one is."""
    if (notes := NOTES.get()) is not None:
        notes.update(fields)
