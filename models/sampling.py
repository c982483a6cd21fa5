"""Codes drawn from a prior, ways through codes, and sheets of pictures.

Picture i of a seed depends on (model, seed, i, temperature) alone.
"""

import math
from collections.abc import Callable

import numpy as np

from models.mixture import Mixture


def draw_codes(
    latent: int, seed: int, first: int, count: int, temperature: float = 1.0, prior: Mixture | None = None
) -> np.ndarray:
    """Codes of pictures `first` to `first + count` of a seed, `count latent` float32, normal times temperature; or with
    a prior of its own drawn from that, temperature narrowing each of its Gaussians about its mean.

    Each is drawn on the CPU from a generator of its own, seeded by (seed, i); seeds may have any number of bits, where
    PyTorch's generator for the CPU would use 32 of them.
    """
    codes = np.empty((count, latent), np.float32)
    for row, number in enumerate(range(first, first + count)):
        generator = generator_of(seed, number)
        normal = generator.standard_normal(latent, np.float32)
        codes[row] = prior.drawn(generator.random(), normal, temperature) if prior else normal * np.float32(temperature)
    return codes


def generator_of(seed: int, number: int) -> np.random.Generator:
    """That of `SeedSequence(seed, spawn_key=(number,))`: numpy takes a third of the time over the same words where they
    are put together before."""
    words = in_words(seed, least=4) + in_words(number, least=1)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(np.frombuffer(words, "<u4"))))


def in_words(number: int, least: int) -> bytes:
    """A number in so many words of 32 bits or as many as it takes, the lowest first."""
    return number.to_bytes(4 * max(least, -(-number.bit_length() // 32)), "little")


def straight(a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Codes `n k` at shares `n` of the straight way from `a` to `b`, `k` each."""
    return (1 - shares)[:, None] * a + shares[:, None] * b


def sphere(a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The same along the arc between them: a normal prior's draws lie about a sphere, and a straight way leaves it.

    Directions as in White 2016, "Sampling Generative Networks", section 2.1 (slerp); lengths change evenly, as by his
    formula they grow without bound where codes of two lengths are nearly opposed. Where codes are parallel, opposed or
    nought there is no one arc, and the way is straight.
    """
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    theta = angle(a / lengths[0], b / lengths[1]) if all(lengths) else 0.0
    if math.sin(theta) < PARALLEL:
        return straight(a, b, shares)
    weights = np.sin(np.stack([1 - shares, shares], 1) * theta) / math.sin(theta)
    directions = weights @ np.stack([a / lengths[0], b / lengths[1]])
    return ((1 - shares) * lengths[0] + shares * lengths[1])[:, None] * directions


PARALLEL = 1e-6
"""Sine of the angle below which two codes are taken for parallel."""


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Between two codes of length 1, 0 to pi; exact for small angles too, as arccos is not."""
    return 2 * math.atan2(np.linalg.norm(a - b), np.linalg.norm(a + b))


PATHS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {"sphere": sphere, "straight": straight}


def between(a: np.ndarray, b: np.ndarray, steps: int, path: str = "sphere") -> np.ndarray:
    """`steps k` float32 codes, at least two, evenly along a path of PATHS from `a` to `b`, the ends exactly those."""
    codes = PATHS[path](a.astype(np.float64), b.astype(np.float64), np.linspace(0, 1, steps)).astype(np.float32)
    codes[0], codes[-1] = a, b
    return codes


def around(code: np.ndarray, directions: tuple[int, ...], span: float, steps: int) -> np.ndarray:
    """A code `k` moved along one or two of its directions by -span to span, `steps` places each.

    `steps k` float32, or `steps * steps k` row by row: the first direction goes down, the second across.
    """
    places = np.meshgrid(*[span * np.linspace(-1, 1, steps)] * len(directions), indexing="ij")
    codes = np.repeat(code[None].astype(np.float64), places[0].size, axis=0)
    for direction, moves in zip(directions, places, strict=True):
        codes[:, direction] += moves.ravel()
    return codes.astype(np.float32)


def grid(pictures: np.ndarray, gap: int = 2, columns: int = 0) -> np.ndarray:
    """Pictures `n h w c` side by side, `H W c`; as near to a square as rows allow unless columns are told. Between them
    is white, or nothing at all where a fourth channel says that there can be."""
    count, height, width, channels = pictures.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    paper = 0 if channels == 4 else 255
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), paper, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet
