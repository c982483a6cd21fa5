"""The client of an answer: how much of it is taken, and whether that is soon enough."""

import asyncio
import logging
import math
import struct
import termios
from fcntl import ioctl

from service.settings import Settings

log = logging.getLogger("denoir")


class Reader:
    """The client as one who reads: ends the connection where it takes too long over an answer.

    It may pause for as long as a body may, and has to be as fast, over all the seconds that were spent on waiting for
    it. since: when the wait began that goes on. size: bytes that it was to take then. waited, taken: in waits before.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, limits: Settings):
        self.transport, self.loop, self.limits = transport, loop, limits
        self.waited, self.taken = 0.0, 0
        self.since, self.size = 0.0, 0
        self.timer: asyncio.TimerHandle | None = None

    @property
    def slow(self) -> float:
        """How many more seconds may be spent on waiting, by what it has taken."""
        rate, allowed = self.limits.body_rate, self.limits.body_start
        return max(allowed, self.taken / rate) - self.waited if rate else math.inf

    def wait(self) -> None:
        """Begins to wait, where there is anything to be taken."""
        self.go_on()
        self.since, self.size = self.loop.time(), self.untaken()
        if self.transport.get_write_buffer_size():
            self.timer = self.loop.call_later(max(0.0, min(self.limits.body_pause, self.slow)), self.look)

    def untaken(self) -> int:
        """Bytes that it has yet to take: ours, and the system's, which takes them from us by lumps and so tells
        nothing, for long, of one that reads steadily."""
        return self.transport.get_write_buffer_size() + queued(self.transport)

    def go_on(self) -> None:
        """Ends a wait."""
        if self.timer:
            self.timer.cancel()
            self.timer = None
            self.waited += self.loop.time() - self.since
            self.taken += max(0, self.size - self.untaken())

    def look(self) -> None:
        """The wait has been long enough, unless something was taken meanwhile, and soon enough."""
        before = self.taken
        self.go_on()
        if self.taken > before and self.slow > 0:
            self.wait()
        elif self.transport.get_write_buffer_size():
            log.info("an answer was not read, or too slowly")
            self.transport.abort()


def queued(transport: asyncio.Transport) -> int:
    """Bytes that the system holds for the other side, which has not said that it has them; 0 where it can't tell."""
    socket = transport.get_extra_info("socket")
    try:
        return struct.unpack("i", ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4)))[0] if socket else 0
    except (OSError, ValueError):  # the second of one that is closed
        return 0
