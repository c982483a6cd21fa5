"""What memory the command line takes for a picture of 50 megapixels: `python -m benchmarks.memory`.

The peak of `denoir denoise` in a process of its own, for a JPEG and a PNG made of one of the samples, over and over;
beside it the decoded picture, and what is left when it and as large an answer are taken away.
"""

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from models import images
from models.images import Picture
from service import cli

SAMPLE = Path(__file__).parent.parent / "samples" / "coffee.jpg"
MB = 1e6


def main() -> None:
    """Prints one line a format."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--megapixels", type=float, default=50.0)
    asked.add_argument("--model", default="photo")
    asked.add_argument("--once", nargs=2, type=Path, metavar=("IN", "OUT"), help=argparse.SUPPRESS)
    told = asked.parse_args()
    if told.once:
        cleaned(told.model, *told.once)
        return
    with tempfile.TemporaryDirectory() as folder:
        print("| format | decoded, MB | peak, MB | beyond the picture and as large an answer, MB | s |")
        print("| --- | --- | --- | --- | --- |")
        for form in ("jpeg", "png"):
            source = Path(folder) / f"in.{form}"
            size = written(source, form, told.megapixels)
            peak, seconds = in_a_process(told.model, source, Path(folder) / f"out.{form}")
            print(f"| {form} | {size:.0f} | {peak:.0f} | {peak - 2 * size:.0f} | {seconds:.0f} |", flush=True)


def written(path: Path, form: str, megapixels: float) -> float:
    """Makes the picture; MB of its pixels."""
    tile = images.read(SAMPLE.read_bytes()).pixels
    side = math.isqrt(round(megapixels * 1e6))
    counts = [-(-side // one) for one in tile.shape[:2]]
    pixels = np.ascontiguousarray(np.tile(tile, (*counts, 1))[:side, :side])
    with path.open("wb") as stream:
        images.save(Picture(pixels), form, stream)
    return pixels.nbytes / MB


def in_a_process(model: str, source: Path, target: Path) -> tuple[float, float]:
    """MB at the peak of the largest of its processes, and seconds."""
    began = time.monotonic()
    words = [sys.executable, "-m", "benchmarks.memory", "--model", model, "--once", source, target]
    told = subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True)
    return float(told.stdout), time.monotonic() - began


def cleaned(model: str, source: Path, target: Path) -> None:
    """Does it, and prints MB at the peak."""
    try:
        cli.main(["denoise", str(source), str(target), "--model", model, "--sigma", "10"])
    except SystemExit as end:
        if end.code:
            raise
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    print(max(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024 / MB)


if __name__ == "__main__":
    main()
