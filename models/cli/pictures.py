"""The verbs that make pictures of pictures: denoise, reconstruct, colorize."""

import argparse
import errno
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from models import checkpoints, denoisers, images, inference, letterbox, sessions
from models.arguments import device, level, positive, share
from models.catalog import Entry
from models.cli.comparison import check_both_fit, side_by_side
from models.cli.mistakes import told
from models.cli.places import Errand, apart, check_place, format_named, read, targets, writing
from models.cli.shelf import able_of, known, session_of
from models.cli.writing import add_written, written
from models.denoisers import CAMERA, WHITE
from models.images import ANSWERED, USUAL, WRITTEN, Limits, Picture, PictureError
from models.restore import TILE
from models.sessions import Session


def add_pictures(one: argparse.ArgumentParser, model: str | None, otherwise: str = "") -> None:
    """What every verb takes that makes pictures of pictures; `model` is the one asked unless another is named, or
    `otherwise` says which."""
    one.add_argument("source", type=Path, metavar="IN", help="a picture, a folder of pictures, or - for standard input")
    one.add_argument(
        "target", type=Path, metavar="OUT", help="a file, a folder for the answers, or - for standard output"
    )
    one.add_argument("--model", default=model, help=f"one that `denoir models` lists (default: {model or otherwise})")
    one.add_argument(
        "--format",
        choices=sorted(WRITTEN),
        metavar="FORMAT",
        help=f"of the answers: {', '.join(sorted(WRITTEN))} (default: as OUT is named, or as IN is)",
    )
    add_written(one)
    one.add_argument("--compare", action="store_true", help="write before and after side by side too, as NAME-compare")
    one.add_argument(
        "--again",
        action="store_true",
        help="do pictures of a folder again that have an answer already; else an answer that is not older than its "
        "picture is let be, even one made with other settings",
    )
    one.add_argument(
        "--max-pixels",
        type=positive,
        default=USUAL.max_pixels,
        metavar="COUNT",
        help=f"refuse pictures of more pixels than these (default: {USUAL.max_pixels})",
    )
    one.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda, cuda:N (default: auto)")


def add_denoise(one: argparse.ArgumentParser) -> None:
    add_pictures(
        one,
        None,
        f"{WHITE} where --sigma is told or white noise is found, else {CAMERA}",
    )
    one.add_argument(
        "--sigma", type=level, help="noise level in 8-bit grey levels, 0 to 100 (default: estimated from each picture)"
    )
    one.add_argument(
        "--strength", type=share, default=1.0, help="how much of the change is made, 0 to 1 (default: 1, all)"
    )
    one.add_argument(
        "--tile",
        type=positive,
        help=f"side of a square of a tile's pixels (default: {TILE}; {SMALL_TILE}, or {SMALLER_TILE} on a processor "
        f"without bf16, for pictures of more than {LARGE / 1e6:g} megapixels, to take less memory)",
    )


def denoise(asked: argparse.Namespace) -> int:
    """Take the noise out of a picture, or of all pictures in a folder."""
    answer = suited if asked.model is None and asked.sigma is None else cleaned
    asked.model = WHITE if asked.model is None else asked.model
    return each_picture(asked, "denoise", answer)


def reconstruct(asked: argparse.Namespace) -> int:
    """Show what an autoencoder makes of a picture's code, or of those of all pictures in a folder.

    Pictures of another size are fitted into the model's, what is transparent shown on white, unless the model knows
    transparency.
    """
    return each_picture(asked, "reconstruct", rebuilt)


def colorize(asked: argparse.Namespace) -> int:
    """Colour a grey picture, or all pictures in a folder; of pictures in colour the lightness is taken."""
    return each_picture(asked, "colorize", coloured)


