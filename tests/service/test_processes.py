"""Processes that hang, crash, bloat or lie: each is given up, and nothing of it stays. One that is stopped (SIGSTOP)
stands for one that a file hangs."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from models import images
from models.images import Picture, PictureError, UnsupportedFormat
from service import processes
from service.processes import DecodeFailed
from tests.service.decoding import SMALL, alive, pool, run, told_of, until

ROOT = Path(__file__).parents[2]


def test_what_is_refused_is_let_go_of_at_once() -> None:
    """An error, the frames that it came through and what they hold must not hold one another."""

    gone: list[bytes] = []

    class Sent(bytes):
        """Bytes that tell when they are let go of."""

        def __del__(self) -> None:
            gone.append(bytes(self))

    async def test() -> None:
        async with pool() as decoders:
            sent = Sent(b"no picture")
            with pytest.raises(UnsupportedFormat):
                await decoders.read(sent)
            del sent
            await until(lambda: gone == [b"no picture"])

    gc.disable()
    try:
        run(test)
    finally:
        gc.enable()


def test_a_process_that_hangs_is_replaced() -> None:
    async def test() -> None:
        async with pool(deadline=0.3) as decoders:
            (pid,) = decoders.pids
            os.kill(pid, signal.SIGSTOP)
            began = time.monotonic()
            with pytest.raises(DecodeFailed):
                await decoders.read(SMALL)
            assert 0.3 <= time.monotonic() - began < 5
            await until(lambda: decoders.pids not in ([], [pid]))
            assert not alive(pid)
            assert decoders.replaced == 1

    run(test)


def test_a_process_that_crashes_is_replaced_and_the_others_go_on() -> None:
    async def test() -> None:
        async with pool(2, deadline=1e6) as decoders:
            victim, other = decoders.pids
            os.kill(victim, signal.SIGSTOP)
            tasks = [asyncio.create_task(decoders.read(SMALL)) for _ in range(6)]
            await until(lambda: sum(task.done() for task in tasks) == 5)
            os.kill(victim, signal.SIGSEGV)
            os.kill(victim, signal.SIGCONT)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert sorted(type(result) is DecodeFailed for result in results) == [False] * 5 + [True]
            assert (await decoders.read(SMALL)).width == 5
            await until(lambda: len(decoders.pids) == 2)
            assert other in decoders.pids

    run(test)


def test_a_process_that_is_lost_while_idle_costs_the_next_caller() -> None:
    async def test() -> None:
        async with pool() as decoders:
            os.kill(decoders.pids[0], signal.SIGKILL)
            with pytest.raises(DecodeFailed):
                await decoders.read(SMALL)
            assert (await decoders.read(SMALL)).width == 5

    run(test)


def test_memory_is_bounded() -> None:
    large = images.write(Picture(np.zeros((6000, 6000, 1), np.uint8)), "png")

    async def test() -> None:
        async with pool(memory=16 << 20) as decoders:
            with pytest.raises(DecodeFailed):
                await decoders.read(large)
            assert (await decoders.read(SMALL)).width == 5
            assert decoders.replaced == 1

    run(test)


def test_whose_picture_is_worked_on_and_who_goes_frees_the_process() -> None:
    async def test() -> None:
        async with pool() as decoders:
            (pid,) = decoders.pids
            os.kill(pid, signal.SIGSTOP)
            task = asyncio.create_task(decoders.read(SMALL))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.wait([task])
            assert (await decoders.read(SMALL)).width == 5
            assert pid not in decoders.pids

    run(test)


def test_short_work_goes_on_for_who_has_gone() -> None:
    async def test() -> None:
        async with pool() as decoders:
            (pid,) = decoders.pids
            task = asyncio.create_task(decoders.read(SMALL))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0.3)
            assert (await decoders.read(SMALL)).width == 5
            assert decoders.pids == [pid]

    run(test)


def test_nothing_is_left_behind() -> None:
    async def test() -> None:
        shared, open_files = set(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd"))
        async with pool(2, deadline=0.2) as decoders:
            pids = decoders.pids
            os.kill(pids[0], signal.SIGKILL)
            await asyncio.gather(*(decoders.read(SMALL) for _ in range(4)), return_exceptions=True)
            pids += decoders.pids
            os.kill(decoders.pids[-1], signal.SIGSTOP)
            hanging = [asyncio.create_task(decoders.read(SMALL)) for _ in range(3)]
            await asyncio.sleep(0.05)
        assert any(isinstance(error, DecodeFailed) for error in await asyncio.gather(*hanging, return_exceptions=True))
        assert not any(map(alive, pids))
        assert set(os.listdir("/dev/shm")) == shared
        assert len(os.listdir("/proc/self/fd")) == open_files
        with pytest.raises(RuntimeError):
            await decoders.read(SMALL)

    run(test)


def test_a_process_is_light_bound_to_its_parent_and_told_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DENOIR_KEYS", "secret")

    async def test() -> None:
        async with pool() as decoders:
            (pid,) = decoders.pids
            assert b"torch" not in told_of(pid, "maps")
            assert b"secret" not in told_of(pid, "environ")
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
            assert (await decoders.read(SMALL)).width == 5
            assert decoders.pids == [pid]

    run(test)
    code = "import sys, service.decoder; sys.exit('torch' in sys.modules or 'asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_process_dies_with_its_parent() -> None:
    code = """
import asyncio, os, signal
from service.decoders import Decoders
async def main():
    async with Decoders(2) as decoders:
        os.kill(decoders.pids[0], signal.SIGSTOP)
        print(*decoders.pids, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 5
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(alive, pids))


SIZED = '{"shape": [%s], "depth": 8, "alpha": false, "profile": %d, "format": "%s"}'


@pytest.mark.parametrize(
    "answer",
    [
        SIZED % ("90000, 90000, 3", 0, "png"),
        SIZED % ("-1, 4, 3", 0, "png"),
        SIZED % ("4, 4, 4", 0, "png"),
        SIZED % ("4, 4.5, 3", 0, "png"),
        SIZED % ("4, 4, 3", 10**12, "png"),
        SIZED % ("4, 4, 3", 0, "../../etc"),
        '{"error": "SystemExit", "args": [0]}',
        '{"error": "PictureTooLarge", "args": ["a", "b", "c", "d"]}',
        '["nothing"]',
        "nonsense",
    ],
)
def test_a_process_that_was_taken_over_is_not_believed(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    boot = f"""
import socket, struct, sys
end = socket.socket(fileno=int(sys.argv[1]))
end.sendall(struct.pack("<I", 2) + b"{{}}")
end.recv(1)
text = {answer!r}.encode()
end.sendall(struct.pack("<I", len(text)) + text + bytes(100))
end.recv(1 << 20)
"""
    monkeypatch.setattr(processes, "_BOOT", boot)

    async def test() -> None:
        async with pool() as decoders:
            with pytest.raises(PictureError) as caught:
                await decoders.read(SMALL)
            assert type(caught.value) is DecodeFailed

    run(test)


def test_a_process_that_was_killed_when_its_answer_was_there_is_not_asked_again() -> None:
    process = SimpleNamespace(channel=None, kill=lambda: None)
    job = processes.Job(lambda channel, until: job.kill(), 1.0)
    assert not job.carry_out(process)  # type: ignore[arg-type]
    assert processes.Job(lambda channel, until: None, 1.0).carry_out(process)  # type: ignore[arg-type]
