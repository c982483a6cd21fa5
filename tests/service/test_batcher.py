import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.batcher import BATCHES_AHEAD, FARTHEST, Batcher, Job, Late, Overloaded, Promises


class Device:
    """Doubles numbers; remembers its batches; can be held up, and can fail, as a whole or at one piece."""

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
        return [payload if isinstance(payload, Exception) else 2 * payload for payload in payloads]


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
        async with batcher.admit("held", 1) as job:
            await job.ask("held", 1, 0)

    task = asyncio.create_task(one())
    await asyncio.to_thread(device.busy.wait, 5)
    return task


def test_an_idle_device_serves_at_once():
    async def test(batcher: Batcher, device: Device) -> None:
        async with batcher.admit("a", 1) as job:
            done = await job.ask("a", 1, 21)
        assert done.result == 42
        assert done.waited < 1
        assert done.ran < 1

    assert served(test).batches == [[21]]


def test_a_busy_device_fills_its_batches_up_to_their_capacity_by_kind():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        async with batcher.admit("a", 6) as job:
            answers = [job.ask("a", 1, number) for number in range(1, 6)] + [job.ask("b", 1, 9)]
            device.free.set()
            assert [(await answer).result for answer in answers] == [2, 4, 6, 8, 10, 18]
        await held

    assert served(test).batches == [[0], [1, 2, 3, 4], [5], [9]]


def test_a_thumbnail_does_not_wait_for_a_scan_to_end():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        async with batcher.admit("a", 900) as scan, batcher.admit("b", 5) as thumbnail:
            tiles = [scan.ask("a", 100, number) for number in range(1, 10)]
            small = thumbnail.ask("b", 5, 99)
            device.free.set()
            await asyncio.gather(small, *tiles)
        await held

    batches = served(test, capacity=1).batches
    assert batches.index([99]) <= 2


def test_of_a_batch_that_fails_only_what_made_it_fail_is_told_so():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        async with batcher.admit("a", 4) as job:
            before, bad, after = (job.ask("a", 1, payload) for payload in (1, "bad", 2))
            apart = job.ask("b", 1, 5)
            device.free.set()
            with pytest.raises(RuntimeError, match="the model failed"):
                await bad
            assert [(await answer).result for answer in (before, after, apart)] == [2, 4, 10]
        await held
        assert "a" not in batcher.rates, "how fast it fails tells nothing of its speed"

    assert served(test).batches[1:] == [[1, "bad", 2], [1], ["bad"], [2], [5]]


def test_a_piece_that_goes_wrong_harms_none_that_shares_its_batch():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        async with batcher.admit("a", 2) as job:
            wrong, right = job.ask("a", 1, ArithmeticError("not finite")), job.ask("a", 1, 4)
            device.free.set()
            with pytest.raises(ArithmeticError, match="not finite"):
                await wrong
            assert (await right).result == 8
        await held

    assert len(served(test).batches) == 2


def test_what_is_left_is_never_run():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        before = batcher.backlog
        async with batcher.admit("a", 20) as job:
            left = [job.ask("a", 10, number) for number in (7, 8)]
            assert batcher.backlog > before
        assert all(answer.cancelled() for answer in left)
        assert batcher.backlog == before
        device.free.set()
        await held
        async with batcher.admit("a", 1) as job:
            await job.ask("a", 1, 1)

    assert served(test).batches == [[0], [1]]


def test_few_pieces_of_a_job_are_made_before_their_turn_and_their_answers_come_in_order():
    made = []

    def pieces() -> Iterator[int]:
        for number in range(1, 20):
            made.append(number)
            yield number

    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)

        async def all_of_them() -> list[int]:
            async with batcher.admit("a", 19) as job:
                return [done.result async for done in job.answers("a", 1, pieces())]

        asked = asyncio.create_task(all_of_them())
        await asyncio.sleep(0.05)
        assert len(made) == len(batcher.heap) == BATCHES_AHEAD * 3
        assert batcher.backlog >= batcher.predicted("a", 19), "what is not queued yet counts as well"
        device.free.set()
        assert await asked == [2 * number for number in range(1, 20)]
        await held

    assert [len(batch) for batch in served(test, capacity=3).batches[1:3]] == [3, 3]


def test_the_seconds_of_a_batch_are_shared_out_by_cost():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        async with batcher.admit("a", 4) as job:
            small, large = job.ask("a", 1, 1), job.ask("a", 3, 1)
            device.free.set()
            assert (await large).ran == pytest.approx(3 * (await small).ran)
        await held

    served(test)


