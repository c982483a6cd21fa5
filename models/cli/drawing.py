"""The verbs of those with a code: sample, encode."""

import argparse
import json
import secrets
import sys
from dataclasses import asdict
from pathlib import Path

from models import checkpoints, images, inference, sampling
from models.arguments import SEED_BITS, device, positive, seed, temperature
from models.cli.places import format_named, keep
from models.cli.shelf import able, session_of
from models.images import Picture


def add_sample(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "target", type=Path, metavar="OUT", help="a picture file for one grid, or a folder for single PNGs"
    )
    one.add_argument("--model", default="digits-vae", help="name, or name@version (default: digits-vae)")
    one.add_argument("-n", type=positive, default=16, help="how many (default: 16)")
    one.add_argument("--seed", type=seed, help="picture i of a seed is always the same (default: drawn, and told)")
    one.add_argument("--temperature", type=temperature, default=1.0, help="0 to 2: lower is tamer (default: 1)")
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")


def sample(asked: argparse.Namespace) -> int:
    """Draw new pictures from a variational autoencoder, or from a plain one with a mixture fitted to its codes."""
    session = session_of(checkpoints.load(able(asked, "sample").folder), asked)
    form = format_named(asked.target)
    (asked.target.parent if form else asked.target).mkdir(parents=True, exist_ok=True)
    pictures = inference.decode_codes(session, session.draw(seed_of(asked), 0, asked.n, asked.temperature))
    if form:
        keep(asked.target, images.write(Picture.of(sampling.grid(pictures)), form))
        return 0
    for number, picture in enumerate(pictures):
        keep(asked.target / f"{number:06d}.png", images.write(Picture.of(picture), "png"))
    return 0


def seed_of(asked: argparse.Namespace) -> int:
    """The seed asked for; else one that is drawn, and told so that the same pictures can be asked for again."""
    if asked.seed is not None:
        return asked.seed
    drawn = secrets.randbits(SEED_BITS)
    print(f"seed {drawn}", file=sys.stderr)
    return drawn


def add_encode(one: argparse.ArgumentParser) -> None:
    one.add_argument("source", type=Path, metavar="IN", help="a picture")
    one.add_argument("--model", default="digits-vae", help="name, or name@version (default: digits-vae)")
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")


def encode(asked: argparse.Namespace) -> int:
    """Print the code of a picture, as JSON.

    Pictures of another size are fitted into the model's; what is transparent is shown on white, unless the model knows
    transparency.
    """
    model = checkpoints.load(able(asked, "encode").folder)
    picture = images.read(asked.source.read_bytes())
    code, placement = inference.encoded(session_of(model, asked), picture.seen(model.network.needs.channels))
    fitted = None if placement.untouched else asdict(placement)
    numbers = [float(str(number)) for number in code]  # as short as 32 bits allow
    answer = {"model": model.description.title, "code": numbers, "zeros": float((code == 0).mean()), "fitted": fitted}
    print(json.dumps(answer))
    return 0
