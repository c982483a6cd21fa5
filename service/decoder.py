"""One decoder: a process that turns bytes into pictures and back, and that may be killed at any moment.

It is the far side of `decoders`, and imports nothing but `models.images`, so that it starts in a fraction of a second.
Messages go over a socket: a head of JSON, then bytes as they are. JSON and not pickle, because whoever takes over a
decoder with a crafted file must not be handed the service with it. A socket and not shared memory, because it is the
faster of the two (36 MB in 12 ms against 20), and a process that dies leaves nothing behind.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from typing import Any

import numpy as np

from models import images
from models.images import Limits, Picture, PictureError

Head = dict[str, Any]

_LENGTH = struct.Struct("<I")
_LONGEST_HEAD = 1 << 16
_PR_SET_PDEATHSIG = 1


class Channel:
    """One end of the socket. Times are of `time.monotonic`; without one it waits for as long as it takes.

    Raises TimeoutError past `until`, another OSError or EOFError where the other end is gone, ValueError where what
    comes is no message.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, head: Head, *blobs: bytes | memoryview, until: float | None = None) -> None:
        text = json.dumps(head).encode()
        self._allow(until)
        self._end.sendall(_LENGTH.pack(len(text)) + text)
        for blob in blobs:
            self._allow(until)
            self._end.sendall(blob)

    def receive(self, until: float | None = None) -> Head:
        """The head of the next message; what follows it is fetched with `take` or `fill`."""
        (length,) = _LENGTH.unpack(self.take(_LENGTH.size, until))
        if length > _LONGEST_HEAD:
            raise ValueError("no head is as long as that")
        head = json.loads(self.take(length, until))
        if not isinstance(head, dict):
            raise ValueError("a head is an object")
        return head

    def take(self, count: int, until: float | None = None) -> bytes:
        room = bytearray(count)
        self.fill(memoryview(room), until)
        return bytes(room)

    def fill(self, room: memoryview, until: float | None = None) -> None:
        """Receives as many bytes as there is room for."""
        left = room.cast("B")
        while left:
            self._allow(until)
            count = self._end.recv_into(left)
            if count == 0:
                raise EOFError
            left = left[count:]

    def close(self) -> None:
        self._end.close()

    def _allow(self, until: float | None) -> None:
        seconds = None if until is None else until - time.monotonic()
        if seconds is not None and seconds <= 0:
            raise TimeoutError
        self._end.settimeout(seconds)


def picture_head(picture: Picture) -> Head:
    """What is to be known of a picture before its `picture_blobs` arrive."""
    return {
        "shape": picture.pixels.shape,
        "depth": picture.depth,
        "alpha": picture.alpha is not None,
        "profile": len(picture.profile or b""),
        "format": picture.format,
    }


def picture_blobs(picture: Picture) -> list[bytes | memoryview]:
    samples = [np.ascontiguousarray(part).data for part in (picture.pixels, picture.alpha) if part is not None]
    return [*samples, picture.profile or b""]


def picture_after(head: Head, channel: Channel, until: float | None = None) -> Picture:
    """The picture that a head announces, its blobs fetched from the channel."""
    pixels = np.empty(head["shape"], {8: np.uint8, 16: np.uint16}[head["depth"]])
    alpha = np.empty(pixels.shape[:2], pixels.dtype) if head["alpha"] else None
    for samples in (pixels, alpha):
        if samples is not None:
            channel.fill(samples.data, until)
    profile = channel.take(head["profile"], until)
    return Picture(pixels, alpha, profile or None, head["format"])


def main(descriptor: int, parent: int, memory: int) -> None:
    """Serves asks from the socket `descriptor` until its other end closes.

    parent: process id of the service, with which this process dies.
    memory: bytes it may take beyond what it holds when it is ready.
    """
    _bind(parent)
    channel = Channel(socket.socket(fileno=descriptor))
    _confine(memory)
    channel.send({})
    while True:
        try:
            _answer(channel, channel.receive())
        except (EOFError, ConnectionError):
            return


def _bind(parent: int) -> None:
    """Dies with the parent, and leaves to it what the terminal or the supervisor says."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # gone before it was bound to
        os._exit(1)


def _confine(memory: int) -> None:
    """Bounds memory, leaves no core dumps, and silences the decoders' own complaints (libtiff prints them)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with open("/proc/self/statm") as status:
            held = int(status.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + memory, held + memory))
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _answer(channel: Channel, head: Head) -> None:
    try:
        answer, blobs = _TASKS[head["task"]](channel, head)
    except (PictureError, ValueError) as error:
        if isinstance(error.__cause__, MemoryError):
            raise error.__cause__ from None  # the process ends, and with it whatever was left half done
        answer, blobs = {"error": type(error).__name__, "args": error.args}, []
    channel.send(answer, *blobs)


def _read(channel: Channel, head: Head) -> tuple[Head, list[bytes | memoryview]]:
    picture = images.read(channel.take(head["size"]), Limits(**head["limits"]))
    return picture_head(picture), picture_blobs(picture)


def _write(channel: Channel, head: Head) -> tuple[Head, list[bytes | memoryview]]:
    picture = picture_after(head["picture"], channel)
    metadata = channel.take(head["metadata"])
    data = images.write(picture, head["format"], metadata=metadata or None, **head["options"])
    return {"size": len(data)}, [data]


_TASKS = {"read": _read, "write": _write}
