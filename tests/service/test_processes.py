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
from service import decoders, processes
from service.processes import DecodeFailed, NoDecoder
from tests.service.decoding import SMALL, alive, noise, pool, run, told_of, until

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


CRASHING = processes._BOOT.replace(
    "decoder.main",
    """read = decoder.images.read
def reading(data, limits):
    if data == b"crash":
        decoder.os.kill(decoder.os.getpid(), decoder.signal.SIGSEGV)
    return read(data, limits)
decoder.images.read = reading
decoder.main""",
)
"""A decoder with a fault that one picture makes use of."""


def test_a_process_that_crashes_is_replaced_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_BOOT", CRASHING)

    async def test() -> None:
        async with pool(2) as decoders:
            pids = set(decoders.pids)
            asked = [SMALL, SMALL, b"crash", SMALL, SMALL]
            results = await asyncio.gather(*map(decoders.read, asked), return_exceptions=True)
            assert [type(result) is DecodeFailed for result in results] == [False, False, True, False, False]
            await until(lambda: decoders.replaced and len(decoders.pids) == 2)
            assert len(pids & set(decoders.pids)) == 1
            assert decoders.replaced == 1, "nobody else was asked for that picture"

    run(test)


def test_a_process_that_is_lost_while_idle_costs_nobody() -> None:
    async def test() -> None:
        async with pool() as decoders:
            (pid,) = decoders.pids
            os.kill(pid, signal.SIGKILL)
            assert (await decoders.read(SMALL)).width == 5
            assert pid not in decoders.pids
            os.kill(decoders.pids[0], signal.SIGKILL)
            assert await decoders.write(Picture(noise(300, 300, 3)), "png")
            assert decoders.replaced == 2

    run(test)


def test_a_process_that_is_lost_before_it_took_all_of_a_picture_costs_nobody() -> None:
    async def test() -> None:
        async with pool() as decoders:
            for picture in (Picture(noise(3, 5, 3)), Picture(noise(999, 999, 3))):
                data = images.write(picture, "bmp")  # it fits into what the system holds for it, or doesn't
                os.kill(decoders.pids[0], signal.SIGSTOP)
                task = asyncio.create_task(decoders.read(data))
                await asyncio.sleep(0.1)
                os.kill(decoders.pids[0], signal.SIGKILL)
                assert (await task).width == picture.width

    run(test)


def test_where_none_lives_until_it_is_asked_that_is_told_and_no_more_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = processes.Hand._begin

    def stillborn(hand: processes.Hand) -> None:
        begin(hand)
        if hand.ready.done() and hand.process:
            hand.process.kill()

    monkeypatch.setattr(processes.Hand, "_begin", stillborn)

    async def test() -> None:
        async with pool() as decoders:
            os.kill(decoders.pids[0], signal.SIGKILL)
            with pytest.raises(NoDecoder):
                await decoders.read(SMALL)
            assert decoders.replaced == 2

    run(test)


def test_where_none_can_be_started_that_is_told_until_one_can(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with pool() as decoders:
            with monkeypatch.context() as short:
                short.setattr(sys, "executable", "/nowhere/python")
                os.kill(decoders.pids[0], signal.SIGKILL)
                for _ in range(2):
                    with pytest.raises(NoDecoder):
                        await decoders.read(SMALL)
            assert (await decoders.read(SMALL)).width == 5

    run(test)


def test_a_lost_process_is_not_replaced_for_who_has_gone() -> None:
    process = SimpleNamespace(channel=None, kill=lambda: None)

    def lost(*_: object) -> None:
        raise BrokenPipeError

    job = processes.Job(lost, 1.0)
    with pytest.raises(ConnectionError):
        job.carry_out(process)  # type: ignore[arg-type]
    job.kill()
    assert job.carry_out(process), "nothing is asked of it"  # type: ignore[arg-type]


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
        assert any(isinstance(error, NoDecoder) for error in await asyncio.gather(*hanging, return_exceptions=True))
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
    assert type(what_is_told_of(answer, monkeypatch)) is DecodeFailed


def what_is_told_of(answer: str, monkeypatch: pytest.MonkeyPatch) -> PictureError:
    """The error where a process answers so."""
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

    caught: list[PictureError] = []

    async def test() -> None:
        async with pool() as decoders:
            with pytest.raises(PictureError) as raised:
                await decoders.read(SMALL)
            caught.append(raised.value)

    run(test)
    return caught[0]


@pytest.mark.parametrize("shape", ["1000, 1000, 2000", "4, 4, 4", "4, 4, 0", "4, 4, -1", "90000, 90000, 3"])
def test_what_is_announced_and_can_not_be_is_refused_before_there_is_room_for_it(
    monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    room: list[object] = []
    monkeypatch.setattr(decoders, "picture_after", lambda *told: room.append(told))
    assert type(what_is_told_of(SIZED % (shape, 0, "png"), monkeypatch)) is DecodeFailed
    assert room == []


def test_a_process_that_was_killed_when_its_answer_was_there_is_not_asked_again() -> None:
    process = SimpleNamespace(channel=None, kill=lambda: None)
    job = processes.Job(lambda channel, until: job.kill(), 1.0)
    assert not job.carry_out(process)  # type: ignore[arg-type]
    assert processes.Job(lambda channel, until: None, 1.0).carry_out(process)  # type: ignore[arg-type]
