"""A module on a GPU, its kernels captured as one graph for each shape of what it is given, and replayed.

A network of a hundred small kernels keeps a CPU busier with launching them than the GPU with running them; a replay is
one launch. Pixels go up and answers come down in their own bytes, through pinned memory, on a stream of the program's.

What a card does stands behind `Card`, so that all else runs, and is tested, without one.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from models.eager import Eager

log = logging.getLogger("denoir")

GRAPHS = 64
"""Graphs that a program keeps, the latest asked; they share their working memory."""
MET = 1024
"""Shapes that a program remembers to have met once."""


@runtime_checkable
class Card(Protocol):
    """What is asked of a GPU."""

    def room(self, like: np.ndarray) -> Tensor:
        """Memory on the device for such an array."""
        ...

    def pinned(self, like: Tensor) -> Tensor:
        """Memory of the host that the device copies from and to by itself, for such a tensor."""
        ...

    def captured(self, run: Callable[[], tuple[Tensor, ...]]) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        """The tensors that `run` answers in, and what runs it again into them. Raises RuntimeError."""
        ...

    def on_stream(self) -> Any:
        """A context in which work is queued on the program's own stream."""
        ...

    def finish(self) -> None:
        """Waits until all that is queued is done."""
        ...


class Cuda:
    """A card by CUDA."""

    def __init__(self, device: torch.device):
        self.device = device
        self.stream, self.pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()

    def room(self, like: np.ndarray) -> Tensor:
        return torch.empty_like(torch.from_numpy(like), device=self.device)

    def pinned(self, like: Tensor) -> Tensor:
        return torch.empty(like.shape, dtype=like.dtype, pin_memory=True)

    def captured(self, run: Callable[[], tuple[Tensor, ...]]) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        run()  # libraries choose and load their kernels while they run for the first time, which can't be captured
        self.finish()
        graph = torch.cuda.CUDAGraph()
        # Another thread may be loading a model meanwhile, which is no business of this graph's.
        with torch.cuda.graph(graph, self.pool, self.stream, capture_error_mode="thread_local"):
            answers = run()
        return answers, graph.replay

    def on_stream(self) -> Any:
        return torch.cuda.stream(self.stream)

    def finish(self) -> None:
        self.stream.synchronize()


@dataclass(frozen=True)
class Graph:
    """One shape's: where what is given goes, pinned and on the device; what runs; where answers are, and come."""

    hosts: list[Tensor]
    given: list[Tensor]
    replay: Callable[[], None]
    answers: tuple[Tensor, ...]
    returned: list[Tensor]


class Graphed:
    """A program that replays graphs of what `eager` does. One caller at a time.

    A shape that is met for the first time runs without one, since most sizes that are rare are met but once. Batches
    are filled up with copies of their last piece to a power of two, so that shapes are few.
    """

    def __init__(self, eager: Eager, card: Card):
        self.eager, self.card = eager, card
        self.graphs: OrderedDict[Any, Graph] = OrderedDict()
        self.worth: OrderedDict[Any, bool] = OrderedDict()

    @torch.inference_mode()
    def __call__(self, *arrays: np.ndarray, answer: np.dtype) -> tuple[np.ndarray, ...]:
        count = len(arrays[0])
        filled = [filled_up(array, count) for array in arrays]
        key = (np.dtype(answer), *((array.shape, array.dtype) for array in filled))
        if key not in self.graphs and not self.capture(key, filled, answer):
            return self.eager(*arrays, answer=answer)
        self.graphs.move_to_end(key)
        first, *others = (result[:count] for result in self.replayed(self.graphs[key], filled))
        return first.astype(answer), *others

    def capture(self, key: Any, arrays: Sequence[np.ndarray], answer: np.dtype) -> bool:
        """Whether there is a graph of those shapes now: they were met before, and could be captured."""
        if key not in self.worth:
            self.worth[key] = True
            if len(self.worth) > MET:
                self.worth.popitem(last=False)
            return False
        if not self.worth[key]:
            return False
        try:
            self.graphs[key] = self.graph(arrays, answer)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            log.warning("a graph can't be captured, and its shape runs without: %s", error)
            self.worth[key] = False
            return False
        if len(self.graphs) > GRAPHS:
            self.graphs.popitem(last=False)
        return True

    def graph(self, arrays: Sequence[np.ndarray], answer: np.dtype) -> Graph:
        """Captured with those arrays in their places. Raises RuntimeError."""
        given = [self.card.room(array) for array in arrays]
        hosts = [self.card.pinned(one) for one in given]
        with self.card.on_stream():
            sent(arrays, hosts, given)
            answers, replay = self.card.captured(lambda: self.eager.answers(answer, *given))
        return Graph(hosts, given, replay, answers, [self.card.pinned(one) for one in answers])

    def replayed(self, graph: Graph, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What comes of those arrays; copies, since the next replay writes where they were."""
        with self.card.on_stream():
            sent(arrays, graph.hosts, graph.given)
            graph.replay()
            for host, one in zip(graph.returned, graph.answers, strict=True):
                host.copy_(one, non_blocking=True)
        self.card.finish()
        return [host.numpy().copy() for host in graph.returned]


def sent(arrays: Sequence[np.ndarray], hosts: Sequence[Tensor], given: Sequence[Tensor]) -> None:
    """Queues arrays for their places on the device, by way of pinned memory that nothing is being read from."""
    for array, host, one in zip(arrays, hosts, given, strict=True):
        host.numpy()[...] = array
        one.copy_(host, non_blocking=True)


def filled_up(array: np.ndarray, count: int) -> np.ndarray:
    """The batch of so many pieces filled up to a power of two; what is no batch as it is."""
    whole = 1 << (count - 1).bit_length()
    if not array.ndim or whole == count:
        return np.asarray(array, order="C")
    return np.concatenate([array, np.repeat(array[-1:], whole - count, 0)])
