"""How strong a camera's noise is in a picture. It is coarse once it is developed and compressed, so that
`models.noise`, which looks where texture has least, finds next to nothing of it; a small network tells it from texture
by the statistics of many patches, learned from pictures that `models.camera` spoilt and from what another's raw
converter made of such noise.

`python -m models.grain photos scenes developed` makes the network anew, and prints how well it judges photographs that
it did not learn from.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.grain.statistics import statistics

WEIGHTS = Path(__file__).with_name("weights.npz")
LOUDEST = 60.0
"""Grey levels; no higher level is returned, nor was any learned from."""
OFFSET = 0.5
"""Grey levels: the network tells the logarithm of the level and this, so that faint noise is not all it learns from."""
LEAST = 0.5
"""Grey levels: less is no noise."""


class Layers(NamedTuple):
    """The network: numbers, brought to a common size, through linear layers with a ramp between them."""

    mean: np.ndarray
    """`f`, of the statistics over the pictures learned from."""
    deviation: np.ndarray
    """`f`, likewise."""
    linear: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Weights `out in` and biases `out`."""

    def __call__(self, numbers: np.ndarray) -> float:
        """Statistics `f` -> the logarithm of the level and OFFSET."""
        x = np.clip((numbers - self.mean) / self.deviation, -5, 5)
        for weight, bias in self.linear[:-1]:
            x = np.maximum(weight @ x + bias, 0)
        weight, bias = self.linear[-1]
        return float((weight @ x + bias)[0])


def estimate(pixels: np.ndarray, alpha: np.ndarray | None = None) -> float | None:
    """Root mean square of the noise in a picture, in 8-bit grey levels, 0 to LOUDEST; 0.0 where it is next to none.
    None of a few pixels, and where many patches are of one colour, as no sensor sees them.

    `pixels` is `h w c`, uint8 or uint16, of any size. What `alpha`, `h w`, hides is not looked at. The same pixels get
    the same answer.
    """
    numbers = statistics(pixels, alpha)
    return None if numbers is None else level(numbers)


def level(numbers: np.ndarray) -> float:
    """The same, of a picture's statistics."""
    found = min(float(np.exp(layers()(numbers))) - OFFSET, LOUDEST)
    return found if found >= LEAST else 0.0


@cache
def layers() -> Layers:
    """Those that come with the program."""
    with np.load(WEIGHTS, allow_pickle=False) as kept:
        arrays = {name: kept[name].astype(np.float32) for name in kept.files}
    count = sum(name.startswith("weight") for name in arrays)
    linear = tuple((arrays[f"weight{number}"], arrays[f"bias{number}"]) for number in range(count))
    return Layers(arrays["mean"], arrays["deviation"], linear)
