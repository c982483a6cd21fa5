"""How far a network sees: the halo that its tiles need, at each level of noise."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from models.corruptions import Gaussian
from models.data import Crops
from models.types import GREY_LEVELS, Batch

BATCHES, BATCH = 8, 4
"""Crops that are looked at for each level."""
UNSEEN = 0.25
"""Grey levels that a pixel may be off at a seam: no more of them than one in four is rounded otherwise."""


@torch.no_grad()
def halos(network: nn.Module, crops: Crops, sigmas: Sequence[float], step: int) -> tuple[int, ...]:
    """The narrowest halo for each level of white noise in 8-bit grey levels, in multiples of `step` pixels, none
    narrower than that of the level before: a quarter of a crop is restored by itself, and its pixels that lie so far
    from where it was cut are what they are in the whole crop. At most half of a crop's side."""
    found: list[int] = []
    for sigma in sigmas:
        off = torch.stack([cut_off(network, *drawn(crops, sigma, number)) for number in range(BATCHES)]).amax(0)
        fitting = (halo for halo in range(step, len(off), step) if off[halo] <= UNSEEN)
        found.append(max([next(fitting, len(off)), *found[-1:]]))
    return tuple(found)


def drawn(crops: Crops, sigma: float, number: int) -> tuple[Batch, Tensor]:
    """Noisy crops, and the level of their noise as a network is told it."""
    device = crops.pictures.train[0].device
    clean = crops.draw(BATCH, Generator().manual_seed(number))
    spoilt = Gaussian(sigma, sigma)(clean, Generator(device).manual_seed(number))
    return spoilt.pixels.contiguous(memory_format=torch.channels_last), spoilt.level


def cut_off(network: nn.Module, noisy: Batch, level: Tensor) -> Tensor:
    """How far off, in grey levels, a pixel is at most when all above and left of the middle is missing: of those that
    lie so many pixels from there or more, `side / 2`."""
    half = noisy.shape[-1] // 2
    alone = network(noisy[..., half:, half:].contiguous(memory_format=torch.channels_last), level)
    off = (network(noisy, level)[..., half:, half:] - alone).abs().amax((0, 1))
    rings = torch.stack([torch.maximum(off[at, at:].amax(), off[at:, at].amax()) for at in range(half)])
    return GREY_LEVELS * rings.flip(0).cummax(0).values.flip(0)
