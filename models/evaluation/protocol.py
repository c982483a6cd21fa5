"""The words of an evaluation: what is measured on, and what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.checkpoints import Model
from models.restore import TILE
from models.sessions import Session
from models.types import Picture8, Pixels

Row = dict[str, float | str]


@dataclass(frozen=True)
class Trial:
    """What a model is measured on.

    pictures: test pictures. path: the set that they are part of. folder: the model's own, where figures that take hours
    are kept while they are made. tile: side of a square of a tile's pixels. samples: draws of each picture's code for
    its likelihood; 0 for none. sheet: photographs for the contact sheet in place of those that are measured.
    """

    pictures: list[Picture8]
    path: Path
    folder: Path
    tile: int = TILE
    samples: int = 0
    sheet: list[Picture8] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """What was measured on one set: a table, single figures, a contact sheet `h w c`, and tables of other matters by
    their titles."""

    table: list[Row]
    figures: dict[str, Any]
    sheet: Pixels
    more: dict[str, list[Row]] = field(default_factory=dict)


Protocol = Callable[[Model, Session, Trial], Report]
"""How a model is measured."""
