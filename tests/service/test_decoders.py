"""A pool that loses processes but never callers. A stopped process (SIGSTOP) stands for one that a file hangs."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image

from models import images
from models.images import (
    WRITTEN,
    AnimatedPicture,
    DamagedPicture,
    EmptyPicture,
    Limits,
    Picture,
    PictureError,
    PictureTooLarge,
    UnsupportedFormat,
)
from service import decoders
from service.decoders import DecodeFailed, Decoders
from service.decoders import _Job as Job

ROOT = Path(__file__).parents[2]
LARGE_MEMORY = 512 << 20

SMALL = images.write(Picture(np.zeros((3, 5, 1), np.uint8)), "png")


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


@asynccontextmanager
async def pool(workers: int = 1, **settings: Any) -> AsyncIterator[Decoders]:
    async with Decoders(workers, **{"memory": LARGE_MEMORY} | settings) as decoders:
        yield decoders


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  there is no event to wait for
        await asyncio.sleep(0.01)


def told_of(pid: int, what: str) -> bytes:
    return Path(f"/proc/{pid}/{what}").read_bytes()


def alive(pid: int) -> bool:
    try:
        return told_of(pid, "stat").split()[2] != b"Z"
    except FileNotFoundError:
        return False


def test_pictures_come_and_go_as_they_are() -> None:
    async def test() -> None:
        async with pool(2) as decoders:
            for picture in (
                Picture(noise(3, 5, 3)),
                Picture(noise(1, 1, 1, dtype=np.uint16), noise(1, 1, dtype=np.uint16)),
                Picture(noise(301, 407, 3, dtype=np.uint16), noise(301, 407, dtype=np.uint16), bytes(16) + b"RGB "),
            ):
                data = await decoders.write(picture, "png", effort=1)
                assert data == images.write(picture, "png", effort=1)
                again = await decoders.read(data)
                assert np.array_equal(again.pixels, picture.pixels)
                assert again.pixels.dtype == picture.pixels.dtype
                assert (again.alpha is None) == (picture.alpha is None)
                assert again.alpha is None or np.array_equal(again.alpha, picture.alpha)
                assert (again.profile, again.format) == (picture.profile, "png")
                assert again.pixels.flags.writeable
            assert decoders.replaced == 0

    run(test)


def test_metadata_and_a_view_are_written() -> None:
    picture = Picture(noise(8, 8, 3)[::2, ::-1])
    notes = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x04\0\0\0Abc\0\0\0\0\0"

    async def test() -> None:
        async with pool() as decoders:
            options = {"quality": 100, "metadata": notes}
            written = await decoders.write(picture, "webp", **options)
            assert b"Abc" in written
            assert written == images.write(picture, "webp", **options)

    run(test)


def test_what_is_wrong_with_a_picture_is_told_and_costs_no_process() -> None:
    async def test() -> None:
        async with pool(limits=Limits(max_pixels=20)) as decoders:
            (pid,) = decoders.pids
            for data, expected in (
                (b"", EmptyPicture),
                (b"%PDF", UnsupportedFormat),
                (SMALL[:-20], DamagedPicture),
                (images.write(Picture(noise(5, 5, 1)), "bmp"), PictureTooLarge),
            ):
                with pytest.raises(expected):
                    await decoders.read(data)
            with pytest.raises(PictureTooLarge, match="16,383"):
                await decoders.write(Picture(np.zeros((1, 16_384, 1), np.uint8)), "webp")
            with pytest.raises(ValueError, match="quality"):
                await decoders.write(Picture(noise(1, 1, 1)), "png", quality=0)
            assert decoders.pids == [pid]

    run(test)


def test_what_decoding_and_encoding_will_take_is_learned_from_what_they_took() -> None:
    async def test() -> None:
        picture = Picture(noise(600, 800, 3))
        async with pool(3) as decoders:
            guessed, data = decoders.writing("png", picture.pixels.nbytes), images.write(picture, "png")
            assert np.array_equal((await decoders.read(data)).pixels, picture.pixels)
            await decoders.write(picture, "png")
            told, rates = decoders.coding.grown["png"], decoders.coding.rates
            assert told.cost / told.seconds == pytest.approx(picture.pixels.nbytes / len(data), rel=0.01)
            assert rates["png"] == rates["any"]
            took = decoders.coding.predicted("png", picture.pixels.nbytes)
            assert guessed != decoders.writing("png", picture.pixels.nbytes) == took / 2, "two take large ones"
            assert decoders.expected(data) == pytest.approx((took + rates["read"].seconds) / 2, rel=0.05)

    run(test)


def test_what_every_format_takes_and_holds_is_known_once_it_was_measured() -> None:
    async def test() -> None:
        async with pool() as decoders:
            await decoders.measure()
            assert set(decoders.coding.rates) == {"read", "any", *WRITTEN}
            for form in WRITTEN:
                data = images.write(Picture(photograph), form)
                assert 0.4 < decoders.samples(data) / photograph.nbytes < 2.5, form

    with Image.open(SAMPLES / "bridge.jpg") as image:
        photograph = np.asarray(image.convert("RGB"))
    run(test)


def test_what_hangs_counts_as_what_takes_long() -> None:
    async def test() -> None:
        async with pool(deadline=0.3) as decoders:
            before = decoders.expected(SMALL)
            os.kill(decoders.pids[0], signal.SIGSTOP)
            with pytest.raises(DecodeFailed):
                await decoders.read(SMALL)
            assert decoders.expected(SMALL) > 10 * before

    run(test)


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
            await asyncio.sleep(0)
            assert gone == [b"no picture"]

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


def test_first_come_first_served() -> None:
    async def test() -> None:
        done: list[int] = []

        async def read(number: int) -> None:
            await decoders.read(SMALL)
            done.append(number)

        async with pool() as decoders:
            os.kill(decoders.pids[0], signal.SIGSTOP)
            tasks = []
            for number in range(8):
                tasks.append(asyncio.create_task(read(number)))
                await asyncio.sleep(0)
            await until(lambda: decoders.waiting == 7)
            os.kill(decoders.pids[0], signal.SIGCONT)
            await asyncio.gather(*tasks)
        assert done == list(range(8))

    run(test)


def test_a_small_picture_waits_for_no_large_one_however_many_there_are() -> None:
    async def test() -> None:
        async with pool(2) as decoders:
            large = Picture(noise(1200, 1200, 3))
            scans = [asyncio.create_task(decoders.write(large, "png", effort=9)) for _ in range(4)]
            await asyncio.sleep(0.05)
            for _ in range(3):
                await decoders.read(SMALL)
            assert not any(scan.done() for scan in scans[1:])
            assert all(await asyncio.gather(*scans))

    run(test)


def test_the_smaller_of_two_that_wait_goes_first() -> None:
    async def test() -> None:
        async with pool(1) as decoders:
            order: list[str] = []

            async def ask(name: str, size: int) -> None:
                def noted(*_: object) -> None:
                    order.append(name)

                await decoders._in_turn(Job(noted, 10), size)

            hung = asyncio.create_task(decoders.write(Picture(noise(1200, 1200, 3)), "png", effort=9))
            await asyncio.sleep(0.05)
            asks = [asyncio.create_task(ask(name, size)) for name, size in (("medium", 1 << 20), ("small", 100))]
            await asyncio.gather(hung, *asks)
            assert order == ["small", "medium"]

    run(test)


def test_large_ones_that_wait_for_each_other_are_told_when_the_pool_closes() -> None:
    async def test() -> None:
        async with pool(1) as decoders:
            large = Picture(noise(1200, 1200, 3))
            scans = [asyncio.create_task(decoders.write(large, "png", effort=9)) for _ in range(3)]
            await asyncio.sleep(0.05)
        told = await asyncio.gather(*scans, return_exceptions=True)
        assert all(isinstance(one, DecodeFailed) for one in told)

    run(test)


def test_who_waits_and_goes_is_never_served() -> None:
    async def test() -> None:
        async with pool() as decoders:
            (pid,) = decoders.pids
            os.kill(pid, signal.SIGSTOP)
            first, gone, last = (asyncio.create_task(decoders.read(SMALL)) for _ in range(3))
            await until(lambda: decoders.waiting == 2)
            gone.cancel()
            await asyncio.wait([gone])
            assert gone.cancelled()
            os.kill(pid, signal.SIGCONT)
            assert (await first).width == (await last).width == 5
            assert decoders.pids == [pid]

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


def test_a_pool_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with pytest.raises(RuntimeError, match="did not start"):
            await Decoders(2).start()

    for executable in ("/bin/false", "/nowhere/python"):
        monkeypatch.setattr(sys, "executable", executable)
        run(test)


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
    monkeypatch.setattr(decoders, "_BOOT", boot)

    async def test() -> None:
        async with pool() as decoders:
            with pytest.raises(PictureError) as caught:
                await decoders.read(SMALL)
            assert type(caught.value) is DecodeFailed

    run(test)


def test_animated_is_told_too() -> None:
    apng = SMALL[:33] + bytes.fromhex("00000008 6163544c 00000002 00000000 f38d9370") + SMALL[33:]

    async def test() -> None:
        async with pool() as decoders:
            with pytest.raises(AnimatedPicture):
                await decoders.read(apng)

    run(test)
