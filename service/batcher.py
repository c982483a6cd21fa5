"""Single asks -> batches, taken when the device is free. Knows no torch, and not what the work is.

Fairness is by predicted seconds, as in start-time fair queueing (Goyal et al. 1996): each job's asks are stamped with
the seconds that the job has had, so a thumbnail's one tile goes before the hundredth tile of a scan.

Who is let in follows from that. Until a newcomer has had its C seconds, each other job has about C seconds too, or what
is left of it where that is less. So the newcomer waits for the batch that runs and for the sum of min(C, left), and it
is this sum that `max_waiting` bounds: a scan that takes minutes is let in where little else waits, thumbnails are let
in beside it, and a second scan is told when the first will have gone far enough. All that waits is bounded with it: by
the largest job and max_waiting * (1 + log n) seconds, n being the jobs. Memory has a bound of its own, `max_held`.

What a job has done `aside`, by others than the device, is waited for in the same way and bounded by the same seconds.

Of a crowd that is refused, each is told a second at which not more are told to come than can be served in it
(`Promises`), and while they are awaited who comes untold finds half of the room, so that the rest is there for them.
And no job stays for longer than `deadline` seconds and twice what it was predicted to take.
"""

import asyncio
import heapq
import itertools
import math
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from service.rates import Rate, guessed

Run = Callable[[Hashable, list[Any]], list[Any]]
"""(kind, payloads) -> results in the same order; called in the device's own thread, one batch at a time.

A result that is an exception fails its own ask and no other.
"""

FARTHEST = 60
"""Seconds: nobody is told to come later than that because of others who were told so, however many ask."""

FULL = 0.8
"""Of each second what is given to those who are told to come in it: what they take is a guess."""

BELATED = 2.0
"""Seconds that one may come later than told."""

BATCHES_AHEAD = 2
"""Batches' worth of one job that is queued at a time: one runs, and the next is there when it ends."""


class Overloaded(Exception):
    """More work is waiting than may; `retry_after` says in how many seconds there should be room."""

    def __init__(self, seconds: float):
        self.retry_after = max(1, math.ceil(seconds))
        super().__init__(f"overloaded for another {self.retry_after} s")


class Late(Exception):
    """A job has stayed for longer than it may."""


class Promises:
    """When those who were refused were told to come again: in each second as many as can be served in it.

    Nobody is known again: whoever comes when somebody is due is taken for that one. Times are of one clock.
    """

    def __init__(self) -> None:
        self.due: list[float] = []
        self.taken: defaultdict[int, float] = defaultdict(float)

    def made(self, now: float, soonest: float, own: float) -> int:
        """Seconds until one may come who takes `own` of them, and would find room after `soonest` if no other came."""
        first = max(1, math.ceil(soonest))
        free = (wait for wait in range(first, FARTHEST) if self.taken[int(now) + wait] < FULL)
        if (wait := next(free, None)) is None:
            return max(first, FARTHEST)
        second = int(now) + wait
        heapq.heappush(self.due, now + wait)
        while own > 0 and second <= now + FARTHEST:
            part = min(own, max(0.0, FULL - self.taken[second]))
            self.taken[second], own, second = self.taken[second] + part, own - part, second + 1
        return wait

    def kept(self, now: float, ahead: float) -> bool:
        """Whether who comes now may be one of them, or takes the room of none who is due in so many seconds."""
        for second in [one for one in self.taken if one < int(now)]:
            del self.taken[second]
        while self.due and self.due[0] < now - BELATED:
            heapq.heappop(self.due)
        if self.due and self.due[0] <= now:
            heapq.heappop(self.due)
            return True
        return not self.due or self.due[0] > now + ahead


@dataclass(frozen=True)
class Done:
    """A result, the seconds it waited, and its share, by cost, of the seconds that its batch ran."""

    result: Any
    waited: float
    ran: float


@dataclass(eq=False)
class Ask:
    """One piece of work: asks of one `kind` may share a batch. `start` is its job's fair time before it, in seconds."""

    job: "Job"
    kind: Hashable
    cost: int
    payload: Any
    start: float
    asked: float
    answer: asyncio.Future[Done]

    def tell(self, result: Any, waited: float, ran: float) -> None:
        self.payload = None
        self.job.asks.discard(self)
        if self.answer.done():
            return
        if isinstance(result, Exception):
            self.answer.set_exception(result)
            self.answer.exception()  # looked at, so that a failure told by one tile is not reported for the others
        else:
            self.answer.set_result(Done(result, waited, ran))


