"""Workers that are light: they answer every connection with who they are."""

import os
import select
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socket
from typing import Any


def work(settings: Any, listener: socket, told: Connection) -> None:
    """Answers with its process number and what it got, until it is told to end."""
    ending = False

    def end(*_: object) -> None:
        nonlocal ending
        ending = True

    signal.signal(signal.SIGTERM, end)
    listener.listen()
    listener.setblocking(False)
    while not ending:
        told.send_bytes(b"up")
        if not select.select([listener], [], [], 0.05)[0]:
            continue
        try:
            client, _ = listener.accept()
        except BlockingIOError:  # another worker was faster
            continue
        with client:
            client.sendall(f"{os.getpid()} {settings.threads} {settings.max_bodies} {settings.device}".encode())
            time.sleep(0.01)
    listener.close()


def fail(settings: Any, listener: socket, told: Connection) -> None:
    """Does not come up."""
    sys.exit(3)


def stay(settings: Any, listener: socket, told: Connection) -> None:
    """Comes up, and hears nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    told.send_bytes(b"up")
    time.sleep(600)


def sleep(settings: Any, listener: socket, told: Connection) -> None:
    """Does not come up, and does not end."""
    time.sleep(600)


def starts() -> int:
    """How many workers have started, with this one."""
    path = Path(os.environ["STARTS"])
    with path.open("a") as file:
        file.write("started\n")
    return len(path.read_text().splitlines())


def once(settings: Any, listener: socket, told: Connection) -> None:
    """Works the first time; whoever replaces it fails for a while."""
    if 2 < starts() < 5:
        sys.exit(3)
    work(settings, listener, told)


def hang(settings: Any, listener: socket, told: Connection) -> None:
    """The first two come up and then do nothing any more, not even end; whoever replaces them works."""
    if starts() <= 2:
        stay(settings, listener, told)
    work(settings, listener, told)


def stick(settings: Any, listener: socket, told: Connection) -> None:
    """The first two work; who replaces one of them does not come up, and whoever replaces that works."""
    if starts() == 3:
        sleep(settings, listener, told)
    work(settings, listener, told)
