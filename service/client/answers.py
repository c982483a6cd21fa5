"""What the service answers, and how an answer is read as it comes."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from service.client.errors import Problem, Unreachable
from service.client.parts import MEDIA_TYPE, Parts

Progress = Callable[[int, int], None]
"""(tiles done, tiles in all) -> nothing; called as the answer is made."""


@dataclass(frozen=True)
class Answer:
    """A whole one. headers: by their names in small letters."""

    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Picture:
    """A picture of the service's.

    data: an image file of that media type. model: which made it. sigma: the noise level it was cleaned of, in 8-bit
    grey levels. fitted: how it was brought to the model's size, where it was.
    """

    data: bytes
    media_type: str
    model: str
    sigma: float | None = None
    fitted: str | None = None

    @classmethod
    def of(cls, answer: Answer) -> "Picture":
        told = answer.headers
        sigma = float(told["denoir-sigma"]) if "denoir-sigma" in told else None
        return cls(answer.body, told["content-type"], told.get("denoir-model", ""), sigma, told.get("denoir-fitted"))

    def save(self, path: str | Path) -> None:
        """As it is, whatever the path's suffix says."""
        Path(path).write_bytes(self.data)


@dataclass(frozen=True)
class Album:
    """Pictures that were drawn.

    data: one grid (PNG), one animation (WebP), or a zip of one PNG each. seed: of a sample; first, last: seeds of the
    ends of a way; each as it was given or drawn.
    """

    data: bytes
    media_type: str
    model: str
    seed: int | None = None
    first: int | None = None
    last: int | None = None

    @classmethod
    def of(cls, answer: Answer) -> "Album":
        told = answer.headers
        seeds = [int(told[name]) if name in told else None for name in ("denoir-seed", "denoir-from", "denoir-to")]
        return cls(answer.body, told["content-type"], told.get("denoir-model", ""), *seeds)

    @property
    def pictures(self) -> list[bytes]:
        """The single pictures of a zip, each a PNG; of others the one there is."""
        if self.media_type != "application/zip":
            return [self.data]
        with zipfile.ZipFile(io.BytesIO(self.data)) as packed:
            return [packed.read(name) for name in sorted(packed.namelist())]

    def save(self, path: str | Path) -> None:
        """As it is, whatever the path's suffix says."""
        Path(path).write_bytes(self.data)


class Model(TypedDict):
    """What can be asked of a model. size: (height, width) where it takes that one alone."""

    name: str
    version: str
    title: str
    recipe: str
    asks: list[str]
    channels: int
    level: bool
    size: list[int] | None
    latent: int | None


class ModelDetails(Model):
    """The same with how it was trained and what was measured of it."""

    training: dict[str, Any]
    metrics: dict[str, Any]


class Fitted(TypedDict):
    """How a picture of another size was brought to the model's. given, size: (height, width)."""

    given: list[int]
    size: list[int]
    top: int
    left: int
    height: int
    width: int


class Encoded(TypedDict):
    """The code of a picture. zeros: the share of its numbers that are exactly 0."""

    model: str
    code: list[float]
    zeros: float
    fitted: Fitted | None


class Drawn(TypedDict):
    """Codes that were drawn. seed: in digits."""

    model: str
    seed: str
    codes: list[list[float]]


class Health(TypedDict):
    status: str


class Reading:
    """One answer as it comes, progress told on the way where it is in parts."""

    def __init__(self, status: int, headers: Mapping[str, str], progress: Progress | None = None):
        self.status, self.progress = status, progress
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        self.body, self.last = bytearray(), None
        self.parts = Parts.of(self.headers["content-type"]) if self.media_type == MEDIA_TYPE else None

    def feed(self, data: bytes) -> None:
        """Takes what has come."""
        if self.parts is None:
            self.body += data
            return
        for part in self.parts.feed(data):
            if part.headers.get("content-type") == "application/json" and self.progress:
                step = json.loads(part.body)
                self.progress(step["done"], step["tiles"])
            self.last = part

    @property
    def answer(self) -> Answer:
        """The whole one. Raises Problem, or Unreachable where it broke off."""
        body, headers = bytes(self.body), self.headers
        if self.parts is not None:
            if self.last is None or not self.parts.ended:
                raise Unreachable("the answer broke off")
            body, headers = self.last.body, self.last.headers
        if self.status >= 300 or headers.get("content-type", "").startswith("application/problem+json"):
            raise Problem.of(self.status, body, headers)
        return Answer(body, headers)
