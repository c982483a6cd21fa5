"""The journey of a request, in a few short functions: bytes -> picture -> tiles -> batches -> picture -> bytes."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from models import denoisers, images, inference, restore
from models.denoisers import Noise
from models.images import FORMATS, Picture
from service import errors, metrics, telemetry
from service.batcher import Batcher, Done, Job, Late, Overloaded
from service.decoders import Decoders, TooMuchEffort
from service.engine import Engine, Kind, Loaded, OutOfMemory
from service.painter import Painter
from service.processes import DecodeFailed, NoDecoder
from service.repository import Repository

Progress = Callable[[int, int], None]
"""Told how many tiles are done, and of how many, whenever one is."""


@dataclass(frozen=True)
class Parts:
    """What the journey passes through."""

    engine: Engine
    batcher: Batcher
    decoders: Decoders
    painter: Painter = field(default_factory=Painter)
    sheets: dict[bytes, bytes] = field(default_factory=dict)
    """Contact sheets made lighter, by the hashes of what they are of."""

    def expected(self, loaded: Loaded, body: bytes) -> int:
        """Pixels to be computed for a picture that nobody has looked at."""
        there = self.decoders.presumed(body)
        return sum(map(area, loaded.windows(*(loaded.needs.size or (there.height, there.width)))))

    def held(self, body: bytes) -> int:
        """Bytes of it and its answer, as they are presumed."""
        return 2 * self.decoders.presumed(body).samples

    @cached_property
    def models(self) -> Repository:
        return Repository(self.engine, self.batcher)

    @asynccontextmanager
    async def admitted(self, kind: Kind, cost: int, size: int = 0, aside: float = 0.0) -> AsyncIterator[Job]:
        """Room for one request's work, or the 503 that says when there will be; and the end of it where it is late, or
        where there is nobody to do it. `aside`: seconds that its pictures will take to be decoded, painted and
        encoded."""
        try:
            async with self.batcher.admit(kind, cost, size, aside) as job:
                yield job
        except Overloaded as error:
            raise errors.overloaded(error.retry_after) from error
        except Late as error:
            raise errors.deadline() from error
        except NoDecoder as error:
            raise errors.no_decoder() from error
        except OutOfMemory as error:
            raise errors.out_of_memory(max(1, math.ceil(self.batcher.backlog))) from error


@dataclass
class Timing:
    """Seconds spent in each part of a journey, as `Server-Timing` tells them.

    `queue` is what the first piece waited; `model` is the device's own seconds, those of each batch shared out by cost
    among all who were in it.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, part: str, seconds: float) -> None:
        self.seconds[part] = self.seconds.get(part, 0.0) + seconds

    def ran(self, piece: Done) -> None:
        """Adds one piece of the work."""
        self.seconds.setdefault("queue", piece.waited)
        self.add("model", piece.ran)

    def told(self, loaded: Loaded) -> dict[str, str]:
        """The headers of every answer that a model made, its parts counted and noted for the log."""
        for part, seconds in self.seconds.items():
            metrics.PART_SECONDS.labels(part).observe(seconds)
        telemetry.note(took={part: round(seconds, 4) for part, seconds in self.seconds.items()})
        return {"Denoir-Model": loaded.description.title, "Server-Timing": str(self)}

    def __str__(self) -> str:
        return ", ".join(f"{part};dur={1000 * seconds:.1f}" for part, seconds in self.seconds.items())


@dataclass(frozen=True)
class Answer:
    """Bytes to send, what they are, and what is told about them in headers."""

    body: bytes
    media_type: str
    headers: dict[str, str]


async def denoise(
    parts: Parts,
    loaded: Loaded,
    body: bytes,
    sigma: float | None,
    formats: list[str],
    progress: Progress = lambda done, tiles: None,
    strength: float = 1.0,
    suiting: bool = False,
    **options: int,
) -> Answer:
    """A picture's bytes -> the clean picture's, same size. `sigma` in 8-bit grey levels; None estimates it. `suiting`:
    by another model than the one given, where that suits the noise found better.

    `formats`: what may be answered, the best first; none asks for the format that came in. `strength`: 0 to 1, how much
    of the change is made. `options`: `quality` and `effort` of the file. Raises PictureError, WrongSize, Problem.
    """
    timing, began = Timing(), time.monotonic()
    told = {"Denoir-Strength": f"{strength:g}"}
    kind, aside = Kind(loaded.description.title, "restore"), parts.decoders.expected(body)
    cost = 0 if inference.untouched(loaded.needs, sigma, strength) else parts.expected(loaded, body)
    async with parts.admitted(kind, cost, parts.held(body), aside) as job:
        picture = await opened(parts, job, loaded, body, sigma, strength, formats, **options)
        if loaded.needs.level:
            if sigma is None:
                found = await asyncio.to_thread(denoisers.found, picture.pixels, picture.alpha)
                loaded, sigma = await suited(parts, found) if suiting else loaded, found.level
            told["Denoir-Sigma"] = f"{sigma:.2f}"
        timing.add("decode", time.monotonic() - began)
        pixels = await restored(
            job, loaded, picture.pixels, sigma or 0.0, timing, progress, alpha=picture.alpha, strength=strength
        )
        began = time.monotonic()
        written = images.format_for(picture, formats)
        data = await encoded(parts, replace(picture, pixels=pixels), written, **options)
    timing.add("encode", time.monotonic() - began)
    return Answer(data, FORMATS[written].media_type, timing.told(loaded) | told)