class Job:
    """The asks of one request, all of one rate. Used as a context: leaving it, however, drops what has not been run.

    Who is in it when it is late is cancelled, and it raises Late.
    """

    def __init__(self, batcher: "Batcher", kind: Hashable, cost: int, size: int, aside: float, share: float):
        self.batcher, self.kind, self.share = batcher, kind, share
        self.left, self.size, self.aside = cost, size, aside
        self.stamp = batcher.now
        self.asks: set[Ask] = set()
        self.admitted, self.timer = time.monotonic(), asyncio.timeout(None)

    async def __aenter__(self) -> "Job":
        await self.timer.__aenter__()
        self.wind()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.batcher.jobs.discard(self)
        for ask in self.asks:
            ask.answer.cancel()
            ask.payload = None
        # Let go of, as it knows the task, whose error knows the frames, which know this job and what it was sent: in a
        # ring they would wait for the collector, and a crowd's bodies with them.
        timer, self.timer = self.timer, asyncio.timeout(None)
        try:
            await timer.__aexit__(*error)
        except TimeoutError:
            raise Late from None

    def wind(self) -> None:
        """Sets the time by which it has to be left."""
        stayed = time.monotonic() - self.admitted
        seconds = self.batcher.deadline + 2 * (self.seconds + self.aside) - stayed
        self.timer.reschedule(asyncio.get_running_loop().time() + seconds)

    @property
    def seconds(self) -> float:
        """Predicted for what has not begun to run."""
        return self.batcher.predicted(self.kind, self.left)

    def expect(self, cost: int, size: int = 0, aside: float = 0.0) -> None:
        """Says what the job will ask in all, hold, and have done aside, now that it is known. Raises Overloaded; see
        `admit`."""
        self.batcher.check(self.kind, cost, size, aside, self.batcher.jobs - {self}, self.share)
        self.left, self.size, self.aside = cost, size, aside
        self.wind()

    def ask(self, kind: Hashable, cost: int, payload: Any) -> asyncio.Future[Done]:
        """Queues one piece of work."""
        start = max(self.stamp, self.batcher.now)
        self.stamp = start + self.batcher.predicted(kind, cost)
        ask = Ask(self, kind, cost, payload, start, time.monotonic(), asyncio.get_running_loop().create_future())
        self.asks.add(ask)
        self.batcher.queue(self.stamp, ask)
        return ask.answer

    async def answers(self, kind: Hashable, cost: int, payloads: Iterable[Any]) -> AsyncIterator[Done]:
        """Asks for each payload and yields the answers in order; a payload is not made before there is room for it."""
        ahead: deque[asyncio.Future[Done]] = deque()
        for payload in payloads:
            ahead.append(self.ask(kind, cost, payload))
            if len(ahead) == BATCHES_AHEAD * self.batcher.capacity(kind):
                yield await ahead.popleft()
        while ahead:
            yield await ahead.popleft()


