"""What can go wrong, each with its status, told as problem+json (RFC 9457)."""

import logging
import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from models.catalog import UnknownModel
from models.checkpoints import CheckpointError
from models.images import (
    AnimatedPicture,
    EmptyPicture,
    PictureError,
    PictureTooLarge,
    UnsupportedDepth,
    UnsupportedFormat,
)
from models.inference import NotFinite, WrongSize
from models.letterbox import CannotFit
from models.spelling import guess
from service import metrics, telemetry

log = logging.getLogger("denoir")

MEDIA_TYPE = "application/problem+json"
WORD = re.compile(r"[a-z_-]{1,32}")
"""What of a parameter's name is safe to be told again."""
RESTART = 10
"""Seconds that it takes, about, until what stops, or is lost, has been replaced by one that is ready."""


class Problem(Exception):
    """An error to be told to the client: status, slug, a sentence, and what else helps."""

    def __init__(self, status: int, slug: str, detail: str, headers: dict[str, str] | None = None, **members: Any):
        super().__init__(detail)
        self.status, self.slug, self.detail = status, slug, detail
        self.headers, self.members = headers or {}, members


def invalid(parameter: str, message: str, **members: Any) -> Problem:
    errors = [{"parameter": parameter, "message": message}]
    return Problem(422, "invalid-parameter", f"{parameter}: {message}", errors=errors, **members)


def tellable(name: str, otherwise: str = "query") -> str:
    """A parameter's name as it may be told again."""
    return name if WORD.fullmatch(name) else otherwise


def unknown_parameter(name: str, known: list[str]) -> Problem:
    """Its name is told only where it is a short word, as it may be anything."""
    shown = tellable(name)
    listed = f"There are: {', '.join(known)}" if known else "There is none"
    return invalid(shown, f"there is no such parameter here{guess(name, known) or '.'} {listed}", known=known)


def misplaced(name: str) -> Problem:
    return invalid(name, f"it came as a field of the form, and belongs in the query: ?{name}=...")


def too_many(parameter: str, limit: int) -> Problem:
    return invalid(parameter, f"that would be more than {limit} pictures, the most that one answer has", limit=limit)


def too_much_effort(seconds: float) -> Problem:
    return invalid("effort", f"the answer would take {seconds:.0f} s to be written; less will do, or another format")


def wrong_code(detail: str, latent: int) -> Problem:
    return Problem(422, "wrong-code", detail, latent=latent)


def broken_form(why: str) -> Problem:
    return Problem(400, "broken-multipart", f"the form can't be read: {why}")


def broken_json() -> Problem:
    return Problem(400, "broken-json", "the body can't be read as JSON")


def not_a_form(fields: list[str]) -> Problem:
    detail = f"the body must be multipart/form-data with the files {' and '.join(fields)}"
    return Problem(415, "unsupported-media-type", detail, fields=fields)


def missing_image(detail: str, field: str = "file") -> Problem:
    return Problem(422, "missing-image", detail, field=field)


def upload_too_large(limit: int) -> Problem:
    detail = f"the body is larger than {limit} bytes"
    return Problem(413, "upload-too-large", detail, {"Connection": "close"}, max_bytes=limit)


def upload_too_slow() -> Problem:
    return Problem(408, "upload-too-slow", "the body came too slowly, or not at all", {"Connection": "close"})


def path_too_long(limit: int) -> Problem:
    return Problem(414, "path-too-long", f"the path is longer than {limit} bytes", max_bytes=limit)


def head_too_large(limit: int) -> Problem:
    return Problem(431, "head-too-large", f"the request's head is larger than {limit} bytes", max_bytes=limit)


def unauthorized() -> Problem:
    detail = "a key is needed: Authorization: Bearer and the key"
    return Problem(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})


def too_many_requests(seconds: int) -> Problem:
    detail = f"this key has asked as often as it may; try again in {seconds} s"
    return Problem(429, "too-many-requests", detail, {"Retry-After": str(seconds)})


def too_many_connections(seconds: int) -> Problem:
    detail = f"too many connections are open; try again in {seconds} s"
    return Problem(503, "too-many-connections", detail, {"Retry-After": str(seconds)})


def bad_request() -> Problem:
    return Problem(400, "bad-request", "what was sent is no HTTP request")


def unknown_host() -> Problem:
    return Problem(400, "unknown-host", "the service does not answer to the name that the header Host has")


def other_site() -> Problem:
    return Problem(403, "other-site", "pages of another site may not ask, unless the service names its origin")


def cannot(model: str, task: str, able: list[str]) -> Problem:
    detail = f"{model} can't be asked to {task}; it can: {', '.join(able) or 'nothing'}"
    return Problem(409, "wrong-model", detail, can=able)


def overloaded(seconds: int) -> Problem:
    detail = f"too much work is waiting; try again in {seconds} s"
    return Problem(503, "overloaded", detail, {"Retry-After": str(seconds)})


def deadline() -> Problem:
    return Problem(504, "deadline", "the answer took longer than it may; a smaller picture, or a quieter time, may do")


def out_of_memory(seconds: int) -> Problem:
    detail = f"the device has no memory for this now; try again in {seconds} s"
    return Problem(503, "out-of-memory", detail, {"Retry-After": str(seconds)})