def at_hand(parts: Parts) -> str:
    """The denoiser by which a picture is let in whose noise is not known yet: the one for white noise, unless it would
    have to be loaded and the other is there, which costs the same."""
    white, camera = (denoisers.suited(parts.engine.catalog, Noise(0.0, one)).description.title for one in (True, False))
    return camera if camera in parts.engine.loaded and white not in parts.engine.loaded else white


async def suited(parts: Parts, found: Noise) -> Loaded:
    """The denoiser for a picture with such noise, noted for the log."""
    described = denoisers.suited(parts.engine.catalog, found).description
    telemetry.note(model=described.title)
    return await parts.models.find(described.title)


async def opened(
    parts: Parts,
    job: Job,
    loaded: Loaded,
    body: bytes,
    sigma: float | None,
    strength: float = 1.0,
    formats: Sequence[str] = (),
    **options: int,
) -> Picture:
    """The picture in a body, if there is room for it: till then the job stood for what the file declares.

    Raises PictureError, WrongSize, Overloaded, Problem.
    """
    picture = await read(parts, body)
    inference.check_size(loaded.needs, picture.height, picture.width)
    untouched = inference.untouched(loaded.needs, sigma, strength)
    windows = [] if untouched else loaded.windows(picture.height, picture.width, sigma)
    cost = sum(map(area, windows))
    expect(parts, job, cost, picture, picture.pixels.nbytes, formats, **options)
    return picture


async def read(parts: Parts, body: bytes) -> Picture:
    """The picture in a body, noted for the log. Raises PictureError."""
    picture = await parts.decoders.read(body)
    telemetry.note(format=picture.format, width=picture.width, height=picture.height)
    return picture


def expect(
    parts: Parts,
    job: Job,
    cost: int,
    picture: Picture,
    answer: int,
    formats: Sequence[str],
    aside: float = 0.0,
    **options: int,
) -> None:
    """Says what a job will take, now that its picture is known: of the device, of memory, and to have its answer, of so
    many bytes of samples, encoded with those options, beside what else takes seconds `aside`. Raises Overloaded,
    PictureTooLarge where the answer's format can't hold it, Problem where it would take too much effort."""
    written = images.format_for(picture, formats)
    images.check_fits(picture.width, picture.height, written)  # before it is computed, not after
    try:
        aside += parts.decoders.writing(written, answer, **options)
    except TooMuchEffort as error:
        raise errors.too_much_effort(error.seconds) from error
    job.expect(cost, held(picture, answer), aside)


def area(window: restore.Window) -> int:
    """Pixels to compute for a window: what it costs."""
    height, width = window.shape
    return height * width


async def encoded(parts: Parts, picture: Picture, form: str, **options: Any) -> bytes:
    """A picture of ours as bytes. Raises PictureTooLarge where the format can't hold it; that it fails is our fault."""
    try:
        return await parts.decoders.write(picture, form, **options)
    except DecodeFailed as error:
        raise errors.not_encoded() from error


async def restored(
    job: Job,
    loaded: Loaded,
    pixels: np.ndarray,
    sigma: float,
    timing: Timing,
    progress: Progress,
    *,
    alpha: np.ndarray | None = None,
    strength: float = 1.0,
) -> np.ndarray:
    """The picture through the network, tile by tile, sharing batches with whoever else is there.

    Tiles are cut when there is room for them in the queue and joined as they come, so that but a few are held.
    `alpha` and `strength` as in `inference.restored`.
    """
    if inference.untouched(loaded.needs, sigma, strength):
        return pixels
    height, width, channels = pixels.shape
    windows = loaded.windows(height, width, sigma)
    canvas = np.empty_like(pixels)
    kind = Kind(loaded.description.title, "restore", (*windows[0].shape, channels), pixels.dtype.name)
    tiles = ((restore.shown(pixels, alpha, window), sigma) for window in windows)
    places = enumerate(windows, 1)
    async for done in job.answers(kind, area(windows[0]), tiles):
        number, place = next(places)
        restore.join(canvas, place, restore.kept(pixels, alpha, place, done.result, strength))
        timing.ran(done)
        progress(number, len(windows))
    return canvas


async def colorize(parts: Parts, loaded: Loaded, body: bytes, formats: list[str], **options: int) -> Answer:
    """A picture's bytes -> the picture in colours of the model's, its own lightness, size, depth and alpha kept.

    `formats` and `options` as in `denoise`. Raises PictureError, Problem.
    """
    timing, began = Timing(), time.monotonic()
    kind, cost = Kind(loaded.description.title, "colorize"), loaded.needs.whole**2
    aside = parts.decoders.expected(body) + parts.painter.predicted(parts.decoders.presumed(body).samples)
    async with parts.admitted(kind, cost, parts.held(body), aside) as job:
        picture = await read(parts, body)
        answer = picture.pixels[..., :1].nbytes * loaded.needs.channels
        expect(parts, job, cost, picture, answer, formats, parts.painter.predicted(answer), **options)
        sketch = await asyncio.to_thread(inference.sketched, loaded.needs, picture.pixels)
        timing.add("decode", time.monotonic() - began)
        done = await job.ask(kind, cost, (sketch, np.iinfo(picture.pixels.dtype).max))
        timing.ran(done)
        began = time.monotonic()
        pixels = await parts.painter.painted(picture.pixels, done.result)
        written = images.format_for(picture, formats)
        data = await encoded(parts, picture.repainted(Picture(pixels, picture.alpha)), written, **options)
    timing.add("encode", time.monotonic() - began)
    return Answer(data, FORMATS[written].media_type, timing.told(loaded))


def held(picture: Picture, answer: int) -> int:
    """Bytes of a picture as it came, and of its `answer`."""
    return picture.pixels.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes) + answer
