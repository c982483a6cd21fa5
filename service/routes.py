"""HTTP in, HTTP out, nothing else."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from models import checkpoints, denoisers
from service import album, bodies, errors, latent, parameters, pipeline, progress, telemetry
from service.answers import answered
from service.engine import Loaded
from service.parameters import problems
from service.pipeline import Parts
from service.schemas import DecodeAsk, Drawn, Encoded, Health, ModelDetails, ModelList, ModelSummary
from service.settings import Settings

RIGHTLY_NAMED = [Depends(parameters.rightly_named)]

router, health = APIRouter(), APIRouter()


async def parts_of(request: Request) -> Parts:  # one that is not async would be called in another thread
    return request.app.state.parts


PartsHere = Annotated[Parts, Depends(parts_of)]


@router.post(
    "/denoise",
    response_class=Response,
    openapi_extra=parameters.PICTURE_BODY,
    responses=parameters.DENOISED_ANSWER | problems(400, 404, 408, 409, 413, 415, 422, 500, 503, 504),
    dependencies=RIGHTLY_NAMED,
)
async def denoise(
    request: Request,
    parts: PartsHere,
    model: parameters.DenoiserName = None,
    sigma: parameters.Sigma = None,
    strength: parameters.Strength = 1.0,
    format: parameters.FormatName = None,
    quality: parameters.Quality = None,
    effort: parameters.Effort = None,
) -> Response:
    """Takes the noise out of a picture: multipart field `file`, or the picture itself as the body.

    Asked for as `multipart/mixed`, the answer tells how far it is: parts of JSON, `{"done": 3, "tiles": 24}`, and last
    the picture, or the problem that kept it from being made.
    """
    suiting = model is None and sigma is None
    loaded = await able(parts, model or (pipeline.at_hand(parts) if suiting else denoisers.WHITE), "denoise")
    if sigma is not None and not loaded.needs.level:
        raise errors.invalid("sigma", f"{loaded.description.title} is told no level; leave it out")
    formats = parameters.formats_asked(request, format)
    options = parameters.options_asked(quality, effort)
    body = await bodies.picture_of(request)
    return await progress.answered(
        request,
        parts,
        lambda told: pipeline.denoise(parts, loaded, body, sigma, formats, told, strength, suiting, **options),
    )


@router.post(
    "/colorize",
    response_class=Response,
    openapi_extra=parameters.PICTURE_BODY,
    responses=parameters.PICTURE_ANSWER | problems(400, 404, 408, 409, 413, 415, 422, 500, 503, 504),
    dependencies=RIGHTLY_NAMED,
)
async def colorize(
    request: Request,
    parts: PartsHere,
    model: parameters.ModelName = "colorize",
    format: parameters.FormatName = None,
    quality: parameters.Quality = None,
    effort: parameters.Effort = None,
) -> Response:
    """Gives a picture colours, its lightness kept; those that it has are not looked at."""
    loaded = await able(parts, model, "colorize")
    formats = parameters.formats_asked(request, format)
    options = parameters.options_asked(quality, effort)
    body = await bodies.picture_of(request)
    return await answered(request, parts, pipeline.colorize(parts, loaded, body, formats, **options))


@router.get(
    "/sample",
    response_class=Response,
    responses=parameters.ALBUM_ANSWER | problems(404, 408, 409, 413, 422, 500, 503, 504),
    dependencies=RIGHTLY_NAMED,
)
async def sample(
    request: Request,
    parts: PartsHere,
    model: parameters.ModelName = "digits-vae",
    n: parameters.Count = 16,
    seed: parameters.Seed = None,
    temperature: parameters.Temperature = 1.0,
    first: parameters.First = 0,
    format: parameters.AlbumForm = "png",
) -> Response:
    """Draws new pictures. Picture i of a seed is the same whatever `n` is and whatever else the service does."""
    loaded = await able(parts, model, "sample")
    enough(request, "n", n)
    return await answered(request, parts, latent.sample(parts, loaded, n, seed, temperature, format, first))


@router.get("/codes", responses=problems(404, 409, 422), dependencies=RIGHTLY_NAMED)
async def codes(
    request: Request,
    parts: PartsHere,
    model: parameters.ModelName = "digits-vae",
    n: parameters.Count = 16,
    seed: parameters.Seed = None,
    temperature: parameters.Temperature = 1.0,
    first: parameters.First = 0,
) -> Drawn:
    """Tells the codes of the pictures that `/sample` draws of a seed, for `/decode`."""
    loaded = await able(parts, model, "codes", "sample", "decode")
    enough(request, "n", n)
    return latent.told_codes(loaded, n, seed, temperature, first)


@router.get(
    "/interpolate",
    response_class=Response,
    responses=parameters.ALBUM_ANSWER | problems(404, 408, 409, 413, 422, 500, 503, 504),
    dependencies=RIGHTLY_NAMED,
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
    loaded = await able(parts, model, "interpolate between seeds", "interpolate")
    enough(request, "steps", steps)
    way = latent.interpolate(parts, loaded, (first, last), steps, path, temperature, format)
    return await answered(request, parts, way)


@router.post(
    "/interpolate",
    response_class=Response,
    openapi_extra=parameters.body_of(parameters.form_of("from", "to")),
    responses=parameters.ALBUM_ANSWER | problems(400, 404, 408, 409, 413, 415, 422, 500, 503, 504),
    dependencies=RIGHTLY_NAMED,
)
async def interpolate_pictures(
    request: Request,
    parts: PartsHere,
    model: parameters.ModelName = "digits-vae",
    steps: parameters.Steps = 8,
    path: parameters.PathName = "sphere",
    format: parameters.AlbumForm = "png",
) -> Response:
    """Draws the pictures on the way from one picture to another, multipart fields `from` and `to`. Any model can that
    encodes and decodes, also one that has no seeds to go between, whose `asks` don't name it."""
    loaded = await able(parts, model, "interpolate between pictures", "encode", "decode")
    enough(request, "steps", steps)
    ends = await bodies.files_of(request, "from", "to")
    return await answered(request, parts, latent.interpolate_pictures(parts, loaded, ends, steps, path, format))


