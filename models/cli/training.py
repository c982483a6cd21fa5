"""The verbs that make a model and measure it: train, evaluate."""

import argparse
import json
from pathlib import Path
from typing import Any

from models import checkpoints, training
from models.arguments import above_zero, count, device, positive, seed, share, size
from models.cli.shelf import known
from models.recipes import RECIPES
from models.restore import TILE


def add_train(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "recipe", choices=sorted(RECIPES), metavar="RECIPE", help=f"what to train: {', '.join(sorted(RECIPES))}"
    )
    one.add_argument(
        "--data",
        type=Path,
        required=True,
        help="a folder or zip of pictures, a folder of idx files, as of MNIST, or an .npz with train_images",
    )
    one.add_argument(
        "--scenes",
        type=Path,
        help="a folder or zip with a folder for each still scene, of several shots of it: noise to learn from as it is",
    )
    one.add_argument(
        "--scenes-share", type=share, help="how much of what is learned from is shots of scenes, 0 to 1 (default: 0.5)"
    )
    one.add_argument("--name", help="what the model will be called (default: the recipe's name)")
    one.add_argument("--steps", type=positive, help="stop after so many steps (default: the recipe's)")
    one.add_argument("--minutes", type=above_zero, help="stop after so many minutes of training")
    one.add_argument("--batch", type=positive, help="pictures or crops in a step (default: the recipe's)")
    one.add_argument("--rate", type=above_zero, help="learning rate at its highest (default: the recipe's)")
    one.add_argument(
        "--size",
        type=size,
        metavar="SIDE|WxH",
        help="side in pixels that pictures are brought to, or of crops; for whole pictures also width x height",
    )
    one.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the network, such as 'widths=[16,32]'; may be given again",
    )
    one.add_argument(
        "--objective",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the loss, such as beta=4; may be given again",
    )
    one.add_argument("--seed", type=seed, default=0, help="where everything random starts from (default: 0)")
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")
    one.add_argument(
        "--compile",
        choices=("auto", "on", "off"),
        default="auto",
        help="compile the network first (default: auto, where it can be and no kernels of our own are quicker)",
    )
    one.add_argument("--state", type=Path, help="where the run's state is kept (default: on the shelf, until it ends)")
    one.add_argument("--start-from", metavar="MODEL", help="begin with the weights of one that `denoir models` lists")
    one.add_argument("--half", action="store_true", help="store 16-bit weights, or 8-bit where 8 do: half the file")
    one.add_argument("--quiet", action="store_true", help="no bar, no words")


def train(asked: argparse.Namespace) -> int:
    """Train a model on a folder of pictures.

    It lands on the shelf, where the other verbs find it by its name; a name that is taken gets its next version.

    Interrupted (Ctrl-C, SIGTERM, a lost machine), the same command goes on where it was.
    """
    shelf = known(asked)
    name = asked.recipe if asked.name is None else asked.name
    if not checkpoints.NAME.fullmatch(name):
        raise ValueError(f"a name is made of a-z, 0-9, dot, dash and underscore; {name!r} is not")
    version = shelf.next_version(name)
    folder = asked.shelf / (name if version == "1" else f"{name}@{version}")
    if (folder / checkpoints.CONFIG).exists():  # whatever it calls itself
        raise ValueError(f"{folder} holds another checkpoint; choose another --name")
    plan = training.plan_for(
        asked.recipe,
        **chosen(asked, "data", "scenes", "scenes_share", "steps", "minutes", "batch", "rate", "size", "seed"),
        **chosen(asked, "device", "compile", "half", "quiet"),
        name=name,
        version=version,
        state=asked.state or asked.shelf / ".training" / f"{name}@{version}",
        config=settings(asked.set, "--set"),
        aims=settings(asked.objective, "--objective"),
        start_from=shelf.find(asked.start_from).folder if asked.start_from else None,
    )
    described = training.train(plan, folder)
    if not asked.state:
        training.forget(plan.state)
    print(f"{described.title} is on the shelf: {folder}")
    return 0


def chosen(asked: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The flags of those names."""
    return {name: getattr(asked, name) for name in names}


def settings(pairs: list[str], flag: str) -> dict[str, Any]:
    """`NAME=VALUE`s, values as JSON has them. Raises ValueError."""
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{flag} takes NAME=VALUE, not {pair!r}")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def add_evaluate(one: argparse.ArgumentParser) -> None:
    one.add_argument("model", metavar="MODEL", help="one that `denoir models` lists")
    one.add_argument(
        "--data", type=Path, required=True, help="test pictures, as for `train`; of an .npz its test_images"
    )
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")
    one.add_argument(
        "--tile",
        type=positive,
        default=TILE,
        help=f"side of a square of a tile's pixels (default: {TILE})",
    )
    one.add_argument("--limit", type=positive, default=0, help="measure on the first so many alone (default: on all)")
    one.add_argument(
        "--samples",
        type=count,
        default=1000,
        help="draws of each picture's code for a VAE's likelihood, hours on a CPU; 0 for none (default: 1000)",
    )
    one.add_argument(
        "--sheet",
        type=Path,
        nargs="+",
        default=[],
        metavar="PHOTO",
        help="photographs for the contact sheet, where those that are measured may not be passed on",
    )


def evaluate(asked: argparse.Namespace) -> int:
    """Measure a model on test pictures, and write its card.

    The card, README.md, goes beside the model's weights, with metrics.json and a contact sheet.
    """
    from models import evaluation  # needs torchmetrics, which a machine that only trains may lack

    entry = known(asked).find(asked.model)
    limits = asked.tile, asked.limit, asked.samples
    report = evaluation.evaluate(entry.folder, asked.data, asked.device, *limits, asked.sheet)
    print(evaluation.as_markdown(report.table))
    for title, table in report.more.items():
        print(f"\n{title}:\n{evaluation.as_markdown(table)}")
    for name, value in report.figures.items():
        print(f"{name}: {evaluation.shown(value)}")
    return 0
