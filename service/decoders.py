"""A pool of processes that decode untrusted bytes, and encode, and can be killed.

A file that hangs, crashes or bloats its decoder costs that process and one error; whoever else waits does not notice.
This side looks at no more of what it is sent than its first bytes, which tell the format: the header too is parsed over
there (`decoder`).
"""

import asyncio
import itertools
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from socket import socketpair
from typing import Any, Self

import numpy as np

from models.images import (
    FORMATS,
    WRITTEN,
    AnimatedPicture,
    DamagedPicture,
    EmptyPicture,
    Limits,
    Picture,
    PictureError,
    PictureTooLarge,
    UnsupportedDepth,
    UnsupportedFormat,
    format_of,
)
from models.images.picture import USUAL
from service.decoder import Channel, Head, picture_after, picture_blobs, picture_head
from service.rates import READ, Coding

_START = 60.0
"""Seconds for a process to come up, on a machine that is busy."""

_GRACE = 0.25
"""Seconds that work goes on for after nobody waits for it any more. A new process takes about as long to start."""

_SLACK = 64 << 20
"""Bytes that a profile may have, and an encoding beyond its samples."""

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
    """The decoder was given up: it hung, crashed, ran out of memory, or the pool was closed."""

    def __str__(self) -> str:
        return "The picture could not be decoded or encoded within the time and memory that one picture may take."


LARGE = 4 << 20
"""Bytes of samples from which a picture is a large one: above a megapixel of colours. Of one that is still a file there
are taken to be eight times as many as the file has."""

PACE = 20e6
"""Bytes of samples that are taken to be done in a second: who came so many seconds later goes first if it has as many
fewer."""


class Decoders:
    """A pool of decoding processes. The small go before the large, as if each were to be done as long after it came as
    it takes; and one process, where there are several, takes no large ones, so that a thumbnail never waits for a scan.

    workers: processes, each with a thread of this one that waits for it.
    deadline: seconds for decoding one picture, from the moment that a process takes it.
    limits: how large a picture may be.
    encode_deadline: seconds for encoding one; these are our own pixels, and 50 million take long in some formats.
    memory: bytes of address space that a process may take beyond what it holds at rest. By default 64 a pixel of the
        largest picture (the most measured is 55, encoding AVIF with alpha; decoding takes up to 27) and 256 MiB for
        the file and what stands beside the pixels: 3.5 GB for 50 million.
    """

    def __init__(
        self,
        workers: int,
        deadline: float = 10.0,
        limits: Limits = USUAL,
        *,
        encode_deadline: float = 60.0,
        memory: int | None = None,
    ) -> None:
        self._deadline = deadline
        self._encode_deadline = encode_deadline
        self._limits = limits
        self.coding = Coding(4 * limits.max_pixels)
        self._jobs: _Jobs = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._at_once = max(1, workers - 1)
        self._room = asyncio.Semaphore(self._at_once)
        memory = 64 * limits.max_pixels + (256 << 20) if memory is None else memory
        self._hands = [_Hand(self._jobs, memory) for _ in range(workers)]
        self._open = False

    async def start(self) -> None:
        """Returns when every process is ready. Raises RuntimeError where one does not come up."""
        for hand in self._hands:
            hand.start()
        self._open = True
        try:
            await asyncio.gather(*(asyncio.wrap_future(hand.ready) for hand in self._hands))
        except BaseException as error:
            await self.close()
            if isinstance(error, (OSError, EOFError, ValueError)):
                raise RuntimeError("a decoder did not start") from error
            raise

    async def close(self) -> None:
        """Ends every process at once; what was asked and is not done fails with DecodeFailed."""
        self._open = False
        for hand in self._hands:
            hand.stop()
        with suppress(queue.Empty):
            while True:
                if job := self._jobs.get_nowait()[-1]:
                    job.fail()
        for _ in self._hands:
            self._jobs.put((math.inf, next(self._numbers), None))
        for hand in filter(threading.Thread.is_alive, self._hands):
            await asyncio.to_thread(hand.join)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def pids(self) -> list[int]:
        """Of the processes that are up."""
        return [process.pid for hand in self._hands if (process := hand.process)]

    @property
    def waiting(self) -> int:
        """How many pictures no process has taken yet, but for large ones that wait for other large ones."""
        return self._jobs.qsize()

    @property
    def replaced(self) -> int:
        """How many processes have been given up since the start."""
        return sum(hand.replaced for hand in self._hands)

    async def measure(self) -> None:
        """Writes a small picture in every format and reads it, so that what either takes, and how many samples a file
        holds, is known before anybody waits for it."""
        for form in WRITTEN:
            await self.read(await self.write(_grained(), form))

    def samples(self, data: bytes) -> float:
        """Bytes of samples in a file, by its format and length alone."""
        return self.coding.samples(format_of(data), len(data))

    def expected(self, data: bytes) -> float:
        """Seconds for which a file, and what is written for it, will keep the pool from others."""
        return self.coding.expected(self.samples(data)) / self._at_once

    def writing(self, format: str, size: int) -> float:
        """Seconds for which a picture of so many bytes of samples will, when it is written."""
        return self.coding.predicted(format, size) / self._at_once

    async def read(self, data: bytes) -> Picture:
        """`images.read` in another process. Raises any PictureError, DecodeFailed among them."""

        def ask(channel: Channel, until: float) -> Picture:
            limits = {"max_pixels": self._limits.max_pixels, "max_side": self._limits.max_side}
            channel.send({"task": "read", "size": len(data), "limits": limits}, data, until=until)
            head = _told(channel.receive(until))
            _check(head, self._limits)
            return picture_after(head, channel, until)

        job, samples = _Job(ask, self._deadline), self.samples(data)
        try:
            picture = await self._in_turn(job, 8 * len(data))
            samples = picture.pixels.nbytes
            self.coding.grown[picture.format].learn(samples, len(data))
            return picture
        finally:
            self.coding.learn(READ, samples, job.left())

    async def write(
        self,
        picture: Picture,
        format: str,
        *,
        quality: int = 90,
        effort: int | None = None,
        metadata: bytes | None = None,
        frames: int = 1,
    ) -> bytes:
        """`images.write` in another process. Raises what that raises, and DecodeFailed."""

        def ask(channel: Channel, until: float) -> bytes:
            options = {"quality": quality, "effort": effort, "frames": frames}
            head = {"task": "write", "picture": picture_head(picture), "format": format, "options": options}
            blobs = [*picture_blobs(picture), metadata or b""]
            channel.send(head | {"metadata": len(metadata or b"")}, *blobs, until=until)
            size = _told(channel.receive(until))["size"]
            if not 0 < size <= 2 * picture.pixels.nbytes + _SLACK:
                raise ValueError("no encoding is as long as that")
            return channel.take(size, until)

        job = _Job(ask, self._encode_deadline)
        try:
            return await self._in_turn(job, picture.pixels.nbytes)
        finally:
            self.coding.learn(format, picture.pixels.nbytes, job.left())

    async def _in_turn(self, job: "_Job", size: int) -> Any:
        """What is asked, of about so many bytes of samples, when there is room for it."""
        if not self._open:
            raise RuntimeError("the decoders are not running")
        if size < LARGE:
            return await self._ask(job, size)
        async with self._room:
            if not self._open:  # closed meanwhile
                raise DecodeFailed
            return await self._ask(job, size)

    async def _ask(self, job: "_Job", size: int) -> Any:
        self._jobs.put((time.monotonic() + size / PACE, next(self._numbers), job))
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            job.forget()
            asyncio.get_running_loop().call_later(_GRACE, job.kill)
            raise


