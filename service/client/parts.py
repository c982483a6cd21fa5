"""A multipart/mixed answer (RFC 2046) taken apart as it comes, its parts saying how long they are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from service.client.errors import Unreachable

MEDIA_TYPE = "multipart/mixed"


@dataclass(frozen=True)
class Part:
    """headers: by their names in small letters."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Parts:
    """Bytes in, parts out. `ended` when the last has been seen."""

    boundary: bytes
    buffer: bytearray = field(default_factory=bytearray)
    ended: bool = False

    @classmethod
    def of(cls, content_type: str) -> "Parts":
        """For the answer of that type. Raises Unreachable for one without a boundary."""
        found = re.search(r'boundary="?([^";,]+)', content_type)
        if not found:
            raise Unreachable(f"no boundary in {content_type!r}")
        return cls(f"--{found[1]}".encode())

    def feed(self, data: bytes) -> Iterator[Part]:
        """The parts that are whole now."""
        self.buffer += data
        while (part := self.next()) is not None:
            yield part

    def next(self) -> Part | None:
        """The first part of what has come, if it is whole. Raises Unreachable for what is no part."""
        closing = self.boundary + b"--"
        start = self.buffer.find(self.boundary)
        if self.ended or start < 0 or len(self.buffer) < start + len(closing):
            return None
        if self.buffer.startswith(closing, start):
            self.ended = True
            return None
        end = self.buffer.find(b"\r\n\r\n", start)
        if end < 0:
            return None
        lines = self.buffer[start:end].decode("latin-1").split("\r\n")[1:]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if not headers.get("content-length", "").isdigit():
            raise Unreachable("a part doesn't say how long it is")
        begin = end + 4
        last = begin + int(headers["content-length"])
        if len(self.buffer) < last:
            return None
        part = Part(headers, bytes(self.buffer[begin:last]))
        del self.buffer[:last]
        return part