class Sessions:
    """Models that can do one task, made ready when they are first asked."""

    def __init__(self, asked: argparse.Namespace, task: str):
        self.asked, self.task = asked, task
        self.catalog = known(asked)
        self.named = able_of(self.catalog, asked, task)
        self.ready: dict[Path, Session] = {}

    def of(self, entry: Entry) -> Session:
        """Raises CheckpointError."""
        if entry.folder not in self.ready:
            if self.asked.graphs and sessions.chosen_device(self.asked.device).type == "cpu":
                sessions.draw_apart(entry.folder, (self.task,), self.asked.graphs)
            self.ready[entry.folder] = session_of(checkpoints.load(entry.folder), self.asked)
        return self.ready[entry.folder]


Answer = Callable[[Sessions, Picture, argparse.Namespace], Picture]
"""(models, a picture, what was asked) -> the answer, for which the picture's own pixels may be used."""


def each_picture(asked: argparse.Namespace, ask: str, answer: Answer) -> int:
    """Answers each picture of IN in its place in OUT, past those that can't be done, which are listed at the end."""
    sessions = Sessions(asked, ask)
    errands = errands_of(asked)
    if not errands:
        return 0
    if asked.source.is_dir():
        checkpoints.check_writable(asked.target)  # told once, and not of each picture
    failed: list[str] = []
    try:
        run_errands(errands, failed, lambda errand: answered(sessions, errand, answer, asked))
    finally:  # interrupted too
        if failed and len(errands) > 1:
            print(f"{len(failed)} of {len(errands)} pictures could not be done:", file=sys.stderr)
        for line in failed:
            print(line, file=sys.stderr)
    return 1 if failed else 0


def errands_of(asked: argparse.Namespace) -> list[Errand]:
    """What is to be done, found to be safe. Raises DataError."""
    errands = apart(targets(asked.source, asked.target, asked.format), asked.compare)
    if asked.again or not asked.source.is_dir():
        return errands
    left = [errand for errand in errands if not errand.done(asked.compare)]
    if skipped := len(errands) - len(left):
        print(f"{skipped} of {len(errands)} pictures are done already; --again does them too", file=sys.stderr)
    return left


def run_errands(errands: list[Errand], failed: list[str], run: Callable[[Errand], float]) -> None:
    """Runs each, which tells its megapixels, behind a bar; `failed` is given what could not be done, and why.

    The bar counts what was done. What was not is taken from what there is to do, or it would pass for speed. Where
    standard error is no terminal there is no bar: in a log it would be a line for each of its steps.
    """
    megapixels = 0.0
    with tqdm(total=len(errands), bar_format=BAR, disable=None if len(errands) > 1 else True) as bar:
        for errand in errands:
            try:
                megapixels += run(errand)
                done = 1
            except Exception as error:
                if not of_one_picture(error):
                    raise
                failed.append(f"{errand.source}: {told(error)}")
                bar.total, done = bar.total - 1, 0
            bar.set_postfix_str(pace(megapixels, bar.format_dict["elapsed"], len(failed)), refresh=False)
            bar.update(done)


BAR = "{l_bar}{bar}| {n_fmt} of {total_fmt} pictures in {elapsed}, {remaining} left{postfix}"


def pace(megapixels: float, seconds: float, failed: int) -> str:
    """What stands behind the bar."""
    speed = f"{megapixels / seconds:.2f} megapixels/s" if megapixels and seconds else ""
    return ", ".join(word for word in (speed, f"{failed} failed" if failed else "") if word)


def answered(sessions: Sessions, errand: Errand, answer: Answer, asked: argparse.Namespace) -> float:
    """Writes the answer to one picture, with what the camera noted of it; returns its megapixels."""
    for place in errand.written(asked.compare):
        check_place(place)
    picture, notes = opened(read(errand.source), Limits(asked.max_pixels))
    form = asked.format or format_named(errand.target) or ANSWERED[picture.format]
    if answer is not rebuilt:  # whose answer has the model's size
        images.check_fits(picture.width, picture.height, form)  # before hours of work, not after
        if asked.compare:
            check_both_fit(picture, form)
    before = replace(picture, pixels=picture.pixels.copy()) if asked.compare else None
    picture = answer(sessions, picture, asked)
    with writing(errand.target) as stream:
        images.save(picture, form, stream, metadata=notes, **written(asked))
    if before is not None:
        with writing(errand.comparison) as stream:
            images.save(side_by_side(before, picture), form, stream, **written(asked))
    return picture.width * picture.height / 1e6


