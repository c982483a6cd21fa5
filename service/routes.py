"""HTTP in, HTTP out, nothing else."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response

from models import checkpoints
from service import album, bodies, errors, latent, parameters, pipeline
from service.engine import Loaded
from service.parameters import problems
from service.pipeline import Answer, Parts
from service.schemas import DecodeAsk, Encoded, Health, ModelDetails, ModelList, ModelSummary
from service.settings import Settings

T = TypeVar("T")
ONCE_EACH = [Depends(parameters.once_each)]

router = APIRouter()


def parts_of(request: Request) -> Parts:
    return request.app.state.parts


PartsHere = Annotated[Parts, Depends(parts_of)]


@router.post(
    "/denoise",
    response_class=Response,
    openapi_extra=parameters.PICTURE_BODY,
    responses=parameters.PICTURE_ANSWER | problems(400, 404, 408, 409, 413, 415, 422, 500, 503),
    dependencies=ONCE_EACH,
)
async def denoise(
    request: Request,
    parts: PartsHere,
    model: parameters.ModelName = "photo",
    sigma: parameters.Sigma = None,
    format: parameters.FormatName = None,
) -> Response:
    """Takes the noise out of a picture: multipart field `file`, or the picture itself as the body."""
    loaded = able(parts, model, "denoise")
    formats = parameters.formats_asked(request, format)
    body = await bodies.picture_of(request)
    return sent(await until_gone(request, pipeline.denoise(parts, loaded, body, sigma, formats)))


@router.post(
    "/colorize",
    response_class=Response,
    openapi_extra=parameters.PICTURE_BODY,
    responses=parameters.PICTURE_ANSWER | problems(400, 404, 408, 409, 413, 415, 422, 500, 503),
    dependencies=ONCE_EACH,
)
async def colorize(
    request: Request,
    parts: PartsHere,
    model: parameters.ModelName = "colorize",
    format: parameters.FormatName = None,
) -> Response:
    """Gives a picture colours, its lightness kept; those that it has are not looked at."""
    loaded = able(parts, model, "colorize")
    formats = parameters.formats_asked(request, format)
    body = await bodies.picture_of(request)
    return sent(await until_gone(request, pipeline.colorize(parts, loaded, body, formats)))


@router.get(
    "/sample",
    response_class=Response,
    responses=parameters.ALBUM_ANSWER | problems(404, 408, 409, 413, 422, 500, 503),
    dependencies=ONCE_EACH,
)
async def sample(
    request: Request,
    parts: PartsHere,
    model: parameters.ModelName = "digits-vae",
    n: parameters.Count = 16,
    seed: parameters.Seed = None,
    temperature: parameters.Temperature = 1.0,
    format: parameters.AlbumForm = "png",
) -> Response:
    """Draws new pictures. Picture i of a seed is the same whatever `n` is and whatever else the service does."""
    loaded = able(parts, model, "sample")
    enough(request, "n", n)
    return sent(await until_gone(request, latent.sample(parts, loaded, n, seed, temperature, format)))


@router.get(
    "/interpolate",
    response_class=Response,
    responses=parameters.ALBUM_ANSWER | problems(404, 408, 409, 413, 422, 500, 503),
    dependencies=ONCE_EACH,
)
async def interpolate(
    request: Request,
    parts: PartsHere,
    first: parameters.From = None,
    last: parameters.To = None,
    model: parameters.ModelName = "digits-vae",
    steps: parameters.Steps = 8,
    path: parameters.PathName = "sphere",
    temperature: parameters.Temperature = 1.0,
    format: parameters.AlbumForm = "png",
) -> Response:
    """Draws the pictures on the way from one seed to another; the ends are the first pictures of those seeds."""
    loaded = able(parts, model, "interpolate")
    enough(request, "steps", steps)
    way = latent.interpolate(parts, loaded, (first, last), steps, path, temperature, format)
    return sent(await until_gone(request, way))


@router.post(
    "/interpolate",
    response_class=Response,
    openapi_extra=parameters.body_of(parameters.form_of("from", "to")),
    responses=parameters.ALBUM_ANSWER | problems(400, 404, 408, 409, 413, 415, 422, 500, 503),
    dependencies=ONCE_EACH,
)
async def interpolate_pictures(
    request: Request,
    parts: PartsHere,
    model: parameters.ModelName = "digits-vae",
    steps: parameters.Steps = 8,
    path: parameters.PathName = "sphere",
    format: parameters.AlbumForm = "png",
) -> Response:
    """Draws the pictures on the way from one picture to another, multipart fields `from` and `to`."""
    loaded = able(parts, model, "interpolate", "encode", "decode")
    enough(request, "steps", steps)
    ends = await bodies.files_of(request, "from", "to")
    return sent(await until_gone(request, latent.interpolate_pictures(parts, loaded, ends, steps, path, format)))


@router.get(
    "/traverse",
    response_class=Response,
    responses=parameters.ALBUM_ANSWER | problems(404, 408, 409, 413, 422, 500, 503),
    dependencies=ONCE_EACH,
)
async def traverse(
    request: Request,
    parts: PartsHere,
    model: parameters.ModelName = "digits-vae",
    seed: parameters.Seed = None,
    directions: parameters.Directions = "0",
    span: parameters.Span = 3.0,
    steps: parameters.Places = 7,
    temperature: parameters.Temperature = 1.0,
    format: parameters.AlbumForm = "png",
) -> Response:
    """Shows what one or two numbers of a code do: the first picture of a seed with these moved from -span to span."""
    loaded = able(parts, model, "traverse")
    along = parameters.directions_asked(directions)
    enough(request, "steps", steps ** len(along))
    moved = latent.traverse(parts, loaded, seed, along, span, steps, temperature, format)
    return sent(await until_gone(request, moved))


@router.post(
    "/reconstruct",
    response_class=Response,
    openapi_extra=parameters.PICTURE_BODY,
    responses=parameters.REBUILT_ANSWER | problems(400, 404, 408, 409, 413, 415, 422, 500, 503),
    dependencies=ONCE_EACH,
)
async def reconstruct(
    request: Request,
    parts: PartsHere,
    model: parameters.ModelName = "digits-vae",
    format: parameters.FormatName = None,
) -> Response:
    """Sends a picture through a model's code and back. One of another size is fitted, as `Denoir-Fitted` tells."""
    loaded = able(parts, model, "reconstruct")
    formats = parameters.formats_asked(request, format)
    body = await bodies.picture_of(request)
    return sent(await until_gone(request, latent.reconstruct(parts, loaded, body, formats)))