def no_decoder() -> Problem:
    detail = f"pictures can't be read or written now; try again in {RESTART} s"
    return Problem(503, "no-decoder", detail, {"Retry-After": str(RESTART)})


def shutting_down() -> Problem:
    detail = "the service is stopping, and takes no new work"
    return Problem(503, "shutting-down", detail, {"Retry-After": str(RESTART)})


def not_ready() -> Problem:
    detail = "starting or stopping; new work is not taken"
    return Problem(503, "not-ready", detail, {"Retry-After": str(RESTART)})


def client_gone() -> Problem:
    return Problem(499, "client-gone", "the client hung up")


def not_encoded() -> Problem:
    return Problem(500, "not-encoded", "the answer could not be encoded; another format may do, or less effort")


PICTURE_PROBLEMS: dict[type[PictureError], tuple[int, str]] = {
    EmptyPicture: (422, "empty-upload"),
    UnsupportedFormat: (415, "unsupported-format"),
    UnsupportedDepth: (415, "unsupported-depth"),
    PictureTooLarge: (413, "image-too-large"),
    AnimatedPicture: (422, "animated"),
    PictureError: (422, "damaged-image"),
}


def of_picture(error: PictureError) -> Problem:
    """The problem that a bad picture is."""
    status, slug = next(found for kind, found in PICTURE_PROBLEMS.items() if isinstance(error, kind))
    members: dict[str, Any] = {}
    if isinstance(error, PictureTooLarge):
        members = {"width": error.width, "height": error.height}
        members |= {"max_side": error.max_side} if error.long else {"max_pixels": error.max_pixels}
        members |= {"format": error.format} if error.format else {}
    return Problem(status, slug, str(error), **members)


def of_unknown_model(error: UnknownModel) -> Problem:
    return Problem(404, "unknown-model", str(error), known=error.known)


def of_checkpoint(error: CheckpointError) -> Problem:
    return Problem(503, "unusable-model", "this model can't be loaded now; the log says why", {"Retry-After": "60"})


def not_evaluated(model: str) -> Problem:
    return Problem(404, "not-evaluated", f"{model} has not been evaluated, and has neither card nor contact sheet")


def of_wrong_size(error: WrongSize) -> Problem:
    height, width = error.needed
    return Problem(422, "wrong-size", str(error), width=width, height=height)


def of_no_fit(error: CannotFit) -> Problem:
    return Problem(422, "cannot-fit", str(error))


def of_not_finite(error: NotFinite) -> Problem:
    log.error("a network gave a value that is not finite")
    return Problem(500, "not-finite", "the model gave a value that is not a number for this input")


def of_validation(error: RequestValidationError) -> Problem:
    """Which parameters are wrong, and how; what was sent is not echoed."""
    errors = [{"parameter": str(one["loc"][-1]), "message": one["msg"]} for one in error.errors()]
    said = "; ".join(f"{one['parameter']}: {one['message']}" for one in errors)
    return Problem(422, "invalid-parameter", said, errors=errors)


def of_http(error: HTTPException) -> Problem:
    phrase = HTTPStatus(error.status_code).phrase
    slug = phrase.lower().replace(" ", "-").removeprefix("requested-")  # as Python called 416 before 3.13
    return Problem(error.status_code, slug, str(error.detail or phrase), dict(error.headers or {}))


def unforeseen() -> Problem:
    return Problem(500, "internal-error", "something went wrong here; the log has it under this request's id")


TRANSLATIONS: dict[type[Exception], Any] = {
    Problem: lambda problem: problem,
    PictureError: of_picture,
    UnknownModel: of_unknown_model,
    CheckpointError: of_checkpoint,
    WrongSize: of_wrong_size,
    CannotFit: of_no_fit,
    NotFinite: of_not_finite,
    RequestValidationError: of_validation,
    HTTPException: of_http,
    ClientDisconnect: lambda _: client_gone(),
}


def problem_of(error: Exception) -> Problem:
    """The problem that an error is; one that nobody foresaw is written down."""
    for kind, translate in TRANSLATIONS.items():
        if isinstance(error, kind):
            return translate(error)
    log.error("a request failed after its answer had begun", exc_info=error)
    return unforeseen()


def told(problem: Problem, request_id: str) -> JSONResponse:
    """The problem as an answer, counted and noted for the log."""
    metrics.REJECTIONS.labels(problem.slug).inc()
    telemetry.note(problem=problem.slug)
    body = {
        "type": f"urn:denoir:{problem.slug}",
        "title": problem.slug.replace("-", " "),
        "status": problem.status,
        "detail": problem.detail,
        "instance": request_id,
        **problem.members,
    }
    return JSONResponse(body, problem.status, problem.headers, media_type=MEDIA_TYPE)


def answer_all(app: FastAPI) -> None:
    """Makes every error of the application answer as a problem."""
    for kind, translate in TRANSLATIONS.items():

        async def handler(request: Request, error: Exception, translate: Any = translate) -> JSONResponse:
            return told(translate(error), request.scope.get("request_id", ""))

        app.add_exception_handler(kind, handler)
