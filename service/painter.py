"""Lays the colours that a network found over a picture: beside the device, which has others to serve meanwhile."""

import asyncio
import time
from collections.abc import Iterator
from itertools import islice

import numpy as np

from models import colour
from models.images.picture import Pixels
from service.rates import EACH, GUESS, guessed

BANDS = 16
"""Bands that are painted of a picture until it is another's turn."""


class Painter:
    """One thread's worth of painting at a time, of several pictures in turn, so that a small one waits for a large one
    no longer than that takes some bands."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.rate = guessed(GUESS)

    def predicted(self, size: float) -> float:
        """Seconds that a picture takes whose answer has so many bytes of samples."""
        return self.rate.predicted(size + EACH)

    async def painted(self, pixels: Pixels, tint: np.ndarray) -> Pixels:
        """As `colour.painted`. For who is cancelled no more bands are painted."""
        canvas, seconds = colour.canvas_for(pixels), 0.0
        bands = colour.painting(canvas, pixels, tint)
        while (took := await self.some(bands)) is not None:
            seconds += took
        self.rate.learn(canvas.nbytes + EACH, seconds)
        return canvas

    async def some(self, bands: Iterator[int]) -> float | None:
        """The seconds that the next bands took; None where all were done."""
        async with self.turn:
            return await asyncio.to_thread(seconds_for, bands)


def seconds_for(bands: Iterator[int]) -> float | None:
    began = time.monotonic()
    return time.monotonic() - began if list(islice(bands, BANDS)) else None
