"""Clients of a server, in a process of their own: `python -m benchmarks.load`, which is told what to do by JSON on its
standard input and tells what came of it by JSON on its standard output."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median, quantiles


@dataclass(frozen=True)
class Load:
    """So many clients that ask one after another for so many seconds, and at least once, each on one connection that
    is kept.

    body: a file, posted; without one it is fetched. pause: seconds between an answer and the next ask. gone_after:
    seconds after which each hangs up instead of waiting for its first answer, whereupon one more asks at once, whose
    answer alone is told of; 0 for never.
    """

    port: int
    path: str
    body: str = ""
    clients: int = 1
    seconds: float = 5.0
    pause: float = 0.0
    gone_after: float = 0.0

    @property
    def request(self) -> bytes:
        body = Path(self.body).read_bytes() if self.body else b""
        head = f"{'POST' if body else 'GET'} {self.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


@dataclass
class Told:
    """What came of it: seconds of each answer, counts of each status, seconds in all and of the clients' own CPU."""

    times: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def done(self) -> int:
        return self.statuses.get("200", 0)

    @property
    def rate(self) -> float:
        """Answers a second. It counts till the last has come, as the server has work till then."""
        return self.done / self.seconds

    @property
    def median(self) -> float:
        return median(self.times)

    @property
    def p95(self) -> float:
        return quantiles(self.times, n=20)[-1]


async def client(load: Load, request: bytes, until: float, told: Told) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port, limit=2**24)
    try:
        while True:
            began = time.monotonic()
            writer.write(request)
            if load.gone_after:
                await asyncio.sleep(load.gone_after)
                writer.transport.abort()
                return
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
            status = head.split()[1]
            told.statuses[status] = told.statuses.get(status, 0) + 1
            if status == "200":
                told.times.append(time.monotonic() - began)
            else:
                await asyncio.sleep(1.0)
            if time.monotonic() > until:
                return
            await asyncio.sleep(load.pause)
    finally:
        writer.close()


async def all_of_them(load: Load) -> Told:
    told, request, began = Told(), load.request, time.monotonic()
    await asyncio.gather(*(client(load, request, began + load.seconds, told) for _ in range(load.clients)))
    if load.gone_after:
        await client(replace(load, gone_after=0.0), request, 0.0, told)
    told.seconds, told.cpu = time.monotonic() - began, time.process_time()
    return told


class Clients:
    """A load under way."""

    def __init__(self, load: Load):
        command = [sys.executable, "-m", "benchmarks.load"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin
        self.process.stdin.write(json.dumps(asdict(load)).encode())
        self.process.stdin.close()

    def told(self) -> Told:
        """Waits for its end."""
        assert self.process.stdout
        found = Told(**json.loads(self.process.stdout.read()))
        assert self.process.wait() == 0
        return found

    def meanwhile(self, pause: float) -> Iterator[None]:
        """Turns, with pauses between, until it has ended."""
        while self.process.poll() is None:
            yield
            time.sleep(pause)


def run(load: Load) -> Told:
    """The load from beginning to end."""
    return Clients(load).told()


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(all_of_them(Load(**json.load(sys.stdin)))))))
