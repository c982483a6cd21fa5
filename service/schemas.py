"""The words of the API, as its answers have them."""

from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from models.checkpoints import Description
from models.letterbox import Placement
from models.types import Needs
from service.settings import MOST_SAMPLES

Size = Annotated[
    tuple[int, int], WithJsonSchema({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2})
]
"""(height, width), told as readers of OpenAPI know it, who mostly know no tuples."""


class ModelSummary(BaseModel):
    """A model that can be asked."""

    name: str
    version: str
    title: str = Field(description="name@version, as every `model` parameter takes it")
    recipe: str
    asks: list[str] = Field(
        description="what it can be asked: denoise, sample and so on; interpolate is that between seeds, and between "
        "pictures any model can that has encode and decode"
    )
    channels: int
    level: bool = Field(description="whether it is told how much noise there is")
    size: Size | None = Field(description="(height, width) where it takes that one size alone")
    latent: int | None = Field(description="length of its code, where it has one that can be decoded")

    @classmethod
    def of(cls, described: Description, needs: Needs, **more: Any) -> Self:
        """What a checkpoint and its network say of themselves."""
        return cls(
            name=described.name,
            version=described.version,
            title=described.title,
            recipe=described.recipe,
            asks=list(described.asks),
            channels=needs.channels,
            level=needs.level,
            size=needs.size,
            latent=needs.latent,
            **more,
        )


class ModelDetails(ModelSummary):
    """The same with how it was trained and what was measured of it."""

    training: dict[str, Any]
    metrics: dict[str, Any]


class ModelList(BaseModel):
    """All models of the service."""

    models: list[ModelSummary]
    most: int = Field(description="pictures that one answer may have")


Code = Annotated[list[Annotated[float, Field(strict=True, allow_inf_nan=False)]], Field(min_length=1, fail_fast=True)]
"""Finite numbers; at the first that is none the rest is not looked at."""


class DecodeAsk(BaseModel):
    """One code to be decoded, or several."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"oneOf": [{"required": ["code"]}, {"required": ["codes"]}]}
    )

    model: str = Field("digits-vae", min_length=1, max_length=10_000, description="name or name@version, see /models")
    code: Code = Field(default_factory=list, description="for one picture; as many numbers as the model's `latent`")
    codes: Annotated[list[Code], Field(min_length=1, max_length=MOST_SAMPLES, fail_fast=True)] = Field(
        default_factory=list, description="for several pictures, as many as the service gives in one answer"
    )
    format: Literal["png", "webp", "zip"] = Field(
        "png", description="one picture or grid, an animated WebP, or single pictures"
    )
    seed: str | None = Field(None, max_length=20, description="as /codes tells it; of no effect")
    zeros: float | None = Field(None, description="as /encode tells it; of no effect")
    fitted: dict[str, Any] | None = Field(None, description="as /encode tells it; of no effect")

    @model_validator(mode="after")
    def either(self) -> Self:
        if bool(self.code) == bool(self.codes):
            raise ValueError("give either code or codes")
        return self

    @property
    def given(self) -> list[list[float]]:
        """All the codes."""
        return self.codes or [self.code]


class Fitted(BaseModel):
    """How a picture of another size was brought to the model's: scaled to a box within it."""

    model_config = ConfigDict(from_attributes=True)

    given: Size = Field(description="(height, width) of the picture that came")
    size: Size = Field(description="(height, width) that the model takes")
    top: int
    left: int
    height: int
    width: int


class Encoded(BaseModel):
    """The code of a picture."""

    model: str
    code: list[float]
    zeros: float = Field(description="share of the code's numbers that are exactly 0")
    fitted: Fitted | None = Field(description="null where the picture had the model's size")

    @classmethod
    def of(cls, title: str, code: np.ndarray, placement: Placement) -> Self:
        """A code `k` float32."""
        fitted = None if placement.untouched else Fitted.model_validate(placement)
        return cls(model=title, code=short(code), zeros=float((code == 0).mean()), fitted=fitted)


class Drawn(BaseModel):
    """Codes that were drawn."""

    model: str
    seed: str = Field(description="in digits, as not every reader of JSON has whole numbers of 63 bits")
    codes: list[list[float]]

    @classmethod
    def of(cls, title: str, seed: int, codes: np.ndarray) -> Self:
        """Codes `n k` float32."""
        return cls(model=title, seed=str(seed), codes=[short(code) for code in codes])


def short(code: np.ndarray) -> list[float]:
    """The numbers of a code `k` float32, written as short as 32 bits allow."""
    return [float(str(number)) for number in code]


class Health(BaseModel):
    """Whether the service lives, or is ready."""

    status: str


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(examples=["urn:denoir:damaged-image"])
    title: str
    status: int
    detail: str
    instance: str = Field(description="the request's id, as in `X-Request-ID`")
