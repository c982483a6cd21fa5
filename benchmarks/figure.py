"""The README's picture, a noisy sample and what `photo` makes of it, nothing told: `python -m benchmarks.figure`."""

from pathlib import Path

import numpy as np
import torch

from models import checkpoints, images, inference, noise
from models.catalog import SHIPPED, Catalog
from models.images import Picture
from models.sessions import Session

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Writes docs/before-after.jpg."""
    network = checkpoints.load(Catalog.of(SHIPPED).find("photo").folder).network
    session = Session(network, torch.device("cpu"))
    noisy = images.read((ROOT / "samples" / "bridge-noisy.png").read_bytes()).pixels
    sigma = noise.estimate(noisy)
    clean = inference.restored(session, noisy, sigma, inference.tiling_for(session.needs))
    gap = np.full((noisy.shape[0], 8, 3), 255, np.uint8)
    both = Picture(np.concatenate([noisy, gap, clean], 1))
    (ROOT / "docs" / "before-after.jpg").write_bytes(images.write(both, "jpeg", quality=92))
    print(f"level estimated: {sigma:.1f}")


if __name__ == "__main__":
    main()
