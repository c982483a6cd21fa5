"""The verbs that go through codes: decode, interpolate, traverse. The same pictures as the service draws."""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models import images, inference, sampling
from models.arguments import above_zero, device, seed, several, temperature, whole
from models.cli.drawing import add_film, put_together, ready_to_draw, seed_of, written_to
from models.cli.places import check_apart, read
from models.cli.writing import add_written
from models.sessions import Session

USUAL = "digits-vae"


def add_drawn(one: argparse.ArgumentParser, model: str | None = USUAL) -> None:
    """What the three have in common; `model` is the one asked unless another is named."""
    one.add_argument("target", type=Path, metavar="OUT", help="a file for one grid of all, a folder for single PNGs")
    otherwise = model or f"the one that IN names, or {USUAL}"
    one.add_argument("--model", default=model, help=f"one that `denoir models` lists (default: {otherwise})")
    add_film(one)
    add_written(one)
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")


def add_decode(one: argparse.ArgumentParser) -> None:
    one.add_argument("source", type=Path, metavar="IN", help="JSON as `encode` prints it, or - for standard input")
    add_drawn(one, None)


def decode(asked: argparse.Namespace) -> int:
    """Make pictures of codes.

    IN holds `code`, a list of numbers, whose picture is written as it is, or `codes`, several such lists; and the
    `model` that they are of, as `encode` tells it.
    """
    told = told_in(read(asked.source))
    asked.model = asked.model or told.model or USUAL
    session = ready_to_draw(asked, "decode")
    if told.codes.shape[1] != session.needs.latent or not np.isfinite(told.codes).all():
        raise ValueError(f"each code of {session.title} has {session.needs.latent} finite numbers")
    put_together(asked, inference.decode_codes(session, told.codes), alone=told.alone)
    return 0


class Told(NamedTuple):
    """Codes `n k` as they came, whether it is `alone` and no list of codes, and the model that they are said to be
    of."""

    codes: np.ndarray
    alone: bool
    model: str | None


def told_in(data: bytes) -> Told:
    """What JSON tells of codes. Raises ValueError where it tells of none."""
    try:
        told = json.loads(data)
        alone, model = "codes" not in told, told.get("model")
        codes = np.array([told["code"]] if alone else told["codes"], np.float32)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError('the JSON is to hold "code", a list of numbers, or "codes", a list of such lists') from error
    if codes.ndim != 2:
        raise ValueError("a code is a list of numbers")
    if not isinstance(model, str | None):
        raise ValueError('"model" is the name of one')
    return Told(codes, alone, model)


def add_interpolate(one: argparse.ArgumentParser) -> None:
    for name, metavar in (("first", "FROM"), ("last", "TO")):
        one.add_argument(name, metavar=metavar, type=seed_or_picture, help="a seed, or a picture")
    add_drawn(one)
    one.add_argument("--steps", type=several, default=8, help="pictures, both ends included (default: 8)")
    one.add_argument("--path", choices=sorted(sampling.PATHS), default="sphere", help="default: sphere")
    one.add_argument("--temperature", type=temperature, default=1.0, help="of seeds, 0 to 2 (default: 1)")


def seed_or_picture(text: str) -> str:
    """The word, found to be a seed where it is a number. Raises ArgumentTypeError."""
    if text.isdecimal():
        seed(text)
    return text


def interpolate(asked: argparse.Namespace) -> int:
    """Draw the way from one picture to another, through their codes.

    FROM and TO are each a seed, whose first picture it is, or the file of a picture.
    """
    files = [Path(word) for word in (asked.first, asked.last) if not word.isdecimal()]
    check_apart(files, written_to(asked.target, asked.steps))
    seeds = len(files) < 2
    needed = ["interpolate"] if seeds else ["encode", "decode"]  # who asks of pictures needs no prior
    session = ready_to_draw(asked, "interpolate", *needed)
    first, last = (end(session, word, asked.temperature) for word in (asked.first, asked.last))
    codes = sampling.between(first, last, asked.steps, asked.path)
    put_together(asked, inference.decode_codes(session, codes))
    return 0


def end(session: Session, word: str, warmth: float) -> np.ndarray:
    """The code `k` of a seed's first picture, or of a picture in a file."""
    if word.isdecimal():
        return session.draw(seed(word), 0, 1, warmth)[0]
    picture = images.read(Path(word).read_bytes())
    return inference.encoded(session, picture.seen(session.needs.channels))[0]


def add_traverse(one: argparse.ArgumentParser) -> None:
    add_drawn(one)
    one.add_argument("--seed", type=seed, help="whose first picture is moved (default: drawn, and told)")
    one.add_argument(
        "--directions", type=directions, default=(0,), help="one index of the code, or two: 3,7 (default: 0)"
    )
    one.add_argument("--span", type=above_zero, default=3.0, help="how far either way (default: 3)")
    one.add_argument("--steps", type=several, default=7, help="places along each direction (default: 7)")
    one.add_argument("--temperature", type=temperature, default=1.0, help="0 to 2 (default: 1)")


def directions(text: str) -> tuple[int, ...]:
    """One or two indices."""
    found = tuple(whole(word) for word in text.split(","))
    if len(found) > 2 or min(found) < 0 or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not one index, or two that differ, such as 3,7")
    return found


def traverse(asked: argparse.Namespace) -> int:
    """Show what one or two numbers of a code do: a seed's picture, with these moved from -SPAN to SPAN."""
    session = ready_to_draw(asked, "traverse")
    if max(asked.directions) >= (session.needs.latent or 0):
        raise ValueError(f"a direction is 0 to {(session.needs.latent or 0) - 1}, an index of the model's code")
    code = session.draw(seed_of(asked), 0, 1, asked.temperature)[0]
    moved = sampling.around(code, asked.directions, asked.span, asked.steps)
    put_together(asked, inference.decode_codes(session, moved), columns=asked.steps)
    return 0
