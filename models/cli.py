"""The verbs that need no server: train, evaluate, denoise, sample and the others that ask models, models.

argparse, because training must run where only torch, numpy, safetensors, Pillow and tqdm are (`python -m models`).
"""

import argparse
import json
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from models import catalog, checkpoints, data, images, inference, letterbox, noise, sampling, training
from models.arguments import SEED_BITS, above_zero, count, device, level, positive, seed, share, side, temperature
from models.catalog import SHIPPED, Catalog, UnknownModel
from models.checkpoints import CheckpointError, Model
from models.data import DataError
from models.images import ANSWERED, FORMATS, WRITTEN, Picture, PictureError
from models.inference import Session
from models.recipes import RECIPES
from models.training import Stopped

MISTAKES = (
    CheckpointError,
    DataError,
    PictureError,
    UnknownModel,
    ValueError,
    OSError,
    ArithmeticError,
    MemoryError,
    torch.OutOfMemoryError,
)
"""What a user can do something about; told in a sentence. Anything else is our own mistake, and shows its trace."""

Verb = Callable[[argparse.Namespace], int]


def main(argv: list[str] | None = None) -> int:
    """The verbs of this package alone, for machines without the service's libraries."""
    return run(parser("python -m models"), argv)


def run(commands: argparse.ArgumentParser, argv: list[str] | None) -> int:
    """Carries out one command; returns its exit code: 0 done, 1 it couldn't, 2 asked wrongly, 130 interrupted."""
    asked = commands.parse_args(argv)
    try:
        return asked.verb(asked)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        return 130
    except MISTAKES as error:
        print(f"{commands.prog}: {told(error)}", file=sys.stderr)
        return 1


