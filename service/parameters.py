"""What may be asked in a query, and how the API's description tells of bodies and answers."""

from collections import Counter
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from pydantic import BaseModel

from models.images import FORMATS, WRITTEN
from service import errors, guards
from service.schemas import ProblemDetails
from service.settings import Settings

READ_TYPES = {form.media_type: name for name, form in FORMATS.items()}
MEDIA_TYPES = {form.media_type: name for name, form in WRITTEN.items()}
WHOLE_NUMBERS = 2**63 - 1
COUNTED = {"n", "steps"}
"""Parameters that say how many pictures there are to be."""


ModelName = Annotated[str, Query(min_length=1, max_length=10_000, description="name or name@version, see /models")]
DenoiserName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=10_000,
        description="name or name@version, see /models; left out, `photo` where `sigma` is told or white noise "
        "is found, else `photo-real`",
    ),
]
Sigma = Annotated[
    float | None,
    Query(ge=0, le=100, allow_inf_nan=False, description="noise level in 8-bit grey levels; left out, it is estimated"),
]
Strength = Annotated[
    float,
    Query(ge=0, le=1, allow_inf_nan=False, description="how much of the change is made; 0 leaves the picture as it is"),
]
AS_IT_CAME = f"as it came{' (HEIC, which is only read, as PNG)' if 'heic' in FORMATS else ''}"
FormatName = Annotated[
    str | None,
    Query(
        description=f"one of {', '.join(WRITTEN)}; left out, as Accept asks, or {AS_IT_CAME}",
        json_schema_extra={"enum": list(WRITTEN)},  # in capitals too, of which no schema need tell
    ),
]
Quality = Annotated[
    int | None,
    Query(ge=1, le=100, description="of JPEG, WebP and AVIF; left out, 90. WebP of 100 is without loss"),
]
Effort = Annotated[
    int | None,
    Query(ge=0, le=9, description="0 is quick, 9 makes a small file; left out, what serves who waits best"),
]
Count = Annotated[int, Query(ge=1, description="how many pictures, at most 64 unless the service says otherwise")]
First = Annotated[int, Query(ge=0, le=2**32 - 1, description="number of the first of them, to go on from")]
Steps = Annotated[
    int, Query(ge=2, description="pictures on the way, both ends included, at most as many as of /sample")
]
Places = Annotated[
    int, Query(ge=2, description="places along each direction; an odd number has the seed's own picture")
]
Seed = Annotated[int | None, Query(ge=0, le=WHOLE_NUMBERS, description="left out, one is drawn and told")]
From = Annotated[int | None, Query(alias="from", ge=0, le=WHOLE_NUMBERS, description="a seed; left out, one is drawn")]
To = Annotated[int | None, Query(alias="to", ge=0, le=WHOLE_NUMBERS, description="a seed; left out, one is drawn")]
Temperature = Annotated[float, Query(ge=0, le=2, allow_inf_nan=False)]
Span = Annotated[float, Query(gt=0, le=100, allow_inf_nan=False, description="how far either way, added to the code")]
Directions = Annotated[
    str, Query(pattern=r"^\d{1,6}(,\d{1,6})?$", description="one index of the code, or two: 3, or 3,7 (rows, columns)")
]
PathName = Annotated[Literal["sphere", "straight"], Query(description="along the sphere that codes lie about, or not")]
AlbumForm = Annotated[
    Literal["png", "webp", "zip"], Query(description="one grid, one animation, or single pictures as PNG")
]


async def rightly_named(request: Request) -> None:
    """Refuses a parameter that is given twice, as there is no telling which one was meant, and one that the route does
    not have: it may be misspelt, and nobody would notice that it had no effect."""
    names = Counter(name for name, _ in request.query_params.multi_items())
    if twice := sorted({errors.tellable(name) for name, count in names.items() if count > 1}):
        wrong = [{"parameter": name, "message": "given more than once"} for name in twice]
        raise errors.Problem(422, "invalid-parameter", f"given more than once: {', '.join(twice)}", errors=wrong)
    known = known_to(request)
    if others := [name for name in names if name not in known]:
        raise errors.unknown_parameter(others[0], known)


