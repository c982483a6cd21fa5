"""What formats and efforts cost of time and bytes, so that defaults can be chosen: `python -m benchmarks.formats`."""

import argparse
import time
from pathlib import Path

import numpy as np

from models import images
from models.evaluation import as_markdown
from models.images import WRITTEN, Picture

ROOT = Path(__file__).parent.parent
WAYS: list[tuple[str, dict[str, int]]] = [
    ("png", {}),
    *(("png", {"effort": effort}) for effort in (1, 3, 6, 9)),
    *(("webp", {"effort": effort}) for effort in (0, 3, 6, 9)),
    *(("webp", {"quality": 100, "effort": effort}) for effort in (0, 3, 6)),
    ("jpeg", {}),
    *(("avif", {"effort": effort}) for effort in (0, 3, 6)),
    ("tiff", {}),
]


def photographs() -> list[Picture]:
    """A part of each photograph, which has as little noise as an answer."""
    pictures = [images.read(path.read_bytes()).pixels for path in sorted((ROOT / "samples").glob("*.jpg"))]
    return [Picture(np.ascontiguousarray(one[-384:, :384])) for one in pictures]


def row(form: str, options: dict[str, int], pictures: list[Picture], rounds: int) -> dict[str, float | str]:
    """One way of writing: the quickest of some rounds, as others may share the machine."""
    seconds, size = [], 0
    for _ in range(rounds):
        began = time.perf_counter()
        size = sum(len(images.write(picture, form, **options)) for picture in pictures)
        seconds.append(time.perf_counter() - began)
    pixels = sum(picture.height * picture.width for picture in pictures)
    told = ", ".join(f"{name} {value}" for name, value in options.items())
    return {
        "format": form,
        "asked": told or "nothing",
        "ms/MP": 1e9 * min(seconds) / pixels,
        "bytes/pixel": size / pixels,
    }


def main() -> None:
    """Prints the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    rounds, pictures = asked.parse_args().rounds, photographs()
    ways = [way for way in WAYS if way[0] in WRITTEN]
    print(f"{len(pictures)} photographs\n")
    print(as_markdown([row(*way, pictures, rounds) for way in ways]))


if __name__ == "__main__":
    main()
