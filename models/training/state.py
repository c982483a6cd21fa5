"""A run's state on disk: one safetensors file, replaced whole, with what the run is in words beside its tensors."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from models import checkpoints

STATE, LOCK = "state.safetensors", "lock"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder of a state for one training alone, until that ends however it ends: the lock is the system's and goes
    with the process, and the file that stays beside a state keeps nobody out. Without a state nothing stays.

    Raises ValueError where another training holds it, OSError where it can't be made or written into.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        if not locked(file.fileno()):
            raise ValueError(f"another training has its state in {folder}; name another --state, or wait for its end")
        try:
            yield
        finally:
            if not (folder / STATE).exists():
                with contextlib.suppress(OSError):  # where other things lie, the folder stays
                    (folder / LOCK).unlink()
                    folder.rmdir()


def locked(file: int) -> bool:
    """Whether an open file is locked for who asks; told also where the system, or the disk, knows no locks."""
    if sys.platform == "win32":
        return True
    import fcntl  # which is not there either

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return not isinstance(error, BlockingIOError)
    return True


def write_state(folder: Path, told: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Writes the state, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    words = {name: json.dumps(value) for name, value in told.items()}
    kept = {name: tensor.contiguous() for name, tensor in tensors.items()}
    checkpoints.replace_file(folder / STATE, save_tensors(kept, words))


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a state says of itself, and its tensors. Raises ValueError."""
    try:
        with safe_open(path, "pt") as saved:
            told = {name: json.loads(value) for name, value in (saved.metadata() or {}).items()}
            tensors = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} can't be read: {error}; name another --state, or remove that file") from error
    if not {"progress", "config"} <= told.keys():
        raise ValueError(f"{path} is no state of a training; name another --state")
    return told, tensors


def differences(then: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs between two runs, in words; the recipe alone where that does, since much follows from it."""
    then, now = json.loads(json.dumps([then, now]))  # as what was read: tuples are lists
    names = [name for name in then | now if then.get(name) != now.get(name)]
    names = ["recipe"] if "recipe" in names else names
    return ", ".join(f"{name} was {json.dumps(then.get(name))} and is {json.dumps(now.get(name))}" for name in names)


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those whose name begins so, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
