"""A pool that loses processes but never callers. A stopped process (SIGSTOP) stands for one that a file hangs."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest

from models import images
from models.images import (
    WRITTEN,
    AnimatedPicture,
    DamagedPicture,
    EmptyPicture,
    Limits,
    Picture,
    PictureTooLarge,
    UnsupportedFormat,
)
from service.decoders import MOST, Decoders, TooMuchEffort
from service.processes import DecodeFailed, Job, NoDecoder
from tests.service.decoding import SMALL, noise, pool, run, until


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


def test_a_small_png_is_written_without_waiting_for_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    small, larger = Picture(noise(112, 112, 1)), Picture(noise(130, 130, 1))

    async def test() -> None:
        async with pool() as decoders:
            asked: list[int] = []

            async def taken(job: Job, size: int) -> bytes:
                asked.append(size)
                return b""

            monkeypatch.setattr(decoders, "_in_turn", taken)
            assert await decoders.write(small, "png") == images.write(small, "png")
            assert asked == []
            noted = Picture(small.pixels, profile=bytes(16))
            for picture, form, metadata in ((larger, "png", None), (small, "webp", None), (small, "png", b"Exif")):
                await decoders.write(picture, form, metadata=metadata)
            await decoders.write(noted, "png")
            assert len(asked) == 4

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
            rates = decoders.coding.rates
            assert rates["png"] == rates["any"]
            took = decoders.coding.predicted("png", picture.pixels.nbytes)
            assert guessed != decoders.writing("png", picture.pixels.nbytes) == took / 2, "two take large ones"
            assert decoders.expected(data) == pytest.approx((took + rates["read"].seconds) / 2, rel=0.05)

    run(test)


def test_what_every_format_takes_is_known_once_it_was_measured() -> None:
    async def test() -> None:
        async with pool() as decoders:
            await decoders.measure()
            assert set(decoders.coding.rates) == {"read", "any", *WRITTEN}

    run(test)


def test_a_file_stands_for_what_it_declares_unless_it_may_not_be_so_large() -> None:
    decoders = Decoders(1, limits=Limits(10_000, 500))
    for width, height, wanted in ((100, 100, 30_000), (500, 20, 30_000), (100, 101, 3), (501, 1, 3)):
        data = images.write(Picture(np.zeros((height, width, 3), np.uint8)), "png")
        assert decoders.presumed(data).samples == wanted
    assert decoders.presumed(bytes(3000)).samples == pytest.approx(24_000, rel=0.05)
    assert decoders.presumed(b"").samples == 3


def test_flat_pictures_of_few_bytes_are_large_ones_all_the_same() -> None:
    async def test() -> None:
        async with pool(2) as decoders:
            flat = images.write(Picture(np.zeros((4500, 4500, 3), np.uint8)), "png")
            assert len(flat) < 100_000
            await overtaken(decoders, [decoders.read(flat) for _ in range(4)])

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


async def overtaken(decoders: Decoders, large: list[Coroutine[Any, Any, Any]]) -> None:
    """Has small pictures read, one after another, while the first of the large ones is worked at."""
    tasks = [asyncio.create_task(one) for one in large]
    await asyncio.sleep(0.05)
    for _ in range(3):
        await decoders.read(SMALL)
    assert not any(one.done() for one in tasks[1:])
    assert all(await asyncio.gather(*tasks))


def test_effort_is_counted_in_what_it_takes_and_too_much_of_it_is_refused() -> None:
    async def test() -> None:
        picture = Picture(noise(100, 100, 3))
        async with pool() as decoders:
            size = picture.pixels.nbytes
            plain, much = decoders.writing("webp", size), decoders.writing("webp", size, quality=100, effort=9)
            assert much > 100 * plain
            await decoders.write(picture, "webp", quality=100, effort=9)
            rates = decoders.coding.rates
            assert rates["webp"].cost > 500 * size, "so that who asks for less is not taken to be as slow"
            assert rates["webp"] == rates["any"]
            with pytest.raises(TooMuchEffort):
                decoders.writing("png", 10**12, effort=9)
            for options in ({}, {"effort": 0}):
                assert decoders.writing("png", 10**12, **options) > MOST, "without any it takes what it takes"

    run(test)


def test_a_small_picture_that_takes_long_to_be_written_is_a_large_one() -> None:
    async def test() -> None:
        async with pool(2) as decoders:
            slow = Picture(noise(300, 300, 3))
            await overtaken(decoders, [decoders.write(slow, "avif", effort=8) for _ in range(3)])

    run(test)


def test_a_small_picture_waits_for_no_large_one_however_many_there_are() -> None:
    async def test() -> None:
        async with pool(2) as decoders:
            large = Picture(noise(1200, 1200, 3))
            await overtaken(decoders, [decoders.write(large, "png", effort=9) for _ in range(4)])

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
        assert all(isinstance(one, (DecodeFailed, NoDecoder)) for one in told)

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


def test_a_pool_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with pytest.raises(RuntimeError, match="did not start"):
            await Decoders(2).start()

    for executable in ("/bin/false", "/nowhere/python"):
        monkeypatch.setattr(sys, "executable", executable)
        run(test)


def test_animated_is_told_too() -> None:
    apng = SMALL[:33] + bytes.fromhex("00000008 6163544c 00000002 00000000 f38d9370") + SMALL[33:]

    async def test() -> None:
        async with pool() as decoders:
            with pytest.raises(AnimatedPicture):
                await decoders.read(apng)

    run(test)
