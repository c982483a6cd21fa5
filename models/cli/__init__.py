"""The verbs that need no server: train, evaluate, denoise, sample and the others that ask models, models.

argparse, because training must run where only torch, numpy, safetensors, Pillow and tqdm are (`python -m models`).
"""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from models.cli.drawing import add_encode, add_sample, encode, sample
from models.cli.mistakes import is_mistake, told
from models.cli.pictures import add_denoise, add_pictures, colorize, denoise, reconstruct
from models.cli.shelf import add_models, add_prepare, models, prepare
from models.cli.training import add_evaluate, add_train, evaluate, train
from models.cli.ways import add_decode, add_interpolate, add_traverse, decode, interpolate, traverse
from models.cli.words import Parser, Verb, add_verb, shown
from models.training import Stopped


def main(argv: list[str] | None = None) -> int:
    """The verbs of this package alone, for machines without the service's libraries."""
    return run(parser("python -m models"), argv)


def run(commands: argparse.ArgumentParser, argv: list[str] | None) -> int:
    """Carries out one command; returns its exit code: 0 done, 1 it couldn't, 2 asked wrongly, 130 interrupted."""
    if not (sys.argv[1:] if argv is None else argv):
        commands.print_help(sys.stderr)
        return 2
    asked = commands.parse_args(argv)
    try:
        return asked.verb(asked)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read what is printed has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if not is_mistake(error):
            raise
        print(f"{commands.prog}: {told(error)}", file=sys.stderr)
        return 1


def parser(program: str, shelf: Path | None = None, graphs: Path | None = None) -> argparse.ArgumentParser:
    """The command line of the verbs below; `shelf` is where checkpoints are kept, which must be told where it is None;
    `graphs` where compiled graphs are kept."""
    commands = Parser(program, description=ABOUT, epilog=shown(("denoise noisy.jpg clean.jpg", "denoise --help")))
    commands.set_defaults(graphs=graphs)
    told = f"folder of trained checkpoints (default: {shelf})" if shelf else "folder of trained checkpoints"
    commands.add_argument("--shelf", type=Path, default=shelf, required=shelf is None, metavar="FOLDER", help=told)
    verbs = commands.add_subparsers(required=True, title="verbs", metavar="VERB")
    for name, (add, verb) in VERBS.items():
        add(add_verb(verbs, name, verb, *EXAMPLES[name]))
    return commands


ABOUT = """Takes the noise out of pictures, colours them and draws new ones, with autoencoders; trains those, too.

Each verb has a help of its own.
"""

VERBS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], Verb]] = {
    "denoise": (add_denoise, denoise),
    "colorize": (partial(add_pictures, model="colorize"), colorize),
    "sample": (add_sample, sample),
    "interpolate": (add_interpolate, interpolate),
    "traverse": (add_traverse, traverse),
    "reconstruct": (partial(add_pictures, model="digits-vae"), reconstruct),
    "encode": (add_encode, encode),
    "decode": (add_decode, decode),
    "train": (add_train, train),
    "evaluate": (add_evaluate, evaluate),
    "models": (add_models, models),
    "prepare": (add_prepare, prepare),
}

EXAMPLES = {
    "train": (
        "train vae --data scans --name scans --minutes 60",
        "train photo --data photos --set 'widths=[32, 64]'",
    ),
    "evaluate": ("evaluate photo --data clean_photos", "evaluate digits-vae --data mnist --limit 500 --samples 0"),
    "denoise": (
        "denoise noisy.jpg clean.png",
        "denoise photos out --format webp --quality 95 --compare",
        "denoise - - --sigma 25 < noisy.png > clean.png",
    ),
    "sample": ("sample digits.png --seed 7 -n 16", "sample emoji.webp --model emoji-vae --film"),
    "reconstruct": ("reconstruct scan.png rebuilt.png", "reconstruct scans out --model digits-sparse --compare"),
    "encode": ("encode scan.png", "encode - --model emoji-vae < emoji.png > code.json"),
    "decode": ("decode code.json rebuilt.png", "decode - rebuilt.png --model emoji-vae < code.json"),
    "interpolate": ("interpolate 7 8 way.png", "interpolate three.png eight.png way.webp --film --steps 24"),
    "traverse": ("traverse row.png --seed 7 --directions 3", "traverse grid.png --seed 7 --directions 3,7"),
    "colorize": ("colorize grey.jpg colour.jpg", "colorize album out --quality 95"),
    "models": ("models", "models --json"),
    "prepare": ("prepare", "prepare --device cpu"),
}
"""Of each verb, as its help ends with them."""