def test_each_kind_of_work_has_its_own_rate_and_the_key_says_which_kinds_are_one():
    batcher = Batcher(lambda kind, payloads: payloads, lambda kind: 1, key=lambda kind: kind[0])
    batcher.learn("a1", 1e6, 1.0)
    batcher.learn("b1", 2e6, 100.0)
    assert batcher.predicted("a2", 1e6) == pytest.approx(1, rel=0.1)
    assert batcher.predicted("b2", 1e6) == pytest.approx(50, rel=0.1)


def test_what_nobody_waited_behind_only_tells_how_fast_the_device_is_at_least():
    async def test(batcher: Batcher, device: Device) -> None:
        batcher.learn("a", 1e9, 1.0)
        async with batcher.admit("a", 1) as job:
            await job.ask("a", 1, 1)
        assert batcher.predicted("a", 1e9) == pytest.approx(1, rel=0.1), "one small ask alone is no measure"
        batcher.learn("b", 1, 1000.0)
        async with batcher.admit("b", 10) as job:
            await job.ask("b", 10, 1)
        assert batcher.predicted("b", 1) < 500

    served(test)


def test_a_full_batch_tells_how_fast_the_device_is_also_where_nobody_waits_behind_it():
    async def test(batcher: Batcher, device: Device) -> None:
        batcher.learn("a", 1e9, 1.0)
        async with batcher.admit("a", 4) as job:
            await asyncio.gather(*(job.ask("a", 1, number) for number in range(4)))
        assert batcher.predicted("a", 1e9) > 1

    served(test)


def queued(batcher: Batcher, kind: str, seconds: int) -> Job:
    """A job of so many seconds, in pieces of one."""
    job = batcher.admit(kind, seconds)
    for number in range(seconds):
        job.ask(kind, 1, number)
    return job


def idle(max_waiting: float = 20.0, **settings: Any) -> Batcher:
    """A batcher that takes one piece at a time, and knows that a cost of 1 takes a second. `serve_for` moves time."""
    settings |= {"max_waiting": max_waiting, "guess": 1.0, "clock": Clock()}
    batcher = Batcher(lambda kind, payloads: payloads, lambda kind: 1, **settings)
    batcher.learn("a", 1, 1)
    return batcher