def told(error: BaseException) -> str:
    """What went wrong, in a sentence: of the system's errors, without their number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def parser(program: str, shelf: Path | None = None, graphs: Path | None = None) -> argparse.ArgumentParser:
    """The command line of the verbs below; `shelf` is where checkpoints are kept, which must be told where it is None;
    `graphs` where compiled graphs are kept."""
    commands = argparse.ArgumentParser(program, description="Trains autoencoders on pictures and asks them.")
    commands.set_defaults(graphs=graphs)
    told = f"folder of trained checkpoints (default: {shelf})" if shelf else "folder of trained checkpoints"
    commands.add_argument("--shelf", type=Path, default=shelf, required=shelf is None, metavar="FOLDER", help=told)
    verbs = commands.add_subparsers(required=True, metavar="VERB")
    for name, (add, verb) in VERBS.items():
        one = verbs.add_parser(name, help=first_line(verb), description=verb.__doc__)
        add(one)
        one.set_defaults(verb=verb)
    return commands


def first_line(verb: Verb) -> str:
    return (verb.__doc__ or "").partition("\n")[0]


def add_train(one: argparse.ArgumentParser) -> None:
    one.add_argument("recipe", choices=sorted(RECIPES), metavar="RECIPE", help=", ".join(sorted(RECIPES)))
    one.add_argument("--data", type=Path, required=True, help="folder or zip of pictures, folder of idx files, or .npz")
    one.add_argument("--name", help="what the model will be called (default: the recipe's name)")
    one.add_argument("--steps", type=positive, help="stop after so many steps (default: the recipe's)")
    one.add_argument("--minutes", type=above_zero, help="stop after so many minutes of training")
    one.add_argument("--batch", type=positive, help="pictures or crops in a step (default: the recipe's)")
    one.add_argument("--rate", type=above_zero, help="learning rate at its highest (default: the recipe's)")
    one.add_argument("--size", type=side, help="side in pixels that pictures are brought to, or of crops")
    one.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the network")
    one.add_argument(
        "--objective", action="append", default=[], metavar="NAME=VALUE", help="a setting of the loss, such as beta=4"
    )
    one.add_argument("--seed", type=seed, default=0, help="of everything that is drawn (default: 0)")
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")
    one.add_argument(
        "--compile", choices=("auto", "on", "off"), default="auto", help="compile the network (default: auto)"
    )
    one.add_argument("--state", type=Path, help="where the run's state is kept (default: on the shelf, until it ends)")
    one.add_argument("--start-from", metavar="MODEL", help="begin with the weights of a model on the shelf")
    one.add_argument("--half", action="store_true", help="store 16-bit weights: half the file")
    one.add_argument("--quiet", action="store_true", help="no bar, no words")


def train(asked: argparse.Namespace) -> int:
    """Train a model on a folder of pictures.

    Interrupted (Ctrl-C, SIGTERM, a lost machine), the same command goes on where it was.
    """
    shelf = Catalog.of(SHIPPED, asked.shelf)
    name = asked.recipe if asked.name is None else asked.name
    if not checkpoints.NAME.fullmatch(name):
        raise ValueError(f"a name is made of a-z, 0-9, dot, dash and underscore; {name!r} is not")
    version = shelf.next_version(name)
    folder = asked.shelf / (name if version == "1" else f"{name}@{version}")
    plan = training.plan_for(
        asked.recipe,
        **chosen(
            asked, "data", "steps", "minutes", "batch", "rate", "size", "seed", "device", "compile", "half", "quiet"
        ),
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
    one.add_argument("model", help="name, or name@version")
    one.add_argument("--data", type=Path, required=True, help="test pictures: a folder, a zip, idx files or .npz")
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")
    one.add_argument("--tile", type=positive, default=512, help="longest side of a tile (default: 512)")
    one.add_argument("--limit", type=positive, default=0, help="measure on the first so many pictures alone")
    one.add_argument(
        "--samples",
        type=count,
        default=1000,
        help="draws of each picture's code for a VAE's likelihood, hours on a CPU; 0 for none (default: 1000)",
    )


def evaluate(asked: argparse.Namespace) -> int:
    """Measure a model on test pictures, and write its card."""
    from models import evaluation  # needs torchmetrics, which a machine that only trains may lack

    entry = Catalog.of(SHIPPED, asked.shelf).find(asked.model)
    report = evaluation.evaluate(entry.folder, asked.data, asked.device, asked.tile, asked.limit, asked.samples)
    print(evaluation.as_markdown(report.table))
    for title, table in report.more.items():
        print(f"\n{title}:\n{evaluation.as_markdown(table)}")
    for name, value in report.figures.items():
        print(f"{name}: {evaluation.shown(value)}")
    return 0


def add_pictures(one: argparse.ArgumentParser, model: str) -> None:
    """What every verb takes that makes pictures of pictures; `model` is the one asked unless another is named."""
    one.add_argument("source", type=Path, metavar="IN", help="a picture, or a folder of pictures")
    one.add_argument("target", type=Path, metavar="OUT", help="a file, or a folder for the answers")
    one.add_argument("--model", default=model, help=f"name, or name@version (default: {model})")
    one.add_argument(
        "--format", choices=sorted(WRITTEN), help="of the answers (default: as the name of OUT says, or IN's)"
    )
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")


def add_denoise(one: argparse.ArgumentParser) -> None:
    add_pictures(one, "photo")
    one.add_argument(
        "--sigma", type=level, help="noise level in 8-bit grey levels, 0 to 100; left out, it is estimated"
    )
    one.add_argument("--strength", type=share, default=1.0, help="how much of the change is made, 0 to 1 (default: 1)")
    one.add_argument("--tile", type=positive, default=512, help="longest side of a tile (default: 512)")


def denoise(asked: argparse.Namespace) -> int:
    """Take the noise out of a picture, or of all pictures in a folder."""
    return each_picture(asked, "denoise", cleaned)


def reconstruct(asked: argparse.Namespace) -> int:
    """Show what an autoencoder makes of a picture's code, or of those of all pictures in a folder.

    Pictures of another size are fitted into the model's, what is transparent shown on white.
    """
    return each_picture(asked, "reconstruct", rebuilt)


def colorize(asked: argparse.Namespace) -> int:
    """Colour a grey picture, or all pictures in a folder; of pictures in colour the lightness is taken."""
    return each_picture(asked, "colorize", coloured)


Answer = Callable[[Session, Picture, argparse.Namespace], Picture]
"""(session, a picture, what was asked) -> the answer, for which the picture's own pixels may be used."""


