"""A real server in a process of its own, and what it and those below it take of the machine."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

PATIENCE = 300.0
"""Seconds that a server may take to be ready, on a machine that is busy."""

BARE = """
from pathlib import Path
from service import app, cli
app.SHIPPED = Path("nothing ships")
cli.main()
"""
"""`denoir` without the models that ship, which take seconds to load."""


@dataclass(frozen=True)
class Usage:
    """What a tree of processes takes: bytes of memory, what they share shared out; open files; threads; processes."""

    memory: int
    descriptors: int
    threads: int
    processes: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        found = [one for one in map(usage_alone, family(pid)) if one]
        return cls(*map(sum, zip(*found, strict=True)), len(found))


@dataclass(frozen=True)
class Server:
    """One that is ready."""

    port: int
    process: subprocess.Popen

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def usage(self) -> Usage:
        return Usage.of(self.process.pid)

    def connected(self, patience: float = 30.0) -> socket.socket:
        return socket.create_connection(self.address, timeout=patience)


@contextmanager
def started(shelf: Path, code: str = BARE, **environment: str) -> Iterator[Server]:
    """`denoir serve` on a free port, ready; ended by SIGTERM, which must end it cleanly.

    environment: settings, by the names that they have there.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", code, "--shelf", str(shelf), "serve", "--port", str(port)]
    log = subprocess.DEVNULL if "DENOIR_QUIET" in os.environ else None
    process = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)
    try:
        wait_until_ready(port, process)
        yield Server(port, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def settled(server: Server, patience: float = 60.0) -> Usage:
    """What it takes when it has nothing more to do: nothing computed and no file opened or closed for a second."""
    end = time.monotonic() + patience
    before, busy = server.usage, cpu_seconds(server.process.pid)
    while time.monotonic() < end:
        time.sleep(1.0)
        now, last = server.usage, busy
        busy = cpu_seconds(server.process.pid)
        if now.descriptors == before.descriptors and busy - last < 0.2:
            return now
        before = now
    raise AssertionError("the server did not come to rest")


def wait_until_ready(port: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, "the server ended"
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server was not ready in time")


def family(pid: int) -> list[int]:
    """A process and all that came of it."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(one for child in children for one in family(child))]


def usage_alone(pid: int) -> tuple[int, int, int] | None:
    """Memory, descriptors and threads of one process; None where it has just gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        memory = 1024 * int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")))
        return memory, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return None


def cpu_seconds(pid: int) -> float:
    """What a tree of processes has computed; not what those did that have ended."""
    spent = 0
    for one in family(pid):
        try:
            told = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        spent += int(told[11]) + int(told[12])
    return spent / os.sysconf("SC_CLK_TCK")
