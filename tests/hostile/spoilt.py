"""Files that were valid once: cut short, bits turned over, blocks overwritten. The same ones at each run."""

from collections.abc import Iterator

import numpy as np

from tests.hostile.pictures import VALID

Spoilt = tuple[str, bytes]
"""The name of the valid picture that it was, and the file."""


def cut(step: int) -> Iterator[Spoilt]:
    """Each valid picture cut after every `step` bytes, and at each of its last 16."""
    for name, data in VALID.items():
        for end in sorted({*range(0, len(data), step), *range(max(0, len(data) - 16), len(data))}):
            yield name, data[:end]


def flipped(count: int) -> Iterator[Spoilt]:
    """One bit turned over."""
    generator = np.random.default_rng(5)
    for number in range(count):
        name, data = picked(number)
        data[generator.integers(len(data))] ^= 1 << generator.integers(8)
        yield name, bytes(data)


def overwritten(count: int) -> Iterator[Spoilt]:
    """A few bytes replaced: by extremes that lengths and offsets are sensitive to, by chance, or by another's."""
    generator = np.random.default_rng(6)
    words = [b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\x80", b"\xff\xff\xff\x7f"]
    for number in range(count):
        name, data = picked(number)
        at = int(generator.integers(len(data)))
        donor = VALID[list(VALID)[generator.integers(len(VALID))]]
        start = int(generator.integers(len(donor)))
        by = (words[generator.integers(len(words))], generator.bytes(3), donor[start : start + 20])[number % 3]
        data[at : at + len(by)] = by
        yield name, bytes(data)


def picked(number: int) -> tuple[str, bytearray]:
    """The valid pictures in turn."""
    name = list(VALID)[number % len(VALID)]
    return name, bytearray(VALID[name])