@router.get(
    "/traverse",
    response_class=Response,
    responses=parameters.ALBUM_ANSWER | problems(404, 408, 409, 413, 422, 500, 503, 504),
    dependencies=RIGHTLY_NAMED,
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
    loaded = await able(parts, model, "traverse")
    along = parameters.directions_asked(directions)
    enough(request, "steps", steps ** len(along))
    moved = latent.traverse(parts, loaded, seed, along, span, steps, temperature, format)
    return await answered(request, parts, moved)


@router.post(
    "/reconstruct",
    response_class=Response,
    openapi_extra=parameters.PICTURE_BODY,
    responses=parameters.REBUILT_ANSWER | problems(400, 404, 408, 409, 413, 415, 422, 500, 503, 504),
    dependencies=RIGHTLY_NAMED,
)
async def reconstruct(
    request: Request,
    parts: PartsHere,
    model: parameters.ModelName = "digits-vae",
    format: parameters.FormatName = None,
    quality: parameters.Quality = None,
    effort: parameters.Effort = None,
) -> Response:
    """Sends a picture through a model's code and back. One of another size is fitted, as `Denoir-Fitted` tells."""
    loaded = await able(parts, model, "reconstruct")
    formats = parameters.formats_asked(request, format)
    options = parameters.options_asked(quality, effort)
    body = await bodies.picture_of(request)
    return await answered(request, parts, latent.reconstruct(parts, loaded, body, formats, **options))


@router.post(
    "/encode",
    response_class=Response,
    openapi_extra=parameters.PICTURE_BODY,
    responses={200: {"model": Encoded}} | problems(400, 404, 408, 409, 413, 415, 422, 500, 503, 504),
    dependencies=RIGHTLY_NAMED,
)
async def encode(request: Request, parts: PartsHere, model: parameters.ModelName = "digits-vae") -> Response:
    """Tells the code of a picture, which is fitted where it has another size than the model takes."""
    loaded = await able(parts, model, "encode")
    body = await bodies.picture_of(request)
    return await answered(request, parts, latent.encode(parts, loaded, body))


@router.post(
    "/decode",
    response_class=Response,
    openapi_extra=parameters.json_body(DecodeAsk),
    responses=parameters.ALBUM_ANSWER | problems(400, 404, 408, 409, 413, 422, 500, 503, 504),
    dependencies=RIGHTLY_NAMED,
)
async def decode(request: Request, parts: PartsHere) -> Response:
    """Makes the picture of a code, or those of several codes, given as JSON."""
    asked = await bodies.json_of(request, DecodeAsk)
    loaded = await able(parts, asked.model, "decode")
    enough(request, "codes", len(asked.given))
    form = (album.FORMS if asked.codes else album.SINGLE)[asked.format]
    return await answered(request, parts, latent.decode(parts, loaded, asked.given, form))


@router.get("/models")
async def models(request: Request, parts: PartsHere) -> ModelList:
    """What can be asked."""
    catalog, needs = parts.engine.catalog, parts.engine.needs
    known = [ModelSummary.of(catalog.entries[one].description, needs[one]) for one in catalog.titles]
    return ModelList(models=known, most=request.app.state.settings.max_samples)


@router.get("/models/{name}", responses=problems(404))
async def model_details(parts: PartsHere, name: str) -> ModelDetails:
    """One model, how it was trained, and what was measured of it."""
    entry = parts.engine.catalog.find(name)
    described, metrics = entry.description, checkpoints.metrics(entry.folder)
    needs = parts.engine.needs[described.title]
    return ModelDetails.of(described, needs, training=described.training, metrics=metrics)


@health.get("/healthz")
async def healthz() -> Health:
    """Whether the process answers at all."""
    return Health(status="ok")


@health.get("/readyz", responses=problems(503))
async def readyz(request: Request) -> Health:
    """Whether models are loaded and warm, and new work is taken."""
    if not request.app.state.duty.ready:
        raise errors.not_ready()
    return Health(status="ready")


async def able(parts: Parts, name: str, route: str, *needed: str) -> Loaded:
    """The model of that name, if it can be asked that; or all that is `needed`, where the route can do with less."""
    described = parts.engine.catalog.find(name).description
    telemetry.note(model=described.title)
    if not set(needed or [route]) <= set(described.asks):
        raise errors.cannot(described.title, route, list(described.asks))
    return await parts.models.find(described.title)


def enough(request: Request, parameter: str, count: int) -> None:
    """Raises Problem for more pictures than one answer may have."""
    settings: Settings = request.app.state.settings
    if count > settings.max_samples:
        raise errors.too_many(parameter, settings.max_samples)
