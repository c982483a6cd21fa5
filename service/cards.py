"""What a model's evaluation wrote of it: its card and its contact sheet, as they lie beside the weights."""

import asyncio
import hashlib

from fastapi import APIRouter, Depends, Request, Response

from models import checkpoints
from models.images import PictureError
from service import errors, parameters
from service.pipeline import Parts
from service.processes import NoDecoder

HEAVY = 100_000
"""Bytes from which a contact sheet is one of photographs, and not of small pictures whose every pixel counts."""
QUALITY = 80

router = APIRouter(prefix="/models/{name}", dependencies=[Depends(parameters.rightly_named)])


@router.get("/card", response_class=Response, responses=parameters.text("text/markdown") | parameters.problems(404))
async def card(request: Request, name: str) -> Response:
    """How a model was trained and what was measured of it, to be read: Markdown with a head of YAML."""
    return await written(request, name, checkpoints.CARD, "text/markdown; charset=utf-8")


@router.get(
    "/sheet",
    response_class=Response,
    responses=parameters.pictures("the contact sheet", "image/png", "image/webp") | parameters.problems(404),
)
async def sheet(request: Request, name: str) -> Response:
    """What a model makes of pictures, side by side; a heavy one as WebP for who asks for that."""
    lies = await written(request, name, checkpoints.SHEET, "image/png")
    lies.headers["Vary"] = "Accept"
    if len(lies.body) < HEAVY or parameters.formats_asked(request, None)[:1] != ["webp"]:
        return lies
    try:
        small = await lighter(request.app.state.parts, bytes(lies.body))
    except (PictureError, NoDecoder):
        return lies
    return Response(small, media_type="image/webp", headers={"Vary": "Accept"})


async def lighter(parts: Parts, sheet: bytes) -> bytes:
    """A contact sheet as WebP, made once. Raises PictureError, NoDecoder."""
    name = hashlib.sha256(sheet).digest()
    if name not in parts.sheets:
        picture = await parts.decoders.read(sheet)
        parts.sheets[name] = await parts.decoders.write(picture, "webp", quality=QUALITY)
    return parts.sheets[name]


async def written(request: Request, name: str, file: str, media_type: str) -> Response:
    """A file of a model's folder. Raises UnknownModel, and Problem where it has none."""
    parts: Parts = request.app.state.parts
    entry = parts.engine.catalog.find(name)
    try:
        return Response(await asyncio.to_thread((entry.folder / file).read_bytes), media_type=media_type)
    except OSError as error:
        raise errors.not_evaluated(entry.description.title) from error
