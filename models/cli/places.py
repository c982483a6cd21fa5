"""Where the answer to each picture goes, and as which format; nothing is overwritten that is to be read."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from models import checkpoints
from models.data import DataError
from models.images import ANSWERED, FORMATS, WRITTEN


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
