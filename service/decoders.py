"""A pool of processes that decode untrusted bytes, and encode, and can be killed.

A file that hangs, crashes or bloats its decoder costs that process and one error; whoever else waits does not notice.
This side looks at no more of what it is sent than its first bytes, which tell the format, and at the few that declare a
size: the header too is parsed over there (`decoder`).
"""

import asyncio
import itertools
import math
import queue
import threading
import time
from contextlib import suppress
from typing import Any, Self

import numpy as np

from models import images
from models.images import FORMATS, WRITTEN, Limits, Picture
from models.images.declared import Declared, declared
from models.images.picture import CHANNELS, USUAL
from service.decoder import Channel, Head, picture_after, picture_blobs, picture_head
from service.processes import Hand, Job, Jobs, NoDecoder, told
from service.rates import READ, Coding

_GRACE = 0.25
"""Seconds that work goes on for after nobody waits for it any more. A new process takes about as long to start."""

_SLACK = 64 << 20
"""Bytes that a profile may have, and an encoding beyond its samples."""

LARGE = 4 << 20
"""Bytes of samples from which a picture is a large one: above a megapixel of colours."""

GROWN = 8
"""Bytes of samples that there are taken to be for each of a file that doesn't say how large its picture is."""

SMALL = 1 << 14
"""Bytes of samples up to which a PNG is written by this process: half a millisecond at most."""

PACE = 20e6
"""Bytes of samples that are taken to be done in a second: who came so many seconds later goes first if it has as many
fewer."""


MOST = 30.0
"""Seconds that a picture may be predicted to take to be written with more effort than none told, as it keeps the large
ones behind it waiting for so long."""


class TooMuchEffort(ValueError):
    """A picture would take too long to be written with so much effort: `seconds`."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        super().__init__(f"a picture would take {seconds:.0f} s to be written")


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
        self.coding = Coding()
        self._jobs: Jobs = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._at_once = max(1, workers - 1)
        self._room = asyncio.Semaphore(self._at_once)
        memory = 64 * limits.max_pixels + (256 << 20) if memory is None else memory
        self._hands = [Hand(self._jobs, memory) for _ in range(workers)]
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
        """Ends every process at once; what was asked and is not done fails with NoDecoder, or with DecodeFailed where a
        process was at it."""
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
        """Writes a small picture in every format and reads it, so that what either takes is known before anybody waits
        for it."""
        picture = _grained()
        for form in WRITTEN:
            await self.read(await self.write(picture, form))

    def presumed(self, data: bytes) -> Declared:
        """The picture in a file as it is declared, or else as files of its length are; of one that is declared larger
        than it may be next to nothing, as it is soon refused."""
        side = math.isqrt(GROWN * len(data) // 3)
        found = declared(data) or Declared(side, side, 3)
        sides = 0 < min(found.width, found.height) <= max(found.width, found.height) <= self._limits.max_side
        return found if sides and found.width * found.height <= self._limits.max_pixels else Declared(1, 1, 3)

    def expected(self, data: bytes) -> float:
        """Seconds for which a file, and what is written for it, will keep the pool from others."""
        return self.coding.expected(self.presumed(data).samples) / self._at_once

    def writing(self, format: str, size: int, **options: int) -> float:
        """Seconds for which a picture of so many bytes of samples will, when it is written with those options. Raises
        TooMuchEffort."""
        toil = images.toil(format, **options)
        seconds = self.coding.predicted(format, size * toil)
        if options.get("effort") and toil > 1 and seconds > MOST:
            raise TooMuchEffort(seconds)
        return seconds / self._at_once

    async def read(self, data: bytes) -> Picture:
        """`images.read` in another process. Raises any PictureError, DecodeFailed among them, and NoDecoder."""

        def ask(channel: Channel, until: float) -> Picture:
            limits = {"max_pixels": self._limits.max_pixels, "max_side": self._limits.max_side}
            channel.send({"task": "read", "size": len(data), "limits": limits}, data, until=until)
            head = told(channel.receive(until))
            _check(head, self._limits)
            return picture_after(head, channel, until)

        job, samples = Job(ask, self._deadline), self.presumed(data).samples
        try:
            picture = await self._in_turn(job, samples)
            samples = picture.pixels.nbytes
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
        """`images.write` in another process, or here where it is done sooner than handed over. Raises what that raises,
        DecodeFailed and NoDecoder."""
        if picture.pixels.nbytes <= SMALL and format == "png" and not (metadata or picture.profile):
            await asyncio.sleep(0)  # so that of many pictures, as a zip has, others get their turn between
            return images.write(picture, format, quality=quality, effort=effort, frames=frames)

        def ask(channel: Channel, until: float) -> bytes:
            options = {"quality": quality, "effort": effort, "frames": frames}
            head = {"task": "write", "picture": picture_head(picture), "format": format, "options": options}
            blobs = [*picture_blobs(picture), metadata or b""]
            channel.send(head | {"metadata": len(metadata or b"")}, *blobs, until=until)
            size = told(channel.receive(until))["size"]
            if not 0 < size <= 2 * picture.pixels.nbytes + _SLACK:
                raise ValueError("no encoding is as long as that")
            return channel.take(size, until)

        job, cost = Job(ask, self._encode_deadline), picture.pixels.nbytes * images.toil(format, quality, effort)
        try:
            return await self._in_turn(job, cost)
        finally:
            self.coding.learn(format, cost, job.left())

    async def _in_turn(self, job: Job, size: float) -> Any:
        """What is asked, that takes as long as so many bytes of samples do, when there is room for it."""
        if not self._open:
            raise RuntimeError("the decoders are not running")
        if size < LARGE:
            return await self._ask(job, size)
        async with self._room:
            if not self._open:  # closed meanwhile
                raise NoDecoder
            return await self._ask(job, size)

    async def _ask(self, job: Job, size: float) -> Any:
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


def _check(head: Head, limits: Limits) -> None:
    """That an announced picture can be what it should be, before there is room made for it: a process that was taken
    over may announce anything."""
    height, width, channels = head["shape"]
    sides = 0 < min(height, width) <= max(height, width) <= limits.max_side
    if not sides or height * width > limits.max_pixels or not 0 <= head["profile"] <= _SLACK:
        raise ValueError("no picture within the limits is like that")
    if channels not in CHANNELS:
        raise ValueError("no picture has so many channels")
    if head["format"] not in FORMATS:
        raise ValueError("no picture is of such a format")
