"""The verbs of those with a code: sample, encode."""

import argparse
import json
import secrets
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from models import checkpoints, images, inference, sampling
from models.arguments import SEED_BITS, count, device, positive, seed, temperature
from models.cli.places import STREAM, check_place, format_asked, read, writing
from models.cli.shelf import able, session_of
from models.cli.writing import add_written, written
from models.data import DataError
from models.images import Picture, Pixels
from models.sessions import Session


def add_sample(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "target",
        type=Path,
        metavar="OUT",
        help="a file for one grid of them all, a folder for single PNGs, or - for a grid on standard output, as PNG",
    )
    one.add_argument("--model", default="digits-vae", help="one that `denoir models` lists (default: digits-vae)")
    one.add_argument("-n", type=positive, default=16, metavar="COUNT", help="how many pictures (default: 16)")
    one.add_argument("--seed", type=seed, help="the same number draws the same pictures (default: drawn, and told)")
    one.add_argument("--temperature", type=temperature, default=1.0, help="0 to 2, from tame to wild (default: 1)")
    one.add_argument("--first", type=count, default=0, help="number of the first picture of the seed (default: 0)")
    add_film(one)
    add_written(one)
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")


def add_film(one: argparse.ArgumentParser) -> None:
    one.add_argument("--film", action="store_true", help="show the pictures in turn: an animated WebP and no grid")


def sample(asked: argparse.Namespace) -> int:
    """Draw new pictures from a variational autoencoder, or from a plain one with a mixture fitted to its codes."""
    session = ready_to_draw(asked, "sample")
    codes = session.draw(seed_of(asked), asked.first, asked.n, asked.temperature)
    put_together(asked, inference.decode_codes(session, codes), first=asked.first)
    return 0


def ready_to_draw(asked: argparse.Namespace, task: str, *needed: str) -> Session:
    """The model asked for, if it is `able` and what is drawn can be written, which is told before anything is.

    Raises DataError, OSError.
    """
    entry, form = able(asked, task, *needed), form_of_grid(asked.target)
    if asked.film and form != "webp" and asked.target != STREAM:
        raise DataError(f"a film is an animated WebP: name OUT so, and not {asked.target.name}")
    check_place(asked.target if form else numbered(asked.target, 0))
    return session_of(checkpoints.load(entry.folder), asked)


def put_together(
    asked: argparse.Namespace, pictures: np.ndarray, columns: int = 0, first: int = 0, alone: bool = False
) -> None:
    """Writes pictures `n h w c` to OUT: a grid, a film, or a folder of single ones, numbered from `first`. One that
    stands `alone` is no grid of one, but itself.

    Raises PictureTooLarge.
    """
    form = form_of_grid(asked.target)
    if asked.film:
        strip = Picture.of(pictures.reshape(-1, *pictures.shape[2:]))
        options: dict[str, Any] = {"quality": LOSSLESS, "frames": len(pictures)}
        with writing(asked.target) as stream:
            images.save(strip, "webp", stream, **options | written(asked))
    elif form:
        keep(asked.target, pictures[0] if alone else sampling.grid(pictures, columns=columns), form, asked)
    else:
        for number, picture in enumerate(pictures, first):
            keep(numbered(asked.target, number), picture, "png", asked)


def written_to(target: Path, count: int) -> list[Path]:
    """Where so many pictures go, the first of them 0."""
    return [numbered(target, number) for number in range(count)] if target.is_dir() else [target]


def numbered(folder: Path, number: int) -> Path:
    """Where a single picture goes."""
    return folder / f"{number:06d}.png"


LOSSLESS = 100
"""The quality at which WebP changes nothing."""


def form_of_grid(target: Path) -> str | None:
    """The format of one grid; None where OUT is a folder, for single pictures. Raises DataError."""
    if target == STREAM:
        return "png"
    return None if target.is_dir() else format_asked(target)


def keep(target: Path, pixels: Pixels, form: str, asked: argparse.Namespace) -> None:
    """Writes one drawn picture."""
    with writing(target) as stream:
        images.save(Picture.of(pixels), form, stream, **written(asked))


def seed_of(asked: argparse.Namespace) -> int:
    """The seed asked for; else one that is drawn, and told so that the same pictures can be asked for again."""
    if asked.seed is not None:
        return asked.seed
    drawn = secrets.randbits(SEED_BITS)
    print(f"seed {drawn}", file=sys.stderr)
    return drawn


def add_encode(one: argparse.ArgumentParser) -> None:
    one.add_argument("source", type=Path, metavar="IN", help="a picture, or - for standard input")
    one.add_argument("--model", default="digits-vae", help="one that `denoir models` lists (default: digits-vae)")
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")


def encode(asked: argparse.Namespace) -> int:
    """Print the code of a picture, as JSON.

    Pictures of another size are fitted into the model's; what is transparent is shown on white, unless the model knows
    transparency.
    """
    model = checkpoints.load(able(asked, "encode").folder)
    picture = images.read(read(asked.source))
    code, placement = inference.encoded(session_of(model, asked), picture.seen(model.network.needs.channels))
    fitted = None if placement.untouched else asdict(placement)
    numbers = [float(str(number)) for number in code]  # as short as 32 bits allow
    answer = {"model": model.description.title, "code": numbers, "zeros": float((code == 0).mean()), "fitted": fitted}
    print(json.dumps(answer))
    return 0