def known_to(request: Request) -> list[str]:
    """The parameters of a request's route."""
    return [one.alias for one in request.scope["route"].dependant.query_params]


def formats_asked(request: Request, named: str | None) -> list[str]:
    """The formats that the answer may have, the best first: as named, or as the Accept header wishes."""
    if named is None:
        return guards.negotiated(request.headers.get("accept", ""), MEDIA_TYPES)
    if named.lower() not in WRITTEN:
        raise errors.invalid("format", f"one of {', '.join(WRITTEN)}")
    return [named.lower()]


def options_asked(quality: int | None, effort: int | None) -> dict[str, int]:
    """How a picture is to be written, where that is told."""
    return {name: value for name, value in (("quality", quality), ("effort", effort)) if value is not None}


def directions_asked(listed: str) -> tuple[int, ...]:
    """One or two indices. Raises Problem where both are the same."""
    directions = tuple(int(one) for one in listed.split(","))
    if len(set(directions)) < len(directions):
        raise errors.invalid("directions", "two that are not the same")
    return directions


def tell_limits(description: dict[str, Any], settings: Settings) -> None:
    """Writes into the API's description what is set: how many pictures one answer may have, where they are counted,
    and how many other fields a form, and how long ones."""
    told = [told for path in description["paths"].values() for told in path.values()]
    for parameter in (one for operation in told for one in operation.get("parameters", ())):
        if parameter["name"] in COUNTED:
            parameter["schema"]["maximum"] = settings.max_samples
    bodies = [operation["requestBody"]["content"] for operation in told if "requestBody" in operation]
    for form in (body["multipart/form-data"]["schema"] for body in bodies if "multipart/form-data" in body):
        form["additionalProperties"] = {"type": "string", "maxLength": settings.max_field}
        form["maxProperties"] = len(form["required"]) + settings.max_fields
    asked = description["paths"]["/decode"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    asked["properties"]["codes"]["maxItems"] = settings.max_samples


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route may answer with, for the API's description."""
    shown = {"model": ProblemDetails, "content": {"application/problem+json": {}}}
    return dict.fromkeys(statuses, shown)


def binary(*media_types: str) -> dict[str, Any]:
    return {one: {"schema": BINARY} for one in media_types}


def pictures(description: str, *media_types: str) -> dict[int | str, dict[str, Any]]:
    """An answer of one of those types."""
    return {200: {"description": description, "content": binary(*media_types)}}


def text(media_type: str) -> dict[int | str, dict[str, Any]]:
    """An answer of text of that type."""
    return {200: {"description": "text", "content": {media_type: {"schema": {"type": "string"}}}}}


def form_of(*files: str) -> dict[str, Any]:
    """The content of a form with those files."""
    schema = {
        "type": "object",
        "required": list(files),
        "properties": dict.fromkeys(files, BINARY),
        "additionalProperties": {"type": "string"},
    }
    return {"multipart/form-data": {"schema": schema}}


def body_of(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def json_body(kind: type[BaseModel]) -> dict[str, Any]:
    """A body of JSON of that kind."""
    return body_of({"application/json": {"schema": kind.model_json_schema()}})


BINARY = {"type": "string", "format": "binary"}
PICTURE_BODY = body_of(form_of("file") | binary(*READ_TYPES))
PICTURE_ANSWER = pictures("the picture, of the same width and height", *MEDIA_TYPES)
DENOISED_ANSWER = pictures(
    "the picture, of the same width and height; in parts, after how many tiles are done",
    *MEDIA_TYPES,
    "multipart/mixed",
)
REBUILT_ANSWER = pictures("the picture, in the model's size", *MEDIA_TYPES)
ALBUM_ANSWER = pictures(
    "one PNG, one animated WebP, or a zip of one PNG each", "image/png", "image/webp", "application/zip"
)
