"""Clients by the hundred: plain asyncio, so that they cost little beside the server that they try."""

import asyncio
import json
import time
from dataclasses import dataclass

Address = tuple[str, int]


@dataclass(frozen=True)
class Reply:
    """An answer, and the seconds from the connection to its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def slug(self) -> str:
        """Why there is no answer; nothing where there is one."""
        return "" if self.status == 200 else json.loads(self.body)["type"].removeprefix("urn:denoir:")


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


async def ask(address: Address, request: bytes, patience: float = 120.0) -> Reply:
    """Sends a request on a connection of its own. Raises TimeoutError, OSError, and ValueError for half an answer."""
    began = time.monotonic()
    async with asyncio.timeout(patience):
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(request)
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        finally:
            writer.close()
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if len(body) != int(headers.get("content-length", -1)):
        raise ValueError(f"an answer of {len(body)} bytes, which began {head[:100]!r}")
    return Reply(int(status.split()[1]), headers, body, time.monotonic() - began)