def each_picture(asked: argparse.Namespace, ask: str, answer: Answer) -> int:
    """Answers each picture of IN in its place in OUT, past those that can't be done."""
    entry = able(asked, ask)
    pairs = apart(targets(asked.source, asked.target, asked.format))
    if asked.graphs and inference.chosen_device(asked.device).type == "cpu":
        inference.draw_apart(entry.folder, (ask,), asked.graphs)
    session = session_of(checkpoints.load(entry.folder), asked)
    failed = []
    for source, target in (bar := tqdm(pairs, unit="picture", disable=len(pairs) == 1)):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            answered(session, source, target, answer, asked)
        except UNFIT as error:
            failed.append(f"{source}: {told(error)}")
            bar.write(failed[-1], file=sys.stderr)
    if len(pairs) > 1 and failed:
        print(f"{len(failed)} of {len(pairs)} pictures could not be done", file=sys.stderr)
    return 1 if failed else 0


def answered(session: Session, source: Path, target: Path, answer: Answer, asked: argparse.Namespace) -> None:
    """Writes the answer to one picture, with what the camera noted of it; a link stays one, to what is written."""
    picture, notes = opened(source)
    picture = answer(session, picture, asked)
    form = asked.format or format_named(target) or ANSWERED[picture.format]
    with checkpoints.replacing(target.resolve()) as stream:
        images.save(picture, form, stream, metadata=notes)


def opened(source: Path) -> tuple[Picture, bytes | None]:
    """A picture, and what the camera noted of it."""
    data = source.read_bytes()
    notes = images.exif_of(data)  # first, as for this a PNG is decoded as well, and then there would be two of it
    return images.read(data), notes


UNFIT = (PictureError, inference.WrongSize, letterbox.CannotFit, inference.NotFinite, OSError)
"""What can be wrong with one picture and not with the next."""


def cleaned(session: Session, picture: Picture, asked: argparse.Namespace) -> Picture:
    """One picture, cleaned where it stands."""
    sigma = 0.0
    if session.needs.level:
        sigma = noise.estimate(picture.pixels, picture.alpha) if asked.sigma is None else asked.sigma
    with progress_bar(picture) as bar:
        pixels = inference.restored(
            session,
            picture.pixels,
            sigma,
            inference.tiling_for(session.needs, asked.tile),
            lambda share: bar.update(share * bar.total - bar.n),
            alpha=picture.alpha,
            strength=asked.strength,
            into=picture.pixels,
        )
    return replace(picture, pixels=pixels)


def progress_bar(picture: Picture) -> tqdm:
    """Of one picture in megapixels, shown where it takes longer than a moment, and gone when it is done."""
    return tqdm(
        total=picture.width * picture.height / 1e6,
        delay=MOMENT,
        leave=False,
        bar_format="{l_bar}{bar}| {n:.1f} of {total:.1f} megapixels [{elapsed}<{remaining}]",
    )


MOMENT = 2.0
"""Seconds."""


def rebuilt(session: Session, picture: Picture, asked: argparse.Namespace) -> Picture:
    """One picture, rebuilt from its code."""
    pixels, _ = inference.reconstructed(session, data.on_white(picture))
    return recoloured(replace(picture, alpha=None), pixels)


def coloured(session: Session, picture: Picture, asked: argparse.Namespace) -> Picture:
    """One picture in colour, transparent where it was."""
    return recoloured(picture, inference.colorized(session, picture.pixels))


def recoloured(picture: Picture, pixels: images.Pixels) -> Picture:
    """The picture with other pixels; a profile for grey doesn't hold for colours, nor the other way round."""
    same = picture.pixels.shape[2] == pixels.shape[2]
    return replace(picture, pixels=pixels, profile=picture.profile if same else None)


def add_encode(one: argparse.ArgumentParser) -> None:
    one.add_argument("source", type=Path, metavar="IN", help="a picture")
    one.add_argument("--model", default="digits-vae", help="name, or name@version (default: digits-vae)")
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")


def encode(asked: argparse.Namespace) -> int:
    """Print the code of a picture, as JSON.

    Pictures of another size are fitted into the model's, what is transparent shown on white.
    """
    model = checkpoints.load(able(asked, "encode").folder)
    picture = images.read(asked.source.read_bytes())
    code, placement = inference.encoded(session_of(model, asked), data.on_white(picture))
    fitted = None if placement.untouched else asdict(placement)
    numbers = [float(str(number)) for number in code]  # as short as 32 bits allow
    answer = {"model": model.description.title, "code": numbers, "zeros": float((code == 0).mean()), "fitted": fitted}
    print(json.dumps(answer))
    return 0


