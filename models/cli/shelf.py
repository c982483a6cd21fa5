"""The models that ship and those on the shelf: found, made ready, listed, compiled ahead."""

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from models import catalog, checkpoints, sessions
from models.arguments import device
from models.catalog import SHIPPED, Catalog
from models.checkpoints import CheckpointError, Description, Model
from models.sessions import Session
from models.types import Needs


def known(asked: argparse.Namespace) -> Catalog:
    """What ships and what is on the shelf. What can't be used there is named, and keeps nothing else from being."""
    usable, unusable = Catalog.readable(SHIPPED, asked.shelf)
    for error in unusable:
        leave_out(asked, error)
    return usable


def leave_out(asked: argparse.Namespace, error: CheckpointError) -> None:
    """Tells of a checkpoint that can't be used, which keeps nothing else from being."""
    print(f"left out of {asked.shelf}: {error}", file=sys.stderr)


def able(asked: argparse.Namespace, task: str, *needed: str) -> catalog.Entry:
    """The model asked for, if it can do what it is asked; or all that is `needed`, where the verb can do with less."""
    return able_of(known(asked), asked, task, *needed)


def able_of(there: Catalog, asked: argparse.Namespace, task: str, *needed: str) -> catalog.Entry:
    """The same of what was found to be there."""
    entry = there.find(asked.model)
    if not set(needed or [task]) <= set(entry.description.asks):
        raise ValueError(
            f"{entry.description.title} can't {task}; it can: {', '.join(entry.description.asks) or 'nothing'}"
        )
    return entry


def session_of(model: Model, asked: argparse.Namespace) -> Session:
    """The model ready to be asked on the device asked for."""
    described = model.description
    return Session(model.network, sessions.chosen_device(asked.device), described.title, described.sha256, asked.graphs)


def add_models(one: argparse.ArgumentParser) -> None:
    one.add_argument("--json", action="store_true", help="for programs: all of it, with where each model lies")


def models(asked: argparse.Namespace) -> int:
    """List the models that ship and those on the shelf.

    Of each: the recipe that it was trained by, the size of the pictures that it takes, and what it can be asked.
    """
    if asked.json:
        print(json.dumps([told_of(entry, needs) for entry, needs in listed(asked)], indent=2))
        return 0
    rows = [row_of(entry.description, needs) for entry, needs in listed(asked)]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(aligned([("MODEL", "RECIPE", "PICTURES", "CAN"), *rows], width)))
    return 0


def listed(asked: argparse.Namespace) -> Iterator[tuple[catalog.Entry, Needs]]:
    """What is known to be there, by title, with what each network needs; what no network can be made of is named."""
    for _, entry in sorted(known(asked).entries.items()):
        try:
            needs = needs_of(entry)
        except CheckpointError as error:
            leave_out(asked, error)
        else:
            yield entry, needs


def told_of(entry: catalog.Entry, needs: Needs) -> dict[str, Any]:
    """One model, in the words that the service has for it, and where it lies."""
    described = entry.description
    own = {name: getattr(described, name) for name in ("title", "name", "version", "recipe", "asks")}
    needed = {name: getattr(needs, name) for name in ("channels", "level", "size", "latent")}
    return own | needed | {"folder": str(entry.folder)}


def row_of(described: Description, needs: Needs) -> tuple[str, ...]:
    """One model, in columns; the size of the pictures that it takes with the width first."""
    size = f"{needs.size[1]}x{needs.size[0]}" if needs.size else "any size"
    return described.title, described.recipe, size, ", ".join(described.asks)


def needs_of(entry: catalog.Entry) -> Needs:
    """What the network says of itself; built without memory, since its weights have no say in it.

    Raises CheckpointError.
    """
    return checkpoints.outline(entry.description, entry.folder.name).needs


def aligned(rows: list[tuple[str, ...]], width: int | None = None) -> Iterator[str]:
    """Lines of a table, columns as wide as what they hold; the last one is wrapped to `width`, if that leaves room."""
    widths = [max(map(len, column)) + 2 for column in list(zip(*rows, strict=True))[:-1]]
    room = width - sum(widths) if width else 0
    for *first, last in rows:
        start = "".join(word.ljust(size) for word, size in zip(first, widths, strict=True))
        lines = textwrap.wrap(last, room) if room >= LEAST_ROOM else [last]
        yield start + ("\n" + " " * len(start)).join(lines)


LEAST_ROOM = 20
"""Characters."""


def add_prepare(one: argparse.ArgumentParser) -> None:
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")


def prepare(asked: argparse.Namespace) -> int:
    """Compile the models ahead, so that the service starts sooner.

    What is made is kept in the cache (DENOIR_CACHE); without this, the first start makes it.
    """
    if asked.graphs is None:
        raise ValueError("there is no cache to keep compiled models in")
    checkpoints.check_writable(asked.graphs)
    done = [prepared(entry, asked) for entry, _ in listed(asked)]
    return 0 if all(done) else 1


def prepared(entry: catalog.Entry, asked: argparse.Namespace) -> bool:
    """Whether one model could be loaded, and so is compiled; tells what was made, or why it couldn't."""
    try:
        session = session_of(checkpoints.load(entry.folder), asked)
    except CheckpointError as error:
        leave_out(asked, error)
        return False
    session.prepare(entry.description.asks)
    print(f"{session.title}: {', '.join(sorted(session.programs))}, {session.made}")
    return True