def opened(data: bytes, limits: Limits) -> tuple[Picture, bytes | None]:
    """A picture, and what the camera noted of it."""
    notes = images.exif_of(data, limits)  # first, as for this a PNG is decoded as well: there would be two of it
    return images.read(data, limits), notes


UNFIT = (PictureError, inference.WrongSize, letterbox.CannotFit, inference.NotFinite)
"""What can be wrong with one picture and not with the next; so can memory, and what the system says of a file."""
FOR_ALL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EPIPE)
"""Of what the system says that which is wrong with all that follow."""


def of_one_picture(error: Exception) -> bool:
    """Whether what went wrong with one picture need not go wrong with the next."""
    if isinstance(error, OSError):
        return error.errno not in FOR_ALL
    return isinstance(error, UNFIT) or sessions.lacks_memory(error)


def cleaned(sessions: Sessions, picture: Picture, asked: argparse.Namespace) -> Picture:
    """One picture, cleaned by the model that was named."""
    session, sigma = sessions.of(sessions.named), asked.sigma
    if sigma is not None and not session.needs.level:
        raise ValueError(f"{session.title} is told no level; leave --sigma out")
    if session.needs.level and sigma is None:
        sigma = denoisers.found(picture.pixels, picture.alpha).level
    return restored(session, picture, sigma or 0.0, asked)


def suited(sessions: Sessions, picture: Picture, asked: argparse.Namespace) -> Picture:
    """One picture, cleaned by the model that suits its noise."""
    found = denoisers.found(picture.pixels, picture.alpha)
    entry = denoisers.suited(sessions.catalog, found)
    return restored(sessions.of(entry), picture, found.level, asked)


def restored(session: Session, picture: Picture, sigma: float, asked: argparse.Namespace) -> Picture:
    """One picture, cleaned where it stands."""
    with progress_bar(picture) as bar:
        pixels = inference.restored(
            session,
            picture.pixels,
            sigma,
            inference.tiling_for(session.needs, asked.tile or tile_for(picture, session)),
            lambda share: bar.update(share * bar.total - bar.n),
            alpha=picture.alpha,
            strength=asked.strength,
            into=picture.pixels,
        )
    return replace(picture, pixels=pixels)


SMALL_TILE, SMALLER_TILE = 512, 320
"""Side of the tiles of large pictures: 140 MB less, for a tenth more seconds; and in fp32, where that is as much."""
LARGE = 16e6
"""Pixels."""


def tile_for(picture: Picture, session: Session) -> int:
    """The side of its tiles where none is told, so that a picture and its tile are not both large."""
    if picture.width * picture.height <= LARGE:
        return TILE
    return SMALL_TILE if session.low_precision else SMALLER_TILE


def progress_bar(picture: Picture) -> tqdm:
    """Of one picture in megapixels, shown where it takes longer than a moment, and gone when it is done."""
    return tqdm(
        total=picture.width * picture.height / 1e6,
        delay=MOMENT,
        leave=False,
        disable=None,  # where standard error is no terminal
        bar_format="{l_bar}{bar}| {n:.1f} of {total:.1f} megapixels, {remaining} left",
    )


MOMENT = 2.0
"""Seconds."""


def rebuilt(sessions: Sessions, picture: Picture, asked: argparse.Namespace) -> Picture:
    """One picture, rebuilt from its code."""
    session = sessions.of(sessions.named)
    pixels, _ = inference.reconstructed(session, picture.seen(session.needs.channels))
    return picture.repainted(Picture.of(pixels))


def coloured(sessions: Sessions, picture: Picture, asked: argparse.Namespace) -> Picture:
    """One picture in colour, transparent where it was."""
    session = sessions.of(sessions.named)
    return picture.repainted(Picture(inference.colorized(session, picture.pixels), picture.alpha))
