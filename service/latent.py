"""The journeys through a model's codes: drawn, given or had from pictures; moved; decoded to pictures again."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models import images, inference, sampling
from models.images import FORMATS, Picture
from models.inference import NotFinite
from models.letterbox import Placement
from models.tasks import DECODE_BATCH
from service import album, errors
from service.album import Form
from service.batcher import Job
from service.engine import Kind, Loaded
from service.pipeline import Answer, Parts, Timing, encoded, held, read
from service.schemas import Drawn, Encoded

SEED_BITS = 63


async def sample(
    parts: Parts, loaded: Loaded, count: int, seed: int | None, temperature: float, form: str, first: int = 0
) -> Answer:
    """`count` new pictures of a seed, put together as one of `album.FORMS`; a seed not given is drawn, and told."""
    seed = seeded(seed)
    codes = drawn(loaded, seed, count, temperature, first)
    return await shown(parts, loaded, codes, album.FORMS[form], {"Denoir-Seed": str(seed)})


def told_codes(loaded: Loaded, count: int, seed: int | None, temperature: float, first: int) -> Drawn:
    """The codes of the same pictures."""
    seed = seeded(seed)
    return Drawn.of(loaded.description.title, seed, drawn(loaded, seed, count, temperature, first))


async def interpolate(
    parts: Parts,
    loaded: Loaded,
    ends: tuple[int | None, int | None],
    steps: int,
    path: str,
    temperature: float,
    form: str,
) -> Answer:
    """The way from the first picture of one seed to that of another, both of them included."""
    first, last = map(seeded, ends)
    a, b = (drawn(loaded, seed, 1, temperature)[0] for seed in (first, last))
    codes = sampling.between(a, b, steps, path)
    return await shown(parts, loaded, codes, album.FORMS[form], {"Denoir-From": str(first), "Denoir-To": str(last)})


async def traverse(
    parts: Parts,
    loaded: Loaded,
    seed: int | None,
    directions: tuple[int, ...],
    span: float,
    steps: int,
    temperature: float,
    form: str,
) -> Answer:
    """The first picture of a seed, its code moved along one direction (a row) or two (rows and columns)."""
    if max(directions) >= length(loaded):
        raise errors.invalid("directions", f"each is 0 to {length(loaded) - 1}, an index of the model's code")
    seed = seeded(seed)
    codes = sampling.around(drawn(loaded, seed, 1, temperature)[0], directions, span, steps)
    return await shown(parts, loaded, codes, album.FORMS[form], {"Denoir-Seed": str(seed)}, columns=steps)


async def reconstruct(parts: Parts, loaded: Loaded, body: bytes, formats: list[str], **options: int) -> Answer:
    """A picture's bytes -> what the model makes of it, in the model's size; on white what was transparent,
    unless the model knows transparency.

    `formats`: what may be answered, the best first; none asks for the format that came in. `options`: `quality` and
    `effort` of the file. Raises PictureError, CannotFit, Problem.
    """
    timing = Timing()
    async with parts.admitted(*whole(loaded, "reconstruct"), parts.held(body), parts.decoders.expected(body)) as job:
        picture, tile, placement = await opened(parts, job, loaded, body, timing)
        pixels = await through(job, "reconstruct", loaded, tile, timing)
        began = time.monotonic()
        rebuilt = picture.repainted(Picture.of(pixels))
        written = images.format_for(rebuilt, formats)
        data = await encoded(parts, rebuilt, written, **options)
    timing.add("encode", time.monotonic() - began)
    return Answer(data, FORMATS[written].media_type, timing.told(loaded) | told_of(placement))


async def encode(parts: Parts, loaded: Loaded, body: bytes) -> Answer:
    """A picture's bytes -> its code, as JSON. Raises PictureError, CannotFit, Problem."""
    timing = Timing()
    async with parts.admitted(*whole(loaded, "encode"), parts.held(body), parts.decoders.expected(body)) as job:
        _, tile, placement = await opened(parts, job, loaded, body, timing)
        code = await through(job, "encode", loaded, tile, timing)
    found = Encoded.of(loaded.description.title, code, placement)
    return Answer(found.model_dump_json().encode(), "application/json", timing.told(loaded) | told_of(placement))


async def interpolate_pictures(
    parts: Parts, loaded: Loaded, bodies: Sequence[bytes], steps: int, path: str, form: str
) -> Answer:
    """The way from one picture to another, by their codes; its ends are the two as the model rebuilds them."""
    timing, told, codes = Timing(), {}, []
    for name, body in zip(("From", "To"), bodies, strict=True):
        async with parts.admitted(*whole(loaded, "encode"), parts.held(body), parts.decoders.expected(body)) as job:
            _, tile, placement = await opened(parts, job, loaded, body, timing)
            codes.append(await through(job, "encode", loaded, tile, timing))
        told |= told_of(placement, f"Denoir-Fitted-{name}")
    way = sampling.between(codes[0], codes[1], steps, path)
    return await shown(parts, loaded, way, album.FORMS[form], told, timing=timing)