class Batcher:
    """A queue before one device.

    capacity(kind): how many asks of a kind a batch may hold. key(kind): what the kind's rate is known by. max_waiting:
    seconds that a newcomer may be predicted to wait. max_held: what all jobs may hold, in the units of `size`; one
    alone may hold more. deadline: seconds a job may stay, beside twice what it is predicted to take. guess: cost a
    second of what has never run, at least. clock: tells the time, in seconds.
    """

    def __init__(
        self,
        run: Run,
        capacity: Callable[[Any], int],
        key: Callable[[Any], Hashable] = lambda kind: kind,
        max_waiting: float = 20.0,
        max_held: float = math.inf,
        deadline: float = 60.0,
        guess: float = 1e5,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.run, self.capacity, self.key = run, capacity, key
        self.max_waiting, self.max_held, self.deadline, self.guess = max_waiting, max_held, deadline, guess
        self.held = 0
        self.now = 0.0
        self.running = 0.0
        self.rates: dict[Hashable, Rate] = {}
        self.promises, self.clock = Promises(), clock
        self.jobs: set[Job] = set()
        self.heap: list[tuple[float, int, Ask]] = []
        self.numbers = itertools.count()
        self.work = asyncio.Event()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="device")
        self.task: asyncio.Task | None = None

    def start(self) -> None:
        """Begins to serve, in the running loop."""
        self.task = asyncio.create_task(self.serve())

    async def close(self) -> None:
        """Lets the batch that runs end, and stops; whoever still waits is cancelled."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        for _, _, ask in self.heap:
            ask.answer.cancel()
        await asyncio.to_thread(self.thread.shutdown)

    @property
    def backlog(self) -> float:
        """Seconds predicted for all that runs and waits, what has yet to be queued included; or for what waits aside,
        where that is more."""
        return max(self.running + sum(job.seconds for job in self.jobs), sum(job.aside for job in self.jobs))

    def predicted(self, kind: Hashable, cost: float) -> float:
        """Seconds that so much work of a kind takes, by what was measured."""
        return (self.rates.get(self.key(kind)) or self.guessed()).predicted(cost)

    def guessed(self) -> Rate:
        """Of what has never run: the slowest of all that has, so that nobody is sent away for a first batch's sake."""
        return guessed(max(self.guess, min((rate.cost / rate.seconds for rate in self.rates.values()), default=0.0)))

    def learn(self, kind: Hashable, cost: float, seconds: float) -> None:
        """That so much work of a kind took so many seconds."""
        self.rates.setdefault(self.key(kind), self.guessed()).learn(cost, seconds)

    def admit(self, kind: Hashable, cost: int, size: int = 0, aside: float = 0.0) -> Job:
        """Room for one more request, which will ask for `cost` in all, and hold `size` until it leaves. `aside`:
        seconds of what else all jobs wait for, as for the device, and as fairly.

        Raises Overloaded where it would have to wait for too long, or too much is held already.
        """
        share = 1.0 if self.promises.kept(self.clock(), self.max_waiting) else 0.5
        self.check(kind, cost, size, aside, self.jobs, share)
        job = Job(self, kind, cost, size, aside, share)
        self.jobs.add(job)
        return job

    def own(self, kind: Hashable) -> Job:
        """The same for work of the service's own, which has room however much waits."""
        job = Job(self, kind, 0, 0, 0.0, 1.0)
        self.jobs.add(job)
        return job

    def check(self, kind: Hashable, cost: int, size: int, aside: float, others: set[Job], share: float) -> None:
        """Raises Overloaded where there is no room, or no such share of it, beside those others."""
        own = self.predicted(kind, cost)
        takes = max(own, aside)
        self.check_wait(self.running, [job.seconds for job in others], own, takes, share)
        self.check_wait(0.0, [job.aside for job in others], aside, takes, share)
        held = self.held + sum(job.size for job in others)
        if held and held + size > self.max_held:
            raise Overloaded(self.backlog)

    def check_wait(self, running: float, left: list[float], own: float, takes: float, share: float) -> None:
        """Raises Overloaded for one of `own` seconds that would wait too long behind those that have so many left."""
        if running + served(left, own) > share * self.max_waiting:
            soonest = until_room(running, left, own, self.max_waiting)
            raise Overloaded(self.promises.made(self.clock(), soonest, takes))

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Counts what is held after a job has been left."""
        self.held += size
        try:
            yield
        finally:
            self.held -= size

    def queue(self, stamp: float, ask: Ask) -> None:
        heapq.heappush(self.heap, (stamp, next(self.numbers), ask))
        self.work.set()

    async def serve(self) -> None:
        """Takes the next batch when the device is free, for as long as the service lives."""
        while True:
            await self.work.wait()
            if batch := self.take():
                await self.run_batch(batch)
            if not self.heap:
                self.work.clear()

    def take(self) -> list[Ask]:
        """The first ask in fair order, and as many of its kind as fit; the others stay in their order."""
        batch: list[Ask] = []
        others: list[tuple[float, int, Ask]] = []
        room = 1
        while self.heap and len(batch) < room:
            entry = heapq.heappop(self.heap)
            ask = entry[-1]
            if ask.answer.done():
                continue
            if not batch or ask.kind == batch[0].kind:
                batch.append(ask)
                room = self.capacity(ask.kind)
            else:
                others.append(entry)
        for entry in others:
            heapq.heappush(self.heap, entry)
        if batch:
            self.now = max(self.now, batch[0].start)
        for ask in batch:
            ask.job.left = max(0, ask.job.left - ask.cost)
        return batch

    async def run_batch(self, batch: list[Ask]) -> None:
        """Runs a batch in the device's thread and answers each ask."""
        kind, cost, payloads = batch[0].kind, sum(ask.cost for ask in batch), [ask.payload for ask in batch]
        self.running, began = self.predicted(kind, cost), time.monotonic()
        try:
            loop = asyncio.get_running_loop()
            results = await loop.run_in_executor(self.thread, spared, self.run, kind, payloads)
        except asyncio.CancelledError:
            for ask in batch:
                ask.answer.cancel()
            raise
        took = time.monotonic() - began
        failed = any(isinstance(result, Exception) for result in results)
        # A batch that was not filled, and that nobody waited behind, tells how fast the device is at least. What
        # failed tells nothing.
        full = self.heap or len(batch) == self.capacity(kind)
        if not failed and (full or took < self.running):
            self.learn(kind, cost, took)
        self.running = 0.0
        for ask, result in zip(batch, results, strict=True):
            ask.tell(result, began - ask.asked, took * ask.cost / cost)


def spared(run: Run, kind: Hashable, payloads: list[Any]) -> list[Any]:
    """The results of a batch. If it fails, each piece is run alone, so that what is wrong with one harms no other;
    whatever the model raises then belongs to who asked, not to the queue."""
    try:
        results = run(kind, payloads)
        if len(results) != len(payloads):
            raise RuntimeError("as many results as payloads were asked for")
        return results
    except Exception as error:
        if len(payloads) == 1:
            return [error]
    return [result for payload in payloads for result in spared(run, kind, [payload])]


def until_room(running: float, left: list[float], own: float, most: float) -> float:
    """Seconds until one of `own` seconds would wait for `most`, if nobody else comes. The others are served in step."""
    low, high = 0.0, max(left, default=0.0)
    for _ in range(20):
        middle = (low + high) / 2
        waiting = running + served(left, middle + own) - served(left, middle)
        low, high = (low, middle) if waiting <= most else (middle, high)
    return running + served(left, high)


def served(left: list[float], level: float) -> float:
    """Seconds until each job has had `level` seconds, or all that is left of it."""
    return sum(min(one, level) for one in left)
