"""The models that ship and those on the shelf: found, made ready, listed, compiled ahead."""

import argparse
import json

from models import catalog, checkpoints, inference
from models.catalog import SHIPPED, Catalog
from models.checkpoints import Model
from models.inference import Session


def able(asked: argparse.Namespace, task: str) -> catalog.Entry:
    """The model asked for, if it can do what it is asked."""
    entry = Catalog.of(SHIPPED, asked.shelf).find(asked.model)
    if task not in entry.description.asks:
        raise ValueError(
            f"{entry.description.title} can't {task}; it can: {', '.join(entry.description.asks) or 'nothing'}"
        )
    return entry


def session_of(model: Model, asked: argparse.Namespace) -> Session:
    """The model ready to be asked on the device asked for."""
    described = model.description
    return Session(
        model.network, inference.chosen_device(asked.device), described.title, described.sha256, asked.graphs
    )


def add_models(one: argparse.ArgumentParser) -> None:
    one.add_argument("--json", action="store_true", help="for programs")


def models(asked: argparse.Namespace) -> int:
    """List the models that ship and those on the shelf."""
    entries = Catalog.of(SHIPPED, asked.shelf).entries
    if asked.json:
        rows = [{"title": title, "asks": e.description.asks, "folder": str(e.folder)} for title, e in entries.items()]
        print(json.dumps(rows, indent=2))
        return 0
    for title, entry in sorted(entries.items()):
        print(f"{title:<24} {', '.join(entry.description.asks):<16} {entry.folder}")
    return 0


def add_prepare(one: argparse.ArgumentParser) -> None:
    one.add_argument("--device", default="auto", help="auto, cpu, cuda (default: auto)")


def prepare(asked: argparse.Namespace) -> int:
    """Compile the models ahead, so that the service starts sooner.

    What is made is kept in the cache (DENOIR_CACHE); without this, the first start makes it.
    """
    if asked.graphs is None:
        raise ValueError("there is no cache to keep compiled models in")
    asked.graphs.mkdir(parents=True, exist_ok=True)
    for title, entry in sorted(Catalog.of(SHIPPED, asked.shelf).entries.items()):
        session = session_of(checkpoints.load(entry.folder), asked)
        session.prepare(entry.description.asks)
        print(f"{title}: {', '.join(sorted(session.programs))}, {session.made}")
    return 0
