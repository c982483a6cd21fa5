"""The page's samples: photographs of samples/ with noise as a camera makes it, and others without their colours:
`python -m benchmarks.samples`."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.camera import Camera

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "service" / "web" / "samples"
SHOT = 5e-3
"""Variance of the shot noise at white, on the sensor: about that of a phone in a dark room. It makes noise of 20 grey
levels, root mean square."""
SEEDS = {"rocket": 3, "cat": 2, "coffee": 2, "bridge": 2}
"""What the cameras are drawn from."""
GREY = ("bridge", "mountain", "cat", "coffee")


def main() -> None:
    """Writes service/web/samples."""
    (FOLDER / "grey").mkdir(parents=True, exist_ok=True)
    for name in GREY:
        with Image.open(ROOT / "samples" / f"{name}.jpg") as photograph:
            photograph.convert("L").save(FOLDER / "grey" / f"{name}.jpg", quality=88, optimize=True)
    make_noisy()


def make_noisy() -> None:
    """As a camera would write them: at quality 90, with half of the colours' resolution."""
    camera = Camera(low=SHOT, high=SHOT, resized=0, retouched=0, compressed=0)
    for name, seed in SEEDS.items():
        with Image.open(ROOT / "samples" / f"{name}.jpg") as photograph:
            pixels = torch.from_numpy(np.asarray(photograph.convert("RGB")).copy()).permute(2, 0, 1)[None] / 255
        noisy, _, target = camera(pixels, torch.Generator().manual_seed(seed))
        levels = (255 * noisy[0]).round().byte().permute(1, 2, 0).numpy()
        path = FOLDER / f"{name}.jpg"
        Image.fromarray(levels).save(path, quality=90, subsampling="4:2:0", optimize=True)
        rms = 255 * float((noisy - target).square().mean().sqrt())
        print(f"{name}: noise of {rms:.1f} grey levels, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
