"""Bodies that are sent as they are read: a picture out of memory, a file or a stream, or a form of several."""

import os
import secrets
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeAlias

Source: TypeAlias = bytes | str | Path | BinaryIO
"""A picture: its bytes, the path of its file, or a file that is open for reading."""

PIECE = 2**16
"""Bytes."""


class Upload:
    """One picture.

    size: in bytes, where it can be told. repeatable: whether it can be read again.
    """

    def __init__(self, source: Source):
        self.source = BytesIO(source) if isinstance(source, bytes) else source
        if isinstance(self.source, str | Path):
            self.path, self.start = Path(self.source), 0
            self.repeatable = self.path.is_file()
            size = self.path.stat().st_size  # also tells, before anything is sent, that there is nothing there
            self.size = size if self.repeatable else None
            return
        self.path, self.repeatable, self.size = None, self.source.seekable(), None
        self.start = self.source.tell() if self.repeatable else 0
        if self.repeatable:
            self.size = self.source.seek(0, os.SEEK_END) - self.start

    def pieces(self) -> Iterator[bytes]:
        """From where it began, however often."""
        if self.path:
            with self.path.open("rb") as stream:
                yield from iter(lambda: stream.read(PIECE), b"")
            return
        stream: BinaryIO = self.source  # type: ignore[assignment]
        if self.repeatable:
            stream.seek(self.start)
        yield from iter(lambda: stream.read(PIECE), b"")


class Form:
    """A multipart/form-data body (RFC 7578) of pictures, by field."""

    def __init__(self, fields: Mapping[str, Source]):
        self.boundary = secrets.token_hex(12)
        self.parts = [(self.head(name), Upload(source)) for name, source in fields.items()]
        self.tail = f"--{self.boundary}--\r\n".encode()
        self.repeatable = all(upload.repeatable for _, upload in self.parts)

    @property
    def size(self) -> int | None:
        """In bytes, where it can be told."""
        sizes = [upload.size for _, upload in self.parts]
        if None in sizes:
            return None
        return sum(len(head) + (size or 0) + 2 for (head, _), size in zip(self.parts, sizes, strict=True)) + len(
            self.tail
        )

    @property
    def media_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    def head(self, name: str) -> bytes:
        return f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'.encode()

    def pieces(self) -> Iterator[bytes]:
        for head, upload in self.parts:
            yield head
            yield from upload.pieces()
            yield b"\r\n"
        yield self.tail
