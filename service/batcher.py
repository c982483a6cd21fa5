"""Single asks -> batches, taken when the device is free. Knows no torch.

Fairness is by cost (pixels), as in start-time fair queueing (Goyal et al. 1996): each job's asks are stamped with the
cost that the job has had served, so a thumbnail's one tile goes before the hundredth tile of a scan.
"""

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

Run = Callable[[Hashable, list[Any]], list[Any]]
"""(kind, payloads) -> results in the same order; called in the device's own thread, one batch at a time."""


class Overloaded(Exception):
    """More work is waiting than may; `retry_after` says in how many seconds there should be room."""

    def __init__(self, retry_after: int):
        super().__init__(f"overloaded for another {retry_after} s")
        self.retry_after = retry_after


@dataclass(order=True)
class Ask:
    """One piece of work: asks of one `kind` may share a batch."""

    stamp: float
    number: int
    kind: Hashable = field(compare=False)
    cost: int = field(compare=False)
    payload: Any = field(compare=False)
    answer: asyncio.Future = field(compare=False)
    asked: float = field(compare=False)


class Job:
    """The asks of one request. Used as a context: leaving it, however, drops what has not been run."""

    def __init__(self, batcher: "Batcher"):
        self.batcher = batcher
        self.stamp = batcher.now
        self.asks: list[Ask] = []
        self.waited = 0.0
        self.ran = 0.0

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *error: object) -> None:
        for ask in self.asks:
            if not ask.answer.done():
                ask.answer.cancel()
                self.batcher.drop(ask)
            elif not ask.answer.cancelled():
                ask.answer.exception()  # looked at, so that a failure told by one tile is not reported for the others

    def ask(self, kind: Hashable, cost: int, payload: Any) -> asyncio.Future:
        """Queues one piece of work; its future has (result, seconds waited, seconds run)."""
        self.stamp = max(self.stamp, self.batcher.now) + cost
        ask = self.batcher.queue(self.stamp, kind, cost, payload)
        self.asks.append(ask)
        return ask.answer


class Batcher:
    """A queue before one device. `capacity(kind)` says how many asks of a kind a batch may hold."""

    def __init__(self, run: Run, capacity: Callable[[Hashable], int], max_waiting: float = 20.0):
        self.run, self.capacity, self.max_waiting = run, capacity, max_waiting
        self.now = 0.0
        self.rate = 0.0
        self.waiting_cost = 0
        self.running_cost = 0
        self.heap: list[Ask] = []
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
        for ask in self.heap:
            ask.answer.cancel()
        await asyncio.to_thread(self.thread.shutdown)

    @property
    def backlog(self) -> float:
        """Seconds that what is queued and running is predicted to take, by the rate measured so far."""
        return (self.waiting_cost + self.running_cost) / self.rate if self.rate else 0.0

    def admit(self) -> Job:
        """Room for one more request. Raises Overloaded where too much work waits already."""
        if self.backlog > self.max_waiting:
            raise Overloaded(max(1, math.ceil(self.backlog - self.max_waiting)))
        return Job(self)

    def queue(self, stamp: float, kind: Hashable, cost: int, payload: Any) -> Ask:
        future = asyncio.get_running_loop().create_future()
        ask = Ask(stamp, next(self.numbers), kind, cost, payload, future, time.monotonic())
        heapq.heappush(self.heap, ask)
        self.waiting_cost += cost
        self.work.set()
        return ask

    def drop(self, ask: Ask) -> None:
        """Forgets an ask whose future was cancelled; it leaves the heap when its turn comes."""
        if ask.payload is not None:
            ask.payload = None
            self.waiting_cost -= ask.cost

    async def serve(self) -> None:
        """Takes the next batch when the device is free, for as long as the service lives."""
        while True:
            await self.work.wait()
            batch = self.take()
            if batch:
                await self.run_batch(batch)
            if not self.heap:
                self.work.clear()

    def take(self) -> list[Ask]:
        """The first ask in fair order, and as many of its kind as fit; the others stay in their order."""
        batch: list[Ask] = []
        others: list[Ask] = []
        room = 1
        while self.heap and len(batch) < room:
            ask = heapq.heappop(self.heap)
            if ask.payload is None or ask.answer.done():
                self.drop(ask)
            elif not batch or ask.kind == batch[0].kind:
                batch.append(ask)
                room = self.capacity(ask.kind)
            else:
                others.append(ask)
        for ask in others:
            heapq.heappush(self.heap, ask)
        if batch:
            self.now = max(self.now, batch[0].stamp - batch[0].cost)
        return batch

    async def run_batch(self, batch: list[Ask]) -> None:
        """Runs a batch in the device's thread and answers each ask; if it fails, each is told."""
        cost = sum(ask.cost for ask in batch)
        payloads = [ask.payload for ask in batch]
        for ask in batch:
            self.drop(ask)
        self.running_cost = cost
        began = time.monotonic()
        try:
            loop = asyncio.get_running_loop()
            results = await loop.run_in_executor(self.thread, self.run, batch[0].kind, payloads)
            answers = [(result, began - ask.asked) for result, ask in zip(results, batch, strict=True)]
        except asyncio.CancelledError:
            for ask in batch:
                ask.answer.cancel()
            raise
        except Exception as error:  # whatever the model raises belongs to those who asked, not to the queue
            for ask in batch:
                if not ask.answer.done():
                    ask.answer.set_exception(error)
            return
        finally:
            self.running_cost = 0
        took = time.monotonic() - began
        self.learn(cost / max(took, 1e-6))
        for ask, (result, waited) in zip(batch, answers, strict=True):
            if not ask.answer.done():
                ask.answer.set_result((result, waited, took))

    def learn(self, rate: float) -> None:
        """Cost a second, averaged over about the last ten batches."""
        self.rate = rate if not self.rate else 0.9 * self.rate + 0.1 * rate
