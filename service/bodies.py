"""What a request's body holds: a picture, a form with files, or JSON."""

from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service import errors
from service.parameters import known_to
from service.settings import Settings

Asked = TypeVar("Asked", bound=BaseModel)
MOST_ERRORS = 20
"""That are told of one body."""


class Form(MultiPartParser):
    """A form whose parts have short heads, and whose files stay in memory: what all bodies have there is bounded, and
    a file on a disk would wait for one of few threads with every piece."""

    spool_max_size = 0  # never to a disk
    head = 0
    ended = False

    def __init__(self, request: Request):
        settings: Settings = request.app.state.settings
        limits = {"max_files": settings.max_files, "max_fields": settings.max_fields}
        super().__init__(without_charset(request.headers), request.stream(), **limits, max_part_size=settings.max_field)
        self.max_head = settings.max_part_head

    def on_end(self) -> None:
        self.ended = True

    def on_part_begin(self) -> None:
        super().on_part_begin()
        self.head = 0

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        super().on_header_field(data, start, end)
        self.count(end - start)

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        super().on_header_value(data, start, end)
        self.count(end - start)

    def count(self, size: int) -> None:
        """Adds to the bytes of the part's head. Raises MultiPartException for too many."""
        self.head += size
        if self.head > self.max_head:
            raise MultiPartException("a part's head is too long")


async def picture_of(request: Request) -> bytes:
    """The picture's bytes: the multipart field `file`, or the whole body, whatever type it is said to be of."""
    if not is_form(request):
        return await request.body()
    return (await files_of(request, "file"))[0]


def is_form(request: Request) -> bool:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media == "multipart/form-data"


async def files_of(request: Request, *names: str) -> list[bytes]:
    """The one file of each of those names. Raises Problem for what is no form, a broken one, or one without them."""
    if not is_form(request):
        raise errors.not_a_form(list(names))
    try:
        parser = Form(request)
        form = await parser.parse()
    except MultiPartException as error:
        raise errors.broken_form("it is broken, or has too many parts") from error
    try:
        if not parser.ended:
            raise errors.broken_form("its last boundary is missing")
        for name in known_to(request):
            if any(isinstance(field, str) for field in form.getlist(name)):
                raise errors.misplaced(name)  # it would have no effect, and nobody would notice
        return [await one_file(name, form.getlist(name)) for name in names]
    finally:
        await form.close()


def without_charset(headers: Headers) -> Headers:
    """The headers, with no word of how a form's names are written: they are in UTF-8, whatever is claimed."""
    media, parameters = parse_options_header(headers["content-type"])
    boundary = parameters.get(b"boundary")
    if boundary is not None:
        media += b'; boundary="%s"' % boundary.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return Headers({"content-type": media.decode("latin-1")})


async def one_file(name: str, fields: list[UploadFile | str]) -> bytes:
    """The bytes of the one file among the fields of that name."""
    if not fields:
        raise errors.missing_image(f"the form has no field called {name}", name)
    if len(fields) > 1:
        raise errors.missing_image(f"the form has more than one field called {name}", name)
    if isinstance(fields[0], str):
        raise errors.missing_image(f"the field called {name} holds text, not a file", name)
    return await fields[0].read()


async def json_of(request: Request, kind: type[Asked]) -> Asked:
    """The body as JSON of that kind, whatever type it is said to be of. Raises Problem, RequestValidationError."""
    body = await body_of(request, request.app.state.settings.max_json)
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        if error.error_count() > MOST_ERRORS:
            raise errors.invalid("body", f"{error.error_count()} fields are not what they should be") from error
        raise told(error.errors(include_url=False, include_context=False, include_input=False)) from error


async def body_of(request: Request, limit: int) -> bytes:
    """The whole body, which is not read beyond the limit. Raises Problem."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise errors.upload_too_large(limit)
    return bytes(body)


def told(found: Sequence[Any]) -> Exception:
    """What is wrong with JSON: that it is none, or which of its fields is not what it should be."""
    if found[0]["type"] == "json_invalid":
        return errors.broken_json()
    return RequestValidationError([one | {"loc": (place(one["loc"]),)} for one in found])


def place(keys: Sequence[int | str]) -> str:
    """Where in JSON something is wrong, as far as keys are words that may be told again."""
    told = [str(key) if isinstance(key, int) else errors.tellable(key, "...") for key in keys]
    return ".".join(told) or "body"
