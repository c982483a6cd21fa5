"""One model on disk: a folder as the Hugging Face hub has them. Never a pickle.

model.safetensors   the weights
config.json         what the network is, what it can be asked, and the hash of the weights
README.md           the model card, written by the evaluation
metrics.json        what the evaluation measured
sheet.png           the contact sheet, which the card shows
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import MISSING, asdict, dataclass, field, fields
from io import BufferedWriter
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from models import storage
from models.recipes import ARCHITECTURES, RECIPES, built, configured

FORMAT = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")
WEIGHTS, CONFIG, METRICS = "model.safetensors", "config.json", "metrics.json"
CARD, SHEET = "README.md", "sheet.png"
ABLE = {
    name: sorted(
        {ask for row in RECIPES.values() if row.architecture == name for ask in row.asks}
        | ({"sample"} if hasattr(row.config, "mixture") else set())
    )
    for name, row in ARCHITECTURES.items()
}
"""What each architecture can be asked, by the names of the service's routes."""


class CheckpointError(Exception):
    """A checkpoint can't be used; says which, and what is wrong with it."""


@dataclass(frozen=True)
class Description:
    """What `config.json` says.

    name, version: how the shelf lists it, as name@version. recipe: the row that it was trained by. asks: what it can be
    asked. config: of the network. training: steps, minutes, data and seed, for the record. sha256: of the weights.
    """

    name: str
    version: str
    recipe: str
    architecture: str
    asks: tuple[str, ...]
    config: dict[str, Any]
    training: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    format: int = FORMAT

    @property
    def title(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Model:
    """A network ready to be asked, with what is known about it.

    network: a module of one of the ARCHITECTURES; what it offers is told by its `needs`, and so not by its type.
    """

    description: Description
    network: Any


def save(
    folder: Path,
    description: Description,
    weights: dict[str, Tensor],
    half: bool = False,
    rounded: Collection[str] = (),
) -> Description:
    """Writes weights and config to `folder`, atomically enough that a reader finds the old or the new hash, never a
    model that fits neither. `half` stores 16-bit floats: half the size, an error far below that of bf16 arithmetic; and
    in 8 bits those weights that are `rounded`, which are computed with in 8 bits as well."""
    folder.mkdir(parents=True, exist_ok=True)
    data = save_tensors(storage.kept(weights, half, rounded), metadata={"format": "pt"})
    described = asdict(description) | {"sha256": hashlib.sha256(data).hexdigest()}
    replace_file(folder / WEIGHTS, data)
    replace_file(folder / CONFIG, (json.dumps(described, indent=2) + "\n").encode())
    return describe(folder)


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    with replacing(path) as stream:
        stream.write(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BufferedWriter]:
    """Written beside and renamed over, so that no half-written file is ever seen; what fails leaves nothing beside.
    Its name there is its own, as another process may be writing the same."""
    beside = path.with_name(f".{secrets.token_hex(8)}.new")
    try:
        with beside.open("xb") as stream:
            yield stream
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def check_writable(folder: Path) -> None:
    """Raises OSError for a folder that can't be made, or that no file can be put into."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def describe(folder: Path) -> Description:
    """Reads `config.json` alone. Raises CheckpointError."""
    try:
        values = of_kinds(json.loads(contents(folder / CONFIG)))
        description = Description(**(values | {"asks": tuple(values["asks"])}))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder.name}: no {CONFIG}") from error
    except (ValueError, TypeError, KeyError, OSError, RecursionError) as error:
        raise CheckpointError(f"{folder.name}: {CONFIG} can't be read: {in_a_line(error)}") from error
    return checked(description, folder.name)


KINDS: dict[str, tuple[type, str]] = {
    "name": (str, "text"),
    "version": (str, "text"),
    "recipe": (str, "text"),
    "architecture": (str, "text"),
    "asks": (list, "a list"),
    "config": (dict, "an object"),
    "training": (dict, "an object"),
    "sha256": (str, "text"),
    "format": (int, "a whole number"),
}
"""What JSON has for each of the fields, and what people call that."""
NEEDED = [one.name for one in fields(Description) if one.default is MISSING and one.default_factory is MISSING]


def of_kinds(values: Any) -> Any:
    """What `config.json` holds, if each value is of its kind. Raises ValueError."""
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    if missing := [name for name in NEEDED if name not in values]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    for name, (kind, called) in KINDS.items():
        if name in values and not isinstance(values[name], kind):
            raise ValueError(f"{name} must be {called}, not {json.dumps(values[name])}")
    return values


def checked(description: Description, where: str) -> Description:
    """The description, if a reader of this format can use it."""
    if description.format != FORMAT:
        raise CheckpointError(f"{where}: format {description.format}, and this program reads {FORMAT}")
    if description.architecture not in ARCHITECTURES:
        raise CheckpointError(f"{where}: unknown architecture {description.architecture!r}")
    if not NAME.fullmatch(description.name) or not NAME.fullmatch(description.version):
        raise CheckpointError(f"{where}: names and versions are made of a-z, 0-9, dot, dash and underscore")
    able = ABLE[description.architecture]
    if unknown := [ask for ask in description.asks if ask not in able]:
        known = f"{description.architecture} can be asked to {' or '.join(able)}"
        raise CheckpointError(f"{where}: {known}, not to {', '.join(map(str, unknown))}")
    return description


def load(folder: Path, device: torch.device | str = "cpu") -> Model:
    """Reads one checkpoint, its hash checked, weights as 32-bit floats. Raises CheckpointError."""
    description = describe(folder)
    try:
        data = contents(folder / WEIGHTS)
    except OSError as error:
        raise CheckpointError(f"{folder.name}: no readable {WEIGHTS}") from error
    if hashlib.sha256(data).hexdigest() != description.sha256:
        raise CheckpointError(f"{folder.name}: {WEIGHTS} is not the file that {CONFIG} was written for")
    return Model(description, network_of(description, data, folder.name).to(device).eval())


def network_of(description: Description, data: bytes, where: str) -> nn.Module:
    """The network with its weights. It is built without memory first, so a config that lies allocates nothing."""
    network = outline(description, where)
    try:
        tensors = storage.restored(load_tensors(data))
        network.load_state_dict(tensors, assign=True)
    except (ValueError, RuntimeError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{where}: the weights don't fit the config: {in_a_line(error)}") from error
    return network.requires_grad_(False)


def outline(description: Description, where: str) -> Any:
    """The network without its weights. Raises CheckpointError where there is no such network."""
    try:
        with torch.device("meta"):
            return built(description.architecture, configured(description.architecture, description.config))
    except (ValueError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{where}: there is no such network: {in_a_line(error)}") from error


def contents(path: Path) -> bytes:
    """The bytes of a file. Raises OSError, also for a pipe or a device, which might never end."""
    if not path.is_file():
        raise FileNotFoundError(path.name)
    return path.read_bytes()


def in_a_line(error: Exception, longest: int = 300) -> str:
    """What an error says, without its line breaks and its tail: PyTorch lists every tensor that doesn't fit."""
    told = " ".join(str(error).split())
    return told if len(told) <= longest else f"{told[:longest]} ..."


def metrics(folder: Path) -> dict[str, Any]:
    """What was measured of it; empty where nothing was. Raises CheckpointError."""
    path = folder / METRICS
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder.name}: {METRICS} can't be read: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{folder.name}: {METRICS} is no JSON object")
    return values
