"""How fast work is done, as it was measured."""

from collections import defaultdict
from dataclasses import dataclass

GUESS = 50e6
"""Bytes of samples that are taken to be decoded or encoded in a second, before any were."""

EACH = 100_000
"""Bytes of samples that take as long as what is to be done for any picture, however small."""

READ, ANY = "read", "any"
"""The task of decoding, and that of encoding in a format that is not known yet."""


@dataclass
class Rate:
    """Cost a second over about the last ten batches, each weighing as much as it took seconds."""

    cost: float
    seconds: float

    def learn(self, cost: float, seconds: float) -> None:
        self.cost, self.seconds = 0.9 * self.cost + cost, 0.9 * self.seconds + seconds

    def predicted(self, cost: float) -> float:
        """Seconds that so much takes."""
        return cost * self.seconds / self.cost


def guessed(cost: float) -> Rate:
    """The rate of so much a second until any is measured, against which it weighs little."""
    return Rate(cost / 1000, 0.001)


class Coding:
    """What decoding and encoding take: seconds of one process, by bytes of samples."""

    def __init__(self) -> None:
        self.rates = defaultdict(lambda: guessed(GUESS))

    def expected(self, samples: float) -> float:
        """Seconds until so many have been read, and as many written."""
        return self.predicted(READ, samples) + self.predicted(ANY, samples)

    def predicted(self, task: str, samples: float) -> float:
        """Seconds of a task, which is READ, ANY or the format that is written."""
        return self.rates[task].predicted(samples + EACH)

    def learn(self, task: str, samples: float, seconds: float) -> None:
        """That so many bytes took so many seconds; none if it was never begun."""
        if seconds:
            for one in {task, task if task == READ else ANY}:
                self.rates[one].learn(samples + EACH, seconds)
