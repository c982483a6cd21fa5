"""What may stand on the command line: text to values. Raises ArgumentTypeError or ValueError, which argparse tells."""

import argparse
import re

SEED_BITS = 63


def whole(text: str) -> int:
    """Said so in words; argparse would tell the name of the function that failed."""
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from error


def positive(text: str) -> int:
    """A whole number above 0."""
    if (value := whole(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def several(text: str) -> int:
    """A whole number from two on, to a thousand."""
    return int(between(str(whole(text)), 2, 1000))


def count(text: str) -> int:
    """A whole number, nought among them."""
    return int(between(str(whole(text)), 0, 10**9))


def side(text: str) -> int:
    """Pixels."""
    return int(between(str(positive(text)), 1, 4096))


def size(text: str) -> int | tuple[int, int]:
    """A side in pixels, or WIDTHxHEIGHT, which becomes (height, width)."""
    first, by, second = text.partition("x")
    return (side(second), side(first)) if by else side(first)


def seed(text: str) -> int:
    """A whole number of 63 bits."""
    if not 0 <= (value := whole(text)) < 2**SEED_BITS:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 and {2**SEED_BITS - 1}")
    return value


def device(text: str) -> str:
    """A device by name; whether it is there is found out later."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text} is not auto, cpu, cuda or cuda:N")
    return text


def devices(text: str) -> tuple[str, ...]:
    """Several of them, with commas between."""
    return tuple(device(one.strip()) for one in text.split(","))


def quality(text: str) -> int:
    """Of formats that lose something."""
    return int(between(str(whole(text)), 1, 100))


def effort(text: str) -> int:
    """From quick to small."""
    return int(between(str(whole(text)), 0, 9))


def above_zero(text: str) -> float:
    """A number above 0."""
    return between(text, 1e-12, 1e12)


def level(text: str) -> float:
    """A noise level."""
    return between(text, 0, 100)


def share(text: str) -> float:
    """From none to all."""
    return between(text, 0, 1)


def temperature(text: str) -> float:
    return between(text, 0, 2)


def between(text: str, low: float, high: float) -> float:
    """A finite number within bounds."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text} is not within {low:g} and {high:g}")
    return value