@router.post(
    "/encode",
    response_class=Response,
    openapi_extra=parameters.PICTURE_BODY,
    responses={200: {"model": Encoded}} | problems(400, 404, 408, 409, 413, 415, 422, 500, 503),
    dependencies=ONCE_EACH,
)
async def encode(request: Request, parts: PartsHere, model: parameters.ModelName = "digits-vae") -> Response:
    """Tells the code of a picture, which is fitted where it has another size than the model takes."""
    loaded = able(parts, model, "encode")
    body = await bodies.picture_of(request)
    return sent(await until_gone(request, latent.encode(parts, loaded, body)))


@router.post(
    "/decode",
    response_class=Response,
    openapi_extra=parameters.json_body(DecodeAsk),
    responses=parameters.ALBUM_ANSWER | problems(400, 404, 408, 409, 413, 422, 500, 503),
    dependencies=ONCE_EACH,
)
async def decode(request: Request, parts: PartsHere) -> Response:
    """Makes the picture of a code, or those of several codes, given as JSON."""
    asked = await bodies.json_of(request, DecodeAsk)
    loaded = able(parts, asked.model, "decode")
    enough(request, "codes", len(asked.given))
    form = (album.SINGLE if asked.codes is None else album.FORMS)[asked.format]
    return sent(await until_gone(request, latent.decode(parts, loaded, asked.given, form)))


@router.get("/models")
async def models(parts: PartsHere) -> ModelList:
    """What can be asked."""
    loaded = parts.engine.loaded.values()
    return ModelList(models=[ModelSummary.of(one.description, one.needs) for one in loaded])


@router.get("/models/{name}", responses=problems(404))
async def model_details(parts: PartsHere, name: str) -> ModelDetails:
    """One model, how it was trained, and what was measured of it."""
    loaded = parts.engine.find(name)
    metrics = checkpoints.metrics(parts.engine.catalog.find(name).folder)
    training = loaded.description.training
    return ModelDetails.of(loaded.description, loaded.needs, training=training, metrics=metrics)


@router.get("/healthz")
async def healthz() -> Health:
    """Whether the process answers at all."""
    return Health(status="ok")


@router.get("/readyz", responses=problems(503))
async def readyz(request: Request) -> Health:
    """Whether models are loaded and warm, and new work is taken."""
    if not request.app.state.duty.ready:
        raise errors.Problem(503, "not-ready", "starting or stopping; new work is not taken")
    return Health(status="ready")


def able(parts: Parts, name: str, route: str, *needed: str) -> Loaded:
    """The model of that name, if it can be asked that; or all that is `needed`, where the route can do with less."""
    loaded = parts.engine.find(name)
    if not set(needed or [route]) <= set(loaded.description.asks):
        raise errors.cannot(loaded.description.title, route, list(loaded.description.asks))
    return loaded


def enough(request: Request, parameter: str, count: int) -> None:
    """Raises Problem for more pictures than one answer may have."""
    settings: Settings = request.app.state.settings
    if count > settings.max_samples:
        raise errors.too_many(parameter, settings.max_samples)


async def until_gone(request: Request, journey: Coroutine[Any, Any, T]) -> T:
    """The journey's end, or its cancelling as soon as the client has hung up."""
    task = asyncio.create_task(journey)
    gone = asyncio.create_task(hung_up(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            gone.result()  # raises what is wrong with a body that only this looks at
            raise errors.client_gone()
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(task, gone, return_exceptions=True)


async def hung_up(request: Request) -> None:
    """Returns when the connection is closed."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def sent(answer: Answer) -> Response:
    return Response(answer.body, media_type=answer.media_type, headers=answer.headers)