class Clock:
    """Tells the time that it was set to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def serve_for(batcher: Batcher, seconds: float) -> None:
    for _ in range(round(seconds)):
        batcher.take()
        batcher.clock.now += 1  # type: ignore[attr-defined]


def test_a_long_job_is_let_in_alone_and_small_ones_beside_it_but_no_second_long_one():
    async def test() -> None:
        batcher = idle()
        queued(batcher, "a", 100)
        for _ in range(5):
            queued(batcher, "a", 3)
        with pytest.raises(Overloaded) as refused:
            batcher.admit("a", 100)
        assert 90 <= refused.value.retry_after <= 96, "the small ones and all but twenty seconds of the long one"
        serve_for(batcher, 60)
        with pytest.raises(Overloaded):
            batcher.admit("a", 100)
        serve_for(batcher, refused.value.retry_after - 60)
        batcher.admit("a", 100)

    asyncio.run(test())


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 80), st.integers(3, 30))
def test_who_comes_again_when_told_is_let_in(lengths: list[int], own: int, max_waiting: int):
    async def test() -> None:
        batcher = idle(float("inf"))
        for seconds in lengths:
            queued(batcher, "a", seconds)
        batcher.max_waiting = max_waiting
        seconds = await told_to_wait(batcher, own)
        assert seconds <= sum(lengths)
        serve_for(batcher, seconds)
        batcher.max_waiting += 1  # they are served in pieces of a second, and not quite in step
        assert not await told_to_wait(batcher, own)

    asyncio.run(test())


def test_of_a_crowd_each_is_told_a_second_of_its_own_and_none_is_told_a_far_one():
    async def test() -> None:
        batcher = idle()
        for _ in range(21):
            queued(batcher, "a", 1)
        told = [await told_to_wait(batcher, 1) for _ in range(1000)]
        assert len(set(told[:40])) == 40
        assert max(told) == FARTHEST

    asyncio.run(test())


def test_who_comes_as_told_finds_room_and_who_comes_untold_finds_half_of_it():
    async def test() -> None:
        batcher = idle()
        for _ in range(21):
            queued(batcher, "a", 1)
        back = [await told_to_wait(batcher, 2) for _ in range(4)]
        assert min(back) > 0
        for second in range(1, max(back) + 1):
            serve_for(batcher, 1)
            if second in back:
                queued(batcher, "a", 2)
            assert (await told_to_wait(batcher, 1) > 0) == (batcher.backlog > 10)

    asyncio.run(test())


def test_room_is_kept_for_those_who_are_due_soon_and_not_for_those_who_never_came():
    promises = Promises()
    assert promises.kept(0.0, ahead=20.0)
    assert [promises.made(0.0, 0.0, 0.4), promises.made(0.5, 0.0, 0.4), promises.made(0.5, 0.0, 0.4)] == [1, 1, 2]
    assert promises.made(0.5, 30.0, 50.0) == 30
    assert not promises.kept(0.9, ahead=20.0)
    assert promises.kept(1.2, ahead=20.0), "the first"
    assert not promises.kept(1.3, ahead=20.0)
    assert promises.kept(5.0, ahead=20.0), "the second and the third did not come, and the fourth is not due soon"
    assert not promises.kept(15.0, ahead=20.0)
    assert promises.kept(33.0, ahead=20.0)


async def told_to_wait(batcher: Batcher, seconds: float) -> int:
    """Seconds until a job of so many would be let in; 0 where it is at once."""
    try:
        async with batcher.admit("a", seconds):
            return 0
    except Overloaded as refused:
        return refused.retry_after


def test_what_has_never_run_is_bounded_too():
    async def test() -> None:
        batcher = Batcher(lambda kind, payloads: payloads, lambda kind: 1, max_waiting=20.0, guess=1e5)
        for _ in range(20):
            batcher.admit("never run", 100_000)
        batcher.admit("never run", 100_000)
        with pytest.raises(Overloaded):
            batcher.admit("never run", 100_000)

    asyncio.run(test())


def test_what_has_never_run_is_taken_to_be_as_fast_as_the_slowest_that_has():
    batcher = Batcher(lambda kind, payloads: payloads, lambda kind: 1, guess=1e5)
    assert batcher.predicted("new", 1e5) == pytest.approx(1.0)
    batcher.learn("quick", 1e9, 100.0)
    assert batcher.predicted("new", 1e5) == pytest.approx(0.01, rel=0.01)
    batcher.learn("slow", 1e9, 1000.0)
    assert batcher.predicted("new", 1e5) == pytest.approx(0.1, rel=0.01)
    batcher.learn("slower than guessed", 1e6, 1000.0)
    assert batcher.predicted("new", 1e5) == pytest.approx(1.0), "which may be of another kind of work altogether"


def test_a_job_that_turns_out_too_long_is_refused_when_it_is_known():
    async def test() -> None:
        batcher = idle()
        queued(batcher, "a", 50)
        async with batcher.admit("a", 1) as job:
            job.expect(10)
            with pytest.raises(Overloaded):
                job.expect(40)
        assert batcher.backlog == pytest.approx(50)

    asyncio.run(test())


def test_what_all_jobs_hold_is_bounded_but_one_alone_may_hold_more():
    async def test() -> None:
        batcher = idle(max_held=100)
        async with batcher.admit("a", 1, size=150):
            with pytest.raises(Overloaded):
                batcher.admit("a", 1, size=1)
        async with batcher.admit("a", 1, size=60), batcher.admit("a", 1) as job:
            with pytest.raises(Overloaded):
                job.expect(1, size=41)
            job.expect(1, size=40)

    asyncio.run(test())


def test_an_answer_that_is_not_read_yet_counts_among_what_is_held():
    async def test() -> None:
        batcher = idle(max_held=100)
        with batcher.holding(60):
            with pytest.raises(Overloaded):
                batcher.admit("a", 1, size=41)
            batcher.admit("a", 1, size=40)
        batcher.admit("a", 1, size=60)

    asyncio.run(test())


def test_who_stays_past_the_deadline_is_ended_and_what_waits_of_it_is_never_run():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        batcher.deadline = 0.05
        with pytest.raises(Late):
            async with batcher.admit("a", 1) as job:
                await job.ask("a", 1, 7)
        assert all(ask.answer.cancelled() for ask in job.asks)
        batcher.deadline = 60.0
        device.free.set()
        await held
        async with batcher.admit("a", 1) as job:
            await job.ask("a", 1, 8)

    assert served(test).batches == [[0], [8]]


def test_what_was_predicted_to_take_long_may_stay_for_twice_as_long():
    async def test(batcher: Batcher, device: Device) -> None:
        batcher.learn("a", 1e6, 1.0)
        async with batcher.admit("a", 1) as job:
            job.expect(50_000_000)
            await asyncio.sleep(0.05)
            assert (await job.ask("a", 1, 4)).result == 8

    served(test, deadline=0.01)


def test_closing_cancels_who_still_waits():
    async def test(batcher: Batcher, device: Device) -> None:
        held = await hold(batcher, device)
        waiting = batcher.admit("a", 1).ask("a", 1, 1)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0.05)
        device.free.set()
        await closing
        assert waiting.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await held

    served(test)
