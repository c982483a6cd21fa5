"""What can go wrong between a client and the service."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

PREFIX = "urn:denoir:"
LONG = 300
"""Characters that are told of an answer which is no problem of the service's: a proxy's, say."""


class ClientError(Exception):
    """Anything below."""


class Unreachable(ClientError):
    """No answer came, or not all of it."""


class Problem(ClientError):
    """What the service answered instead (RFC 9457).

    status: of HTTP. slug: what kind of problem, such as `unknown-model`. detail: a sentence for people.
    members: what else it tells, such as `known` models; the request's id is its `instance`.
    retry_after: the Retry-After header as it came.
    """

    def __init__(self, status: int, slug: str, detail: str, members: Mapping[str, Any], retry_after: str | None = None):
        super().__init__(f"{detail} ({slug}, {status})")
        self.status, self.slug, self.detail, self.members = status, slug, detail, members
        self.retry_after = retry_after

    @classmethod
    def of(cls, status: int, body: bytes, headers: Mapping[str, str]) -> "Problem":
        """From an answer; where it is not the service's own, named by its status."""
        try:
            members = json.loads(body)
            slug, detail = members["type"].removeprefix(PREFIX), members["detail"]
            return cls(int(members["status"]), slug, detail, members, headers.get("retry-after"))
        except (ValueError, TypeError, KeyError, AttributeError):
            detail = body.decode(errors="replace").strip()[:LONG]
            return cls(status, slug_of(status), detail or slug_of(status), {}, headers.get("retry-after"))


def slug_of(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower().replace(" ", "-")
    except ValueError:
        return f"status-{status}"
