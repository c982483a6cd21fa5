"""Clients that hang up: what was begun for them stops, what was not never starts, and nothing stays behind."""

import os
import socket
import time
from collections.abc import Callable

import pytest
from answers import encoded
from conftest import scene
from serving import Server, cpu_seconds, settled

from tests.load.clients import post

Serve = Callable[..., Server]
SETTINGS = {"DENOIR_TILE": "256", "DENOIR_MAX_WAITING": "600"}
LEFT = 300_000_000


def computed(server: Server) -> float:
    return cpu_seconds(server.process.pid)


def finished(server: Server, request: bytes) -> None:
    with server.connected(300) as client:
        client.sendall(request)
        assert client.recv(12) == b"HTTP/1.1 200"
        while client.recv(1 << 20):
            pass


def vanished(server: Server, request: bytes, clients: int, after: float) -> None:
    """So many ask and, after so many seconds that the server has computed, hang up: half of them rudely."""
    began = computed(server)
    here = [server.connected() for _ in range(clients)]
    for client in here:
        client.sendall(request)
    end = time.monotonic() + 120
    while computed(server) < began + after and time.monotonic() < end:
        time.sleep(0.02)
    for number, client in enumerate(here):
        if number % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()


@pytest.mark.parametrize(("side", "clients"), [(3000, 6), pytest.param(6000, 20, marks=pytest.mark.slow)])
def test_little_is_computed_for_who_has_gone(serve: Serve, side: int, clients: int) -> None:
    """Held against what their answers would have cost."""
    server = serve(**SETTINGS)
    request = post("/denoise?model=tiny-photo&sigma=20", encoded(scene(side, side, 2), "jpeg"))
    finished(server, request)
    before, shared = settled(server), set(os.listdir("/dev/shm"))
    began = computed(server)
    finished(server, request)
    settled(server)
    alone = computed(server) - began
    assert alone > 0.3, "too little to be told from what the server does anyway"

    began = computed(server)
    vanished(server, request, clients, after=alone / 2)
    after = settled(server)
    assert computed(server) - began < alone * clients / 2
    assert (after.descriptors, after.processes) == (before.descriptors, before.processes)
    assert after.memory < before.memory + LEFT
    assert set(os.listdir("/dev/shm")) <= shared


def test_half_a_body_leaves_nothing_behind(serve: Serve) -> None:
    server = serve(**SETTINGS)
    before = settled(server)
    request = post("/denoise?model=tiny-photo&sigma=20", bytes(20_000_000))
    for _ in range(5):
        with server.connected() as client:
            client.sendall(request[:15_000_000])
    after = settled(server)
    assert after.descriptors == before.descriptors
    assert after.memory < before.memory + LEFT / 10
