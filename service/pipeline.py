"""The journey of a request, in a few short functions: bytes -> picture -> tiles -> batches -> picture -> bytes."""

import asyncio
import io
import secrets
import time
import zipfile
from dataclasses import dataclass, field, replace

import numpy as np

from models import inference, noise, restore, sampling
from models.images import FORMATS, Picture
from service import errors
from service.batcher import Batcher, Job, Overloaded
from service.decoders import DecodeFailed, Decoders
from service.engine import Engine, Kind, Loaded

SEED_BITS = 63


@dataclass(frozen=True)
class Parts:
    """What the journey passes through."""

    engine: Engine
    batcher: Batcher
    decoders: Decoders

    def admit(self) -> Job:
        """Room for one request's work, or the 503 that says when there will be."""
        try:
            return self.batcher.admit()
        except Overloaded as error:
            raise errors.overloaded(error.retry_after) from error


@dataclass
class Timing:
    """Seconds spent in each part of a journey, as `Server-Timing` tells them."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, part: str, seconds: float) -> None:
        self.seconds[part] = self.seconds.get(part, 0.0) + seconds

    def __str__(self) -> str:
        return ", ".join(f"{part};dur={1000 * seconds:.1f}" for part, seconds in self.seconds.items())


@dataclass(frozen=True)
class Answer:
    """Bytes to send, what they are, and what is told about them in headers."""

    body: bytes
    media_type: str
    headers: dict[str, str]


async def denoise(parts: Parts, loaded: Loaded, body: bytes, sigma: float | None, formats: list[str]) -> Answer:
    """A picture's bytes -> the clean picture's, same size. `sigma` in 8-bit grey levels; None estimates it.

    `formats`: what may be answered, the best first; none asks for the format that came in. Raises PictureError,
    WrongSize, Problem.
    """
    timing, began = Timing(), time.monotonic()
    picture = await parts.decoders.read(body)
    inference.check_size(loaded.needs, picture.height, picture.width)
    told = {"Denoir-Model": loaded.description.title}
    if loaded.needs.level:
        sigma = await asyncio.to_thread(noise.estimate, picture.pixels) if sigma is None else sigma
        told["Denoir-Sigma"] = f"{sigma:.2f}"
    timing.add("decode", time.monotonic() - began)
    pixels = await restored(parts, loaded, picture.pixels, sigma or 0.0, timing)
    began = time.monotonic()
    written = formats[0] if formats else picture.format
    data = await encoded(parts, replace(picture, pixels=pixels), written)
    timing.add("encode", time.monotonic() - began)
    return Answer(data, FORMATS[written].media_type, told | {"Server-Timing": str(timing)})


async def encoded(parts: Parts, picture: Picture, form: str) -> bytes:
    """A picture of ours as bytes. Raises PictureTooLarge where the format can't hold it; that it fails is our fault."""
    try:
        return await parts.decoders.write(picture, form)
    except DecodeFailed as error:
        raise errors.not_encoded() from error


async def restored(parts: Parts, loaded: Loaded, pixels: np.ndarray, sigma: float, timing: Timing) -> np.ndarray:
    """The picture through the network, tile by tile, sharing batches with whoever else is there."""
    if loaded.needs.level and sigma == 0:
        return pixels
    height, width = pixels.shape[:2]
    windows = restore.split(height, width, loaded.tiling)
    canvas = np.empty_like(pixels)
    kind = Kind(loaded.description.title, "restore", (*windows[0].shape, pixels.shape[2]), pixels.dtype.name)
    with parts.admit() as job:
        cost = windows[0].shape[0] * windows[0].shape[1]
        answers = [job.ask(kind, cost, (restore.cut(pixels, window), sigma)) for window in windows]
        waited = 0.0
        for window, answer in zip(windows, answers, strict=True):
            tile, wait, took = await answer
            restore.join(canvas, window, tile)
            waited = waited or wait
            timing.add("model", took)
    timing.add("queue", waited)
    return canvas


async def sample(parts: Parts, loaded: Loaded, count: int, seed: int | None, temperature: float, form: str) -> Answer:
    """`count` new pictures of a seed, as one PNG grid or a zip of PNGs; a seed not given is drawn, and told."""
    timing = Timing()
    seed = secrets.randbits(SEED_BITS) if seed is None else seed
    codes = sampling.draw_codes(loaded.needs.latent or 0, seed, 0, count, temperature)
    pictures = await decoded(parts, loaded, codes, timing)
    began = time.monotonic()
    body = await WRITERS[form](parts, pictures)
    timing.add("encode", time.monotonic() - began)
    told = {"Denoir-Model": loaded.description.title, "Denoir-Seed": str(seed), "Server-Timing": str(timing)}
    return Answer(body, SAMPLE_FORMATS[form], told)


async def decoded(parts: Parts, loaded: Loaded, codes: np.ndarray, timing: Timing) -> np.ndarray:
    """Codes `n k` -> pictures `n h w c`."""
    height, width = loaded.needs.size or (1, 1)
    kind = Kind(loaded.description.title, "decode")
    with parts.admit() as job:
        answers = [job.ask(kind, height * width, code) for code in codes]
        done = [await answer for answer in answers]
    timing.add("queue", done[0][1])
    timing.add("model", sum(took for _, _, took in done) / len(done))
    return np.stack([picture for picture, _, _ in done])


async def as_grid(parts: Parts, pictures: np.ndarray) -> bytes:
    return await encoded(parts, Picture(sampling.grid(pictures)), "png")


async def as_zip(parts: Parts, pictures: np.ndarray) -> bytes:
    """Single PNGs whose names sort and do not depend on how many there are."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for number, picture in enumerate(pictures):
            entry = zipfile.ZipInfo(f"{number:06d}.png")  # dated 1980, so that the same pictures are the same bytes
            archive.writestr(entry, await encoded(parts, Picture(picture), "png"))
    return packed.getvalue()


WRITERS = {"png": as_grid, "zip": as_zip}
SAMPLE_FORMATS = {"png": "image/png", "zip": "application/zip"}
