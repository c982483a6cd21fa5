import asyncio
import threading
from typing import Any

import pytest

from service.batcher import Batcher, Overloaded


class Device:
    """Doubles numbers; remembers its batches; can be held up, and can fail."""

    def __init__(self):
        self.batches: list[list[Any]] = []
        self.free = threading.Event()
        self.free.set()
        self.busy = threading.Event()

    def run(self, kind: Any, payloads: list[Any]) -> list[Any]:
        self.batches.append(payloads)
        self.busy.set()
        assert self.free.wait(5)
        if "bad" in payloads:
            raise RuntimeError("the model failed")
        return [2 * payload for payload in payloads]


def served(test: Any, capacity: int = 4, **settings: Any) -> Device:
    """Runs `test(batcher, device)` with a batcher at work."""
    device = Device()

    async def run() -> None:
        batcher = Batcher(device.run, lambda kind: capacity, **settings)
        batcher.start()
        try:
            await asyncio.wait_for(test(batcher, device), 10)
        finally:
            device.free.set()
            await batcher.close()

    asyncio.run(run())
    return device


async def hold(batcher: Batcher, device: Device) -> asyncio.Task:
    """Keeps the device busy with one ask, so that what follows has to queue."""
    device.free.clear()
    device.busy.clear()

    async def one() -> None:
        with batcher.admit() as job:
            await job.ask("held", 1, 0)

    task = asyncio.create_task(one())
    await asyncio.to_thread(device.busy.wait, 5)
    return task


def test_an_idle_device_serves_at_once():
    async def test(batcher: Batcher, device: Device) -> None:
        with batcher.admit() as job:
            result, waited, took = await job.ask("a", 1, 21)
        assert result == 42
        assert waited < 1
        assert took < 1

    assert served(test).batches == [[21]]


def test_a_busy_device_fills_its_batches_up_to_their_capacity_by_kind():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        with batcher.admit() as job:
            answers = [job.ask("a", 1, number) for number in range(1, 6)] + [job.ask("b", 1, 9)]
            device.free.set()
            assert [(await answer)[0] for answer in answers] == [2, 4, 6, 8, 10, 18]
        await held

    assert served(test).batches == [[0], [1, 2, 3, 4], [5], [9]]


def test_a_thumbnail_does_not_wait_for_a_scan_to_end():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        with batcher.admit() as scan, batcher.admit() as thumbnail:
            tiles = [scan.ask("a", 100, number) for number in range(1, 10)]
            small = thumbnail.ask("b", 5, 99)
            device.free.set()
            await asyncio.gather(small, *tiles)
        await held

    batches = served(test, capacity=1).batches
    assert batches.index([99]) <= 2


def test_a_batch_that_fails_tells_each_of_its_asks_and_no_other():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        with batcher.admit() as job:
            bad, beside, apart = job.ask("a", 1, "bad"), job.ask("a", 1, 1), job.ask("b", 1, 5)
            device.free.set()
            for answer in (bad, beside):
                with pytest.raises(RuntimeError, match="the model failed"):
                    await answer
            assert (await apart)[0] == 10
        await held

    served(test)


def test_what_is_left_is_never_run():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        with batcher.admit() as job:
            left = [job.ask("a", 10, number) for number in (7, 8)]
            assert batcher.waiting_cost == 20
        assert all(answer.cancelled() for answer in left)
        assert batcher.waiting_cost == 0
        device.free.set()
        await held
        with batcher.admit() as job:
            await job.ask("a", 1, 1)

    assert served(test).batches == [[0], [1]]


def test_too_much_waiting_work_is_refused_with_the_seconds_until_there_is_room():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        batcher.rate = 10.0
        with batcher.admit() as job:
            job.ask("a", 495, 1)
            with pytest.raises(Overloaded) as refused:
                batcher.admit()
            assert refused.value.retry_after == 30
        batcher.admit()
        device.free.set()
        await held

    served(test, max_waiting=20.0)


def test_the_rate_is_learned():
    async def test(batcher: Batcher, device: Device) -> None:
        assert batcher.backlog == 0
        with batcher.admit() as job:
            await job.ask("a", 1000, 1)
        assert batcher.rate > 0

    served(test)


def test_closing_cancels_who_still_waits():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        waiting = batcher.admit().ask("a", 1, 1)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0.05)
        device.free.set()
        await closing
        assert waiting.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await held

    served(test)
