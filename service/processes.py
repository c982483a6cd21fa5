"""A process that decodes and encodes, the thread that waits for it, and what passes from the loop to the two and back.

A process that hangs, crashes or talks nonsense is given up and started anew; whoever was waiting for it is told. One
that is gone before it has taken all that it was sent is replaced by one that is asked instead, once: that was nothing
that a picture did.
"""

import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from socket import socketpair
from typing import Any

from models.images import (
    AnimatedPicture,
    DamagedPicture,
    EmptyPicture,
    PictureError,
    PictureTooLarge,
    UnsupportedDepth,
    UnsupportedFormat,
)
from service.decoder import Channel, Head

log = logging.getLogger("denoir")

_START = 60.0
"""Seconds for a process to come up, on a machine that is busy."""

_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(4 << 20)}
"""No threads for arithmetic that is not done there, as each would take of the memory; and blocks of more than 4 MiB
go back to the system when they are free, so that a process at rest does not sit on 200 MB of its largest picture."""

_BOOT = "import sys; sys.path[:] = sys.argv[4:]; from service import decoder; decoder.main(*map(int, sys.argv[1:4]))"

_TOLD = {
    kind.__name__: kind
    for kind in (
        AnimatedPicture,
        DamagedPicture,
        EmptyPicture,
        PictureTooLarge,
        UnsupportedDepth,
        UnsupportedFormat,
        ValueError,
    )
}


class DecodeFailed(PictureError):
    """The decoder was given up: it hung, crashed, or ran out of memory."""

    def __str__(self) -> str:
        return "The picture could not be decoded or encoded within the time and memory that one picture may take."


class NoDecoder(Exception):
    """There is no process to ask: none can be started, or none lives until it is asked, or the pool was closed."""


Ask = Callable[[Channel, float], Any]
"""Sends one ask over a channel and fetches its answer, until a time."""


Jobs = queue.PriorityQueue[tuple[float, int, "Job | None"]]
"""By the moment that each should be done by; none is the end."""


class Told(Exception):
    """An error that the process told in good order."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Job:
    """One ask, from the caller's loop to the thread that carries it out, and back."""

    def __init__(self, ask: Ask, seconds: float) -> None:
        self.future: Future[Any] = Future()
        self._ask: Ask | None = ask
        self._seconds = seconds
        self._took = 0.0
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._killed = False

    def carry_out(self, process: "Process") -> bool:
        """Whether the process may be used again. Raises ConnectionError where it was gone before it had taken all that
        it was sent (which the system tells apart from one that ends when it has), and then another may be asked."""
        with self._lock:
            ask, self._process = self._ask, process
        try:
            if ask is not None and self._is_wanted():
                self.future.set_result(self._timed(ask, process.channel))
        except Told as error:
            self.future.set_exception(error.error)
        except Exception as error:  # late, gone, or talking nonsense
            if isinstance(error, ConnectionError) and not self._killed:
                raise
            self.future.set_exception(DecodeFailed())
            return False
        finally:
            with self._lock:
                self._process = None
        return not self._killed  # which it may have been when the answer was there already

    def _timed(self, ask: Ask, channel: Channel) -> Any:
        began = time.monotonic()
        try:
            return ask(channel, began + self._seconds)
        finally:
            self._took = time.monotonic() - began

    def _is_wanted(self) -> bool:
        """Whether anybody waits for it; from now on it can't be taken back."""
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def fail(self) -> None:
        """There is no process for it."""
        if self._is_wanted():
            self.future.set_exception(NoDecoder())

    def forget(self) -> None:
        """Lets go of what was sent, if no process has taken it yet."""
        if self.future.cancel():
            self._ask = None

    def left(self) -> float:
        """The seconds that it took, none if it was not carried out; it has been waited for, or is no longer.

        What came of it is let go of: an error knows the frames, which know this and what was sent, and in a ring they
        would wait for the collector.
        """
        self._ask, self.future = None, Future()
        return self._took

    def kill(self) -> None:
        """Ends the process that is busy with this, if one is, and has none begin."""
        with self._lock:
            self._ask = None
            if self._process:
                self._killed = True
                self._process.kill()


class Hand(threading.Thread):
    """A thread and the process that it starts, waits for, and starts anew where it is lost.

    The two belong together: the system ends a process bound to its parent with the very thread that started it.
    """

    def __init__(self, jobs: "Jobs", memory: int) -> None:
        super().__init__(name="decoder", daemon=True)
        self.ready: Future[None] = Future()
        self.ready.set_running_or_notify_cancel()
        self.process: Process | None = None
        self.replaced = 0
        self._jobs = jobs
        self._memory = memory
        self._lock = threading.Lock()
        self._stopping = False

    def run(self) -> None:
        try:
            self._begin()
            self.ready.set_result(None)
        except (OSError, EOFError, ValueError) as error:
            self.ready.set_exception(error)
        while self._serve():
            pass
        self._end()

    def stop(self) -> None:
        """Ends the process, and with it what it is busy with. The thread ends when it finds nothing in the queue."""
        with self._lock:
            self._stopping = True
            if self.process:
                self.process.kill()

    def _serve(self) -> bool:
        """One job. A function of its own, so that nothing of the last one is held while the next is awaited."""
        *_, job = self._jobs.get()
        if job is None:
            return False
        if not (self._has_taken(job) or self._has_taken(job)):
            job.fail()
        return True

    def _has_taken(self, job: Job) -> bool:
        """Whether the process took the job, done or not; one that was lost over it, or before, has been replaced."""
        if self.process is None:
            self._begin_anew()
        if self.process is None:
            return False
        try:
            taken, usable = True, job.carry_out(self.process)
        except ConnectionError:
            taken, usable = False, False
        if not usable:
            self._end()
            self.replaced += 1
            self._begin_anew()
        return taken

    def _begin(self) -> None:
        with self._lock:
            if self._stopping:
                return
            self.process = Process(self._memory)
        try:
            self.process.channel.receive(time.monotonic() + _START)
        except (OSError, EOFError, ValueError):
            self._end()
            raise

    def _begin_anew(self) -> None:
        try:
            self._begin()
        except (OSError, EOFError, ValueError) as error:  # the next job tries again
            log.error("no decoder can be started: %r", error)

    def _end(self) -> None:
        with self._lock:
            process, self.process = self.process, None
            if process:
                process.end()


class Process:
    """One decoder process and this end of its channel.

    It gets none of the environment, where keys may be, and none of the command line's flags; only where modules lie.
    """

    def __init__(self, memory: int) -> None:
        ours, theirs = socketpair()
        self.channel = Channel(ours)
        given = (theirs.fileno(), os.getpid(), memory, *sys.path)
        try:
            self._child = subprocess.Popen(  # noqa: S603  our own interpreter, our own words
                [sys.executable, "-I", "-c", _BOOT, *map(str, given)],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid = self._child.pid

    def kill(self) -> None:
        self._child.kill()

    def end(self) -> None:
        self._child.kill()
        self._child.wait()
        self.channel.close()


def told(head: Head) -> Head:
    """The head of an answer, or the error that it tells."""
    if "error" not in head:
        return head
    error = _TOLD[head["error"]](*head["args"])
    str(error)  # fails here, and not where it is shown, if what it is made of makes no sense
    raise Told(error)