async def decode(parts: Parts, loaded: Loaded, codes: Sequence[Sequence[float]], form: Form) -> Answer:
    """The pictures of codes that were given. Raises Problem where the model can't make any of one."""
    try:
        return await shown(parts, loaded, checked(codes, length(loaded)), form, {})
    except NotFinite as error:
        raise errors.wrong_code("the model has no picture for a code so far out", length(loaded)) from error


def length(loaded: Loaded) -> int:
    """How many numbers a code of the model has."""
    return loaded.needs.latent or 0


def seeded(seed: int | None) -> int:
    """The seed given, else one that is drawn."""
    return secrets.randbits(SEED_BITS) if seed is None else seed


def drawn(loaded: Loaded, seed: int, count: int, temperature: float, first: int = 0) -> np.ndarray:
    """Codes of a seed, from number `first` on, `count k` float32."""
    return loaded.session.draw(seed, first, count, temperature)


def checked(codes: Sequence[Sequence[float]], latent: int) -> np.ndarray:
    """Codes as they were given, `n k` float32. Raises Problem where one is not the model's or not finite."""
    for number, code in enumerate(codes):
        if len(code) != latent:
            detail = f"code {number} has {len(code)} numbers, and the model's codes have {latent}"
            raise errors.wrong_code(detail, latent)
    with np.errstate(over="ignore"):
        found = np.array(codes, np.float64).astype(np.float32)
    if not np.isfinite(found).all():
        raise errors.wrong_code("a code has a number that is not finite in 32 bits", latent)
    return found


async def shown(
    parts: Parts,
    loaded: Loaded,
    codes: np.ndarray,
    form: Form,
    told: dict[str, str],
    columns: int = 0,
    timing: Timing | None = None,
) -> Answer:
    """Codes `n k` decoded, and their pictures put together. `told`: more headers. `timing`: of what went before."""
    timing = timing or Timing()
    kind, cost = whole(loaded, "decode")
    size = len(codes) * cost * loaded.needs.channels
    writing = parts.decoders.writing(form.format, size, quality=form.quality)
    async with parts.admitted(kind, len(codes) * cost, size, writing) as job:
        pictures = await decoded(job, loaded, codes, timing)
        began = time.monotonic()
        body = await form.write(parts, pictures, columns)
    timing.add("encode", time.monotonic() - began)
    return Answer(body, form.media_type, timing.told(loaded) | told)


async def decoded(job: Job, loaded: Loaded, codes: np.ndarray, timing: Timing) -> np.ndarray:
    """Codes `n k` -> pictures `n h w c`. What fills batches is one piece of work for each, as every piece has its price
    in the queue; the rest shares one with whoever else is there."""
    kind, cost = whole(loaded, "decode")
    alone = len(codes) % DECODE_BATCH
    full = codes[: len(codes) - alone].reshape(-1, DECODE_BATCH, codes.shape[1])
    batches = job.answers(replace(kind, shape=full.shape[1:]), DECODE_BATCH * cost, full)
    singles = job.answers(kind, cost, codes[len(codes) - alone :])
    pictures = []
    for answers in (batches, singles):
        async for done in answers:
            pictures.append(done.result.reshape(-1, *done.result.shape[-3:]))
            timing.ran(done)
    return np.concatenate(pictures)


async def opened(
    parts: Parts, job: Job, loaded: Loaded, body: bytes, timing: Timing
) -> tuple[Picture, np.ndarray, Placement]:
    """The picture in a body, if there is room for it, and as the model takes it. Raises PictureError, CannotFit."""
    began = time.monotonic()
    picture = await read(parts, body)
    job.expect(job.left, held(picture, picture.pixels.nbytes))  # the other is that on white
    tile, placement = await asyncio.to_thread(tile_of, picture, loaded)
    timing.add("decode", time.monotonic() - began)
    return picture, tile, placement


def tile_of(picture: Picture, loaded: Loaded) -> tuple[np.ndarray, Placement]:
    """A picture as the model takes it, and how it was fitted. Raises CannotFit."""
    return inference.fitted(loaded.needs, picture.seen(loaded.needs.channels))


async def through(job: Job, task: str, loaded: Loaded, tile: np.ndarray, timing: Timing) -> np.ndarray:
    """What the model gives for one tile."""
    _, cost = whole(loaded, task)
    done = await job.ask(Kind(loaded.description.title, task, tile.shape, tile.dtype.name), cost, tile)
    timing.ran(done)
    return done.result


def whole(loaded: Loaded, task: str) -> tuple[Kind, int]:
    """The kind of a task whose pictures have the model's one size, and the pixels that one costs."""
    height, width = loaded.needs.size or (1, 1)
    return Kind(loaded.description.title, task), height * width


def told_of(placement: Placement, header: str = "Denoir-Fitted") -> dict[str, str]:
    """The header that tells how a picture was fitted, where it was."""
    return {} if placement.untouched else {header: str(placement)}
