"""HTTP in, HTTP out, nothing else."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from models import checkpoints
from models.images import FORMATS
from service import errors, guards, pipeline
from service.engine import Loaded
from service.pipeline import Answer, Parts
from service.schemas import Health, ModelDetails, ModelList, ModelSummary, ProblemDetails
from service.settings import Settings

T = TypeVar("T")
MEDIA_TYPES = {form.media_type: name for name, form in FORMATS.items()}
MAX_FILES, MAX_FIELDS, MAX_FIELD_BYTES = 4, 8, 64 * 1024
WHOLE_NUMBERS = 2**63 - 1

router = APIRouter()


def parts_of(request: Request) -> Parts:
    return request.app.state.parts


def once_each(request: Request) -> None:
    """Refuses a parameter that is given twice: there is no telling which one was meant."""
    names = [name for name, _ in request.query_params.multi_items()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        wrong = [{"parameter": name, "message": "given more than once"} for name in twice]
        raise errors.Problem(422, "invalid-parameter", f"given more than once: {', '.join(twice)}", errors=wrong)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route may answer with, for the API's description."""
    shown = {"model": ProblemDetails, "content": {"application/problem+json": {}}}
    return dict.fromkeys(statuses, shown)


PartsHere = Annotated[Parts, Depends(parts_of)]
ModelName = Annotated[str, Query(min_length=1, max_length=10_000, description="name or name@version, see /models")]
Sigma = Annotated[
    float | None,
    Query(ge=0, le=100, allow_inf_nan=False, description="noise level in 8-bit grey levels; left out, it is estimated"),
]
FormatName = Annotated[
    str | None, Query(description=f"one of {', '.join(FORMATS)}; left out, as Accept asks, or as it came")
]

PICTURE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            **{form.media_type: {"schema": {"type": "string", "format": "binary"}} for form in FORMATS.values()},
        },
    }
}
PICTURE_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the picture, of the same width and height",
        "content": {form.media_type: {"schema": {"type": "string", "format": "binary"}} for form in FORMATS.values()},
    }
}
SAMPLE_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "one PNG with all pictures, or a zip of one PNG each",
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}} for media in pipeline.SAMPLE_FORMATS.values()
        },
    }
}


@router.post(
    "/denoise",
    response_class=Response,
    openapi_extra=PICTURE_BODY,
    responses=PICTURE_ANSWER | problems(400, 404, 408, 409, 413, 415, 422, 500, 503),
    dependencies=[Depends(once_each)],
)
async def denoise(
    request: Request,
    parts: PartsHere,
    model: ModelName = "photo",
    sigma: Sigma = None,
    format: FormatName = None,
) -> Response:
    """Takes the noise out of a picture: multipart field `file`, or the picture itself as the body."""
    loaded = able(parts, model, "denoise")
    formats = formats_asked(request, format)
    body = await picture_of(request)
    return sent(await until_gone(request, pipeline.denoise(parts, loaded, body, sigma, formats)))


@router.get(
    "/sample",
    response_class=Response,
    responses=SAMPLE_ANSWER | problems(404, 408, 409, 413, 422, 500, 503),
    dependencies=[Depends(once_each)],
)
async def sample(
    request: Request,
    parts: PartsHere,
    model: ModelName = "digits-vae",
    n: Annotated[int, Query(ge=1, description="how many pictures, at most 64 unless the service says otherwise")] = 16,
    seed: Annotated[int | None, Query(ge=0, le=WHOLE_NUMBERS, description="left out, one is drawn and told")] = None,
    temperature: Annotated[float, Query(ge=0, le=2, allow_inf_nan=False)] = 1.0,
    format: Annotated[Literal["png", "zip"], Query(description="one grid, or single pictures")] = "png",
) -> Response:
    """Draws new pictures. Picture i of a seed is the same whatever `n` is and whatever else the service does."""
    loaded = able(parts, model, "sample")
    settings: Settings = request.app.state.settings
    if n > settings.max_samples:
        raise errors.Problem(422, "invalid-parameter", f"n: at most {settings.max_samples} pictures in one answer")
    return sent(await until_gone(request, pipeline.sample(parts, loaded, n, seed, temperature, format)))


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


def able(parts: Parts, name: str, task: str) -> Loaded:
    """The model of that name, if it can be asked so."""
    loaded = parts.engine.find(name)
    if task not in loaded.description.asks:
        raise errors.cannot(loaded.description.title, task, list(loaded.description.asks))
    return loaded


def formats_asked(request: Request, named: str | None) -> list[str]:
    """The formats that the answer may have, the best first: as named, or as the Accept header wishes."""
    if named is None:
        return guards.negotiated(request.headers.get("accept", ""), MEDIA_TYPES)
    if named.lower() not in FORMATS:
        wrong = [{"parameter": "format", "message": f"one of {', '.join(FORMATS)}"}]
        raise errors.Problem(422, "invalid-parameter", f"format: one of {', '.join(FORMATS)}", errors=wrong)
    return [named.lower()]


async def picture_of(request: Request) -> bytes:
    """The picture's bytes: the multipart field `file`, or the whole body, whatever type it is said to be of."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return await multipart_file(request) if media == "multipart/form-data" else await request.body()


async def multipart_file(request: Request) -> bytes:
    """The one file called `file`. Raises Problem for a broken form, or one without it."""
    try:
        form = await request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    except (MultiPartException, FormParserError, HTTPException) as error:
        detail = "the form can't be read: it is broken, or has too many parts"
        raise errors.Problem(400, "broken-multipart", detail) from error
    try:
        return await one_file(form.getlist("file"))
    finally:
        await form.close()


async def one_file(fields: list[UploadFile | str]) -> bytes:
    """The bytes of the one file among the fields of that name."""
    if not fields:
        raise errors.missing_image("the form has no field called file")
    if len(fields) > 1:
        raise errors.missing_image("the form has more than one field called file")
    if isinstance(fields[0], str):
        raise errors.missing_image("the field called file holds text, not a file")
    return await fields[0].read()


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
