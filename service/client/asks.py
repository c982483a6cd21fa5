"""What can be asked of the service: a function for each operation of its API, with a parameter for each of its own.

What is left out is left to the service, whose defaults /docs shows. `from` is called `from_` here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from service.client.answers import Album, Answer, Drawn, Encoded, Health, Model, ModelDetails, Picture, Progress
from service.client.parts import MEDIA_TYPE
from service.client.uploads import Form, Source, Upload

T = TypeVar("T")

Format: TypeAlias = Literal["png", "jpeg", "webp", "bmp", "tiff", "gif", "avif"]
AlbumFormat: TypeAlias = Literal["png", "webp", "zip"]
Way: TypeAlias = Literal["sphere", "straight"]


@dataclass(frozen=True)
class Ask(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[Answer], T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Upload | Form | None = None
    json: Any = None
    progress: Progress | None = None

    @property
    def params(self) -> dict[str, Any]:
        """What is given of the query."""
        return given(**self.query)

    @property
    def headers(self) -> dict[str, str]:
        """What is said of the body and of the answer that is wanted."""
        headers = {"Accept": MEDIA_TYPE} if self.progress else {}
        if isinstance(self.body, Form):
            headers["Content-Type"] = self.body.media_type
        elif self.body:
            headers["Content-Type"] = "application/octet-stream"
        if self.body and self.body.size is not None:
            headers["Content-Length"] = str(self.body.size)
        return headers

    @property
    def repeatable(self) -> bool:
        return self.body is None or self.body.repeatable


def given(**values: Any) -> dict[str, Any]:
    """Those that are not None; a name that would be a word of Python's has an underscore behind it."""
    return {name.rstrip("_"): value for name, value in values.items() if value is not None}


def denoise(
    picture: Source,
    *,
    model: str | None = None,
    sigma: float | None = None,
    strength: float | None = None,
    format: Format | None = None,
    quality: int | None = None,
    effort: int | None = None,
    progress: Progress | None = None,
) -> Ask[Picture]:
    """Takes the noise out of a picture.

    sigma: noise level in 8-bit grey levels, 0 to 100; left out, it is estimated. strength: 0 to 1.
    quality, effort: of the file, as its format has them. progress: is told of tiles as they are done.
    """
    query = {"model": model, "sigma": sigma, "strength": strength, "format": format}
    written = {"quality": quality, "effort": effort}
    return Ask("POST", "/denoise", Picture.of, query | written, Upload(picture), progress=progress)


def colorize(
    picture: Source,
    *,
    model: str | None = None,
    format: Format | None = None,
    quality: int | None = None,
    effort: int | None = None,
) -> Ask[Picture]:
    """Gives a picture colours, its lightness kept."""
    query = {"model": model, "format": format, "quality": quality, "effort": effort}
    return Ask("POST", "/colorize", Picture.of, query, Upload(picture))


def reconstruct(
    picture: Source,
    *,
    model: str | None = None,
    format: Format | None = None,
    quality: int | None = None,
    effort: int | None = None,
) -> Ask[Picture]:
    """Sends a picture through a model's code and back."""
    query = {"model": model, "format": format, "quality": quality, "effort": effort}
    return Ask("POST", "/reconstruct", Picture.of, query, Upload(picture))


def encode(picture: Source, *, model: str | None = None) -> Ask[Encoded]:
    """Tells the code of a picture."""
    return Ask("POST", "/encode", as_json, {"model": model}, Upload(picture))


def decode(
    code: Sequence[float] | None = None,
    *,
    codes: Sequence[Sequence[float]] | None = None,
    model: str | None = None,
    format: AlbumFormat | None = None,
) -> Ask[Album]:
    """Makes the picture of a code, or those of several codes: give either."""
    return Ask("POST", "/decode", Album.of, json=given(code=code, codes=codes, model=model, format=format))


def sample(
    *,
    model: str | None = None,
    n: int | None = None,
    seed: int | None = None,
    temperature: float | None = None,
    first: int | None = None,
    format: AlbumFormat | None = None,
) -> Ask[Album]:
    """Draws new pictures; picture i of a seed is always the same."""
    query = {"model": model, "n": n, "seed": seed, "temperature": temperature, "first": first, "format": format}
    return Ask("GET", "/sample", Album.of, query)


def codes(
    *,
    model: str | None = None,
    n: int | None = None,
    seed: int | None = None,
    temperature: float | None = None,
    first: int | None = None,
) -> Ask[Drawn]:
    """Tells the codes of the pictures that `sample` draws of a seed."""
    query = {"model": model, "n": n, "seed": seed, "temperature": temperature, "first": first}
    return Ask("GET", "/codes", as_json, query)


def interpolate(
    from_: int | None = None,
    to: int | None = None,
    *,
    model: str | None = None,
    steps: int | None = None,
    path: Way | None = None,
    temperature: float | None = None,
    format: AlbumFormat | None = None,
) -> Ask[Album]:
    """Draws the pictures on the way from one seed to another."""
    query = {"from": from_, "to": to, "model": model, "steps": steps, "path": path}
    return Ask("GET", "/interpolate", Album.of, query | {"temperature": temperature, "format": format})


def interpolate_pictures(
    from_: Source,
    to: Source,
    *,
    model: str | None = None,
    steps: int | None = None,
    path: Way | None = None,
    format: AlbumFormat | None = None,
) -> Ask[Album]:
    """Draws the pictures on the way from one picture to another."""
    query = {"model": model, "steps": steps, "path": path, "format": format}
    return Ask("POST", "/interpolate", Album.of, query, Form({"from": from_, "to": to}))


def traverse(
    *,
    model: str | None = None,
    seed: int | None = None,
    directions: str | None = None,
    span: float | None = None,
    steps: int | None = None,
    temperature: float | None = None,
    format: AlbumFormat | None = None,
) -> Ask[Album]:
    """Shows what one or two numbers of a code do, such as `directions="3,7"`."""
    query = {"model": model, "seed": seed, "directions": directions, "span": span, "steps": steps}
    return Ask("GET", "/traverse", Album.of, query | {"temperature": temperature, "format": format})


def models() -> Ask[list[Model]]:
    """What can be asked."""
    return Ask("GET", "/models", lambda answer: answer.json["models"])


def model(name: str) -> Ask[ModelDetails]:
    """One model, how it was trained, and what was measured of it."""
    return Ask("GET", f"/models/{quote(name, '')}", as_json)


def card(name: str) -> Ask[str]:
    """The same to be read, as Markdown."""
    return Ask("GET", f"/models/{quote(name, '')}/card", lambda answer: answer.text)


def sheet(name: str) -> Ask[bytes]:
    """What a model makes of pictures, side by side, as PNG."""
    return Ask("GET", f"/models/{quote(name, '')}/sheet", lambda answer: answer.body)


def health() -> Ask[Health]:
    """Whether the process answers at all."""
    return Ask("GET", "/healthz", as_json)


def ready() -> Ask[Health]:
    """Whether new work is taken; asked again, as everything, for as long as there is patience."""
    return Ask("GET", "/readyz", as_json)


def as_json(answer: Answer) -> Any:
    return answer.json
