"""The words of the API, as its answers have them."""

from typing import Any, Self

from pydantic import BaseModel, Field

from models.checkpoints import Description
from models.types import Needs


class ModelSummary(BaseModel):
    """A model that can be asked."""

    name: str
    version: str
    title: str = Field(description="name@version, as every `model` parameter takes it")
    recipe: str
    asks: list[str] = Field(description="what it can be asked: denoise, sample and so on")
    channels: int
    size: tuple[int, int] | None = Field(description="(height, width) where it takes that one size alone")
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
