"""How often a client asks again, and how long it waits before it does.

Every request may be repeated, as none changes anything in the service.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from service.client.errors import ClientError, Problem

PASSING = {429, 503}
"""Statuses that another time may not have."""
FIRST_PAUSE = 0.5
"""Seconds before the second try where the service names no time; twice as many before each one after it."""


@dataclass(frozen=True)
class Patience:
    """tries: how often one thing is asked at most. seconds: how long all waits before them may be, together."""

    tries: int = 5
    seconds: float = 60.0


USUAL = Patience()


class Tries:
    """Those of one request."""

    def __init__(self, patience: Patience, repeatable: bool):
        self.patience, self.repeatable = patience, repeatable
        self.done, self.waited = 0, 0.0

    def pause(self, error: ClientError) -> float:
        """Seconds to wait before the next try, never less than the service asked for. Raises the error where there is
        to be none."""
        self.done += 1
        passing = not isinstance(error, Problem) or error.status in PASSING
        pause = FIRST_PAUSE * 2 ** (self.done - 1)
        if isinstance(error, Problem) and error.retry_after:
            pause = seconds_of(error.retry_after, pause)
        too_long = self.waited + pause > self.patience.seconds
        if not passing or not self.repeatable or self.done >= self.patience.tries or too_long:
            raise error
        self.waited += pause
        return pause


def seconds_of(retry_after: str, otherwise: float) -> float:
    """What a Retry-After header asks for: seconds, or a date."""
    try:
        return max(0.0, float(int(retry_after)))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return otherwise
