"""Where the answer to each picture goes, and as which format; nothing is overwritten that is to be read."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedWriter, BytesIO
from pathlib import Path

from models import checkpoints
from models.data import DataError
from models.images import ANSWERED, FORMATS, WRITTEN

STREAM = Path("-")
"""Standard input, or output."""


@dataclass(frozen=True)
class Errand:
    """One picture, and where its answer goes."""

    source: Path
    target: Path

    @property
    def comparison(self) -> Path:
        """Where before and after go, side by side."""
        return self.target.with_name(f"{self.target.stem}-compare{self.target.suffix}")

    def written(self, compared: bool) -> list[Path]:
        """All that is written: the answer, and with `compared` before and after too."""
        return [self.target, self.comparison] if compared else [self.target]

    def done(self, compared: bool) -> bool:
        """Whether all that is written is there, and not older than the picture."""
        try:
            return min(one.stat().st_mtime_ns for one in self.written(compared)) >= self.source.stat().st_mtime_ns
        except OSError:
            return False


def read(source: Path) -> bytes:
    return sys.stdin.buffer.read() if source == STREAM else source.read_bytes()


@contextlib.contextmanager
def writing(target: Path) -> Iterator[BytesIO | BufferedWriter]:
    """A stream for an answer, which is written whole or not at all; a link stays one, to what is written."""
    if target == STREAM:
        yield (whole := BytesIO())
        sys.stdout.buffer.write(whole.getbuffer())
        sys.stdout.buffer.flush()
        return
    check_place(target)
    with checkpoints.replacing(real(target)) as stream:
        yield stream


def check_place(target: Path) -> None:
    """Raises OSError where no answer can be put: into a folder that can't be made or written into, over a folder."""
    if target == STREAM:
        return
    place = real(target)
    checkpoints.check_writable(place.parent)
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))


def targets(source: Path, target: Path, form: str | None) -> Iterator[Errand]:
    """Each picture, and where its answer goes; what lies in OUT is not taken from IN. Raises DataError for none."""
    if source == STREAM and target != STREAM and (target.is_dir() or not target.suffix):
        raise DataError("a picture from standard input has no name; name the file that its answer goes to")
    if target == STREAM and source.is_dir():
        raise DataError(f"{source} is a folder, so its answers need a folder, not standard output")
    to_folder = target != STREAM and (target.is_dir() or not target.suffix)
    if (source == STREAM or source.is_file()) and not to_folder and not form:
        format_asked(target, " or with --format")
    if STREAM in (source, target):
        yield Errand(source, target)
        return
    if source.is_file():
        yield Errand(source, with_suffix(target / source.name, form) if to_folder else target)
        return
    known = {suffix for one in FORMATS.values() for suffix in one.suffixes}
    found = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in known and not path.is_dir()]
    if real(source) in real(target).parents:
        found = [path for path in found if real(target) not in real(path).parents]
    if not found:
        raise DataError(f"no pictures in {source}" if source.exists() else f"there is no {source}")
    if target.is_file():
        raise DataError(f"{source} is a folder, so its answers need a folder; {target} is a file")
    if real(target) == real(source):
        raise DataError(f"{source} and {target} are the same folder; name another for the answers")
    for path in found:
        yield Errand(path, with_suffix(target / path.relative_to(source), form))


def real(path: Path) -> Path:
    """Where a path leads, whatever links it goes through; to itself where they go round in a ring."""
    return Path(os.path.realpath(path))


def with_suffix(path: Path, form: str | None) -> Path:
    """The path named as of a format; unless one is given, of that which its name says, if that is written."""
    came = named(path)
    form = form or (ANSWERED[came] if came and came not in WRITTEN else None)
    return path.with_suffix(FORMATS[form].suffixes[0]) if form else path


def apart(errands: Iterable[Errand], compared: bool = False) -> list[Errand]:
    """The same, found to be safe: nothing that is written, with `compared` also before and after, takes the place of a
    picture or of another answer. Raises DataError."""
    errands = list(errands)
    if compared and any(errand.target == STREAM for errand in errands):
        raise DataError("before and after go beside the answer, which standard output has no place for")
    sources = {real(errand.source) for errand in errands if errand.source != STREAM}
    taken: dict[Path, Path] = {}
    for errand in errands:
        for target in errand.written(compared):
            place, source = real(target), errand.source
            if place in sources:
                raise DataError(
                    f"the answer to {source} would overwrite {target}, which is to be read; name another OUT"
                )
            if place in taken:
                raise DataError(
                    f"the answers to {taken[place]} and {source} would both be {target}; rename one of them"
                )
            taken[place] = source
    return errands


def check_apart(sources: Iterable[Path], written: Iterable[Path]) -> None:
    """Raises DataError where what is drawn would take the place of a picture that is read."""
    if both := set(map(real, sources)) & set(map(real, written)):
        raise DataError(f"what is drawn would overwrite {both.pop()}, which is to be read; name another OUT")


def format_named(path: Path) -> str | None:
    """The format that a file's name asks for. Raises DataError for one that is only read."""
    form = named(path)
    if form and form not in WRITTEN:
        raise DataError(
            f"{FORMATS[form].label} is read, but not written: name {path.name} as one of {', '.join(WRITTEN)}"
        )
    return form


def format_asked(path: Path, otherwise: str = "") -> str | None:
    """The format that the name of an answer asks for, where it has an ending; `otherwise` is how else it may be told.

    Raises DataError for an ending that is nobody's, or of a format that is only read: a picture of some other format
    under that name would open nowhere.
    """
    form = format_named(path)
    if path.suffix and not form:
        known = ", ".join(one.suffixes[0] for one in WRITTEN.values())
        raise DataError(f"{path.name}: pictures are written as {known}; say which with the name{otherwise}")
    return form


def named(path: Path) -> str | None:
    """The format that a file is of, by its name."""
    return next((name for name, one in FORMATS.items() if path.suffix.lower() in one.suffixes), None)