def _grained(side: int = 256) -> Picture:
    """A picture as photographs are: smooth, with some grain."""
    rows, columns = np.mgrid[:side, :side, :3][:2]
    grain = np.random.default_rng(0).normal(0, 4, rows.shape)
    return Picture((128 + 80 * np.sin(rows / 40) * np.cos(columns / 30) + grain).astype(np.uint8))


_Ask = Callable[[Channel, float], Any]
"""Sends one ask over a channel and fetches its answer, until a time."""


_Jobs = queue.PriorityQueue[tuple[float, int, "_Job | None"]]
"""By the moment that each should be done by; none is the end."""


class _Told(Exception):
    """An error that the process told in good order."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _Job:
    """One ask, from the caller's loop to the thread that carries it out, and back."""

    def __init__(self, ask: _Ask, seconds: float) -> None:
        self.future: Future[Any] = Future()
        self._ask: _Ask | None = ask
        self._seconds = seconds
        self._took = 0.0
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def carry_out(self, process: "_Process") -> bool:
        """Whether the process may be used again."""
        with self._lock:
            ask, self._process = self._ask, process
        try:
            if ask is not None and self.future.set_running_or_notify_cancel():
                self.future.set_result(self._timed(ask, process.channel))
        except _Told as told:
            self.future.set_exception(told.error)
        except Exception:  # late, gone, or talking nonsense
            self.future.set_exception(DecodeFailed())
            return False
        finally:
            with self._lock:
                self._process = None
        return True

    def _timed(self, ask: _Ask, channel: Channel) -> Any:
        began = time.monotonic()
        try:
            return ask(channel, began + self._seconds)
        finally:
            self._took = time.monotonic() - began

    def fail(self) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(DecodeFailed())

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
        """Ends the process that is busy with this, if one is."""
        with self._lock:
            if self._process:
                self._process.kill()


class _Hand(threading.Thread):
    """A thread and the process that it starts, waits for, and starts anew where it is lost.

    The two belong together: the system ends a process bound to its parent with the very thread that started it.
    """

    def __init__(self, jobs: "_Jobs", memory: int) -> None:
        super().__init__(name="decoder", daemon=True)
        self.ready: Future[None] = Future()
        self.ready.set_running_or_notify_cancel()
        self.process: _Process | None = None
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
        if self.process is None:
            self._begin_anew()
        if self.process is None:
            job.fail()
        elif not job.carry_out(self.process):
            self._end()
            self.replaced += 1
            self._begin_anew()
        return True

    def _begin(self) -> None:
        with self._lock:
            if self._stopping:
                return
            self.process = _Process(self._memory)
        try:
            self.process.channel.receive(time.monotonic() + _START)
        except (OSError, EOFError, ValueError):
            self._end()
            raise

    def _begin_anew(self) -> None:
        with suppress(OSError, EOFError, ValueError):  # the next job tries again
            self._begin()

    def _end(self) -> None:
        with self._lock:
            process, self.process = self.process, None
            if process:
                process.end()


class _Process:
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


def _told(head: Head) -> Head:
    """The head of an answer, or the error that it tells."""
    if "error" not in head:
        return head
    error = _TOLD[head["error"]](*head["args"])
    str(error)  # fails here, and not where it is shown, if what it is made of makes no sense
    raise _Told(error)


def _check(head: Head, limits: Limits) -> None:
    """That an announced picture can be what it should be: a process that was taken over may announce anything."""
    height, width, _ = head["shape"]
    sides = 0 < min(height, width) <= max(height, width) <= limits.max_side
    if not sides or height * width > limits.max_pixels or not 0 <= head["profile"] <= _SLACK:
        raise ValueError("no picture within the limits is like that")
    if head["format"] not in FORMATS:
        raise ValueError("no picture is of such a format")
