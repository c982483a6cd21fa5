"""A fuzzer of `models.images` that follows what its Python code does: `make fuzz`. Linux; needs the extra `fuzz`.

It begins with the valid pictures and keeps what leads to new code. A file that crashes a decoder, hangs it, or comes
out as it must not is left in `tests/hostile/found`, where the tests read it from then on. What it kept stays in a
folder, so that the next run goes on from there.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import atheris

with atheris.instrument_imports(include=["PIL", "models.images"]):
    from models import images
    from models.images import Limits, PictureError

T = TypeVar("T")
FOUND = Path(__file__).parents[1] / "hostile" / "found"
LIMITS = Limits(max_pixels=100_000, max_side=5_000)
SECONDS, MEGABYTES = 20, 2048
"""What one file may take."""


def attempted(call: Callable[[bytes, Limits], T], data: bytes) -> T | None:
    """What comes of it; nothing where the file is refused, which has to have a reason."""
    try:
        return call(data, LIMITS)
    except PictureError as error:
        reason = str(error)
    assert reason
    return None


def looked_at(data: bytes) -> None:
    """What has to hold for any bytes at all."""
    header, picture = attempted(images.inspect, data), attempted(images.read, data)
    if picture is None:
        return
    assert header is not None, "it is read, although its header is refused"
    assert picture.width * picture.height <= LIMITS.max_pixels
    assert {picture.width, picture.height} == {header.width, header.height}
    assert picture.format == header.format == images.format_of(data)
    again = images.read(images.write(picture, picture.format if picture.format != "heic" else "png"))
    assert (again.width, again.height) == (picture.width, picture.height)


def main() -> None:
    """Runs until the time is over, or something is found: then the exit code is not 0."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=int, default=120)
    asked.add_argument("--kept", type=Path, default=Path(".fuzz"), help="folder of files that led to new code")
    told = asked.parse_args()
    told.kept.mkdir(parents=True, exist_ok=True)
    FOUND.mkdir(exist_ok=True)
    sow(told.kept)
    limits = [f"-max_total_time={told.seconds}", f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}", "-max_len=4096"]
    words = [*limits, f"-artifact_prefix={FOUND}{os.sep}", "-close_fd_mask=2", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *words, str(told.kept)], looked_at)
    atheris.Fuzz()


def sow(folder: Path) -> None:
    """Puts the valid pictures there, as far as they are short enough."""
    from tests.hostile.pictures import VALID

    for name, data in VALID.items():
        (folder / name.replace(" ", "-")).write_bytes(data)


if __name__ == "__main__":
    main()