def targets(source: Path, target: Path, form: str | None) -> Iterator[tuple[Path, Path]]:
    """Each picture, and where its answer goes; what lies in OUT is not taken from IN. Raises DataError for none."""
    if source.is_file():
        to_folder = target.is_dir() or not target.suffix
        form = form or (None if to_folder else format_named(target))
        yield source, with_suffix(target / source.name, form) if to_folder else target
        return
    known = {suffix for one in FORMATS.values() for suffix in one.suffixes}
    found = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in known and not path.is_dir()]
    if source.resolve() in target.resolve().parents:
        found = [path for path in found if target.resolve() not in path.resolve().parents]
    if not found:
        raise DataError(f"no pictures in {source}" if source.exists() else f"there is no {source}")
    if target.is_file():
        raise DataError(f"{source} is a folder, so its answers need a folder; {target} is a file")
    if target.resolve() == source.resolve():
        raise DataError(f"{source} and {target} are the same folder; name another for the answers")
    for path in found:
        yield path, with_suffix(target / path.relative_to(source), form)


def with_suffix(path: Path, form: str | None) -> Path:
    """The path named as of a format; unless one is given, of that which its name says, if that is written."""
    came = named(path)
    form = form or (ANSWERED[came] if came and came not in WRITTEN else None)
    return path.with_suffix(FORMATS[form].suffixes[0]) if form else path


def apart(pairs: Iterable[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """The same, found to be safe: no answer takes the place of a picture or of another answer. Raises DataError."""
    pairs = list(pairs)
    sources = {source.resolve() for source, _ in pairs}
    taken: dict[Path, Path] = {}
    for source, target in pairs:
        place = target.resolve()
        if place in sources:
            raise DataError(f"the answer to {source} would overwrite {target}, which is to be read; name another OUT")
        if place in taken:
            raise DataError(f"the answers to {taken[place]} and {source} would both be {target}; rename one of them")
        taken[place] = source
    return pairs


def keep(target: Path, answer: bytes) -> None:
    """Writes an answer whole or not at all; where `target` is a link, what it points to."""
    checkpoints.replace_file(target.resolve(), answer)


def format_named(path: Path) -> str | None:
    """The format that a file's name asks for. Raises DataError for one that is only read."""
    form = named(path)
    if form and form not in WRITTEN:
        raise DataError(
            f"{FORMATS[form].label} is read, but not written: name {path.name} as one of {', '.join(WRITTEN)}"
        )
    return form


def named(path: Path) -> str | None:
    """The format that a file is of, by its name."""
    return next((name for name, one in FORMATS.items() if path.suffix.lower() in one.suffixes), None)


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
        keep(asked.target, images.write(Picture(sampling.grid(pictures)), form))
        return 0
    for number, picture in enumerate(pictures):
        keep(asked.target / f"{number:06d}.png", images.write(Picture(picture), "png"))
    return 0


def seed_of(asked: argparse.Namespace) -> int:
    """The seed asked for; else one that is drawn, and told so that the same pictures can be asked for again."""
    if asked.seed is not None:
        return asked.seed
    drawn = secrets.randbits(SEED_BITS)
    print(f"seed {drawn}", file=sys.stderr)
    return drawn


def session_of(model: Model, asked: argparse.Namespace) -> Session:
    """The model ready to be asked on the device asked for."""
    described = model.description
    return Session(
        model.network, inference.chosen_device(asked.device), described.title, described.sha256, asked.graphs
    )


def able(asked: argparse.Namespace, task: str) -> catalog.Entry:
    """The model asked for, if it can do what it is asked."""
    entry = Catalog.of(SHIPPED, asked.shelf).find(asked.model)
    if task not in entry.description.asks:
        raise ValueError(
            f"{entry.description.title} can't {task}; it can: {', '.join(entry.description.asks) or 'nothing'}"
        )
    return entry


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


VERBS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], Verb]] = {
    "train": (add_train, train),
    "evaluate": (add_evaluate, evaluate),
    "denoise": (add_denoise, denoise),
    "sample": (add_sample, sample),
    "reconstruct": (partial(add_pictures, model="digits-vae"), reconstruct),
    "encode": (add_encode, encode),
    "colorize": (partial(add_pictures, model="colorize"), colorize),
    "models": (add_models, models),
    "prepare": (add_prepare, prepare),
}
