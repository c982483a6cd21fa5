"""Codes drawn from a prior. Picture i of a seed depends on (model, seed, i, temperature) alone."""

import hashlib
import math

import numpy as np
import torch


def draw_codes(latent: int, seed: int, first: int, count: int, temperature: float = 1.0) -> np.ndarray:
    """Codes of pictures `first` to `first + count` of a seed, `count latent` float32, normal times temperature.

    Each is drawn on the CPU from a generator of its own, seeded by (seed, i).
    """
    codes = np.empty((count, latent), np.float32)
    for row, number in enumerate(range(first, first + count)):
        generator = torch.Generator().manual_seed(mixed(seed, number))
        codes[row] = torch.randn(latent, generator=generator).numpy() * np.float32(temperature)
    return codes


def mixed(seed: int, number: int) -> int:
    """One 63-bit seed out of two numbers, without the patterns that adding them would make."""
    digest = hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


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
