"""Codes drawn from a prior. Picture i of a seed depends on (model, seed, i, temperature) alone."""

import math

import numpy as np


def draw_codes(latent: int, seed: int, first: int, count: int, temperature: float = 1.0) -> np.ndarray:
    """Codes of pictures `first` to `first + count` of a seed, `count latent` float32, normal times temperature.

    Each is drawn on the CPU from a generator of its own, seeded by (seed, i); seeds may have any number of bits, where
    PyTorch's generator for the CPU would use 32 of them.
    """
    codes = np.empty((count, latent), np.float32)
    for row, number in enumerate(range(first, first + count)):
        generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        codes[row] = generator.standard_normal(latent, np.float32) * np.float32(temperature)
    return codes


def grid(pictures: np.ndarray, gap: int = 2, columns: int = 0) -> np.ndarray:
    """Pictures `n h w c` side by side on white, `H W c`; as near to a square as rows allow unless columns are told."""
    count, height, width, channels = pictures.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), 255, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet
