"""What networks can be asked: small modules around them, from raw arrays to raw arrays.

Pixels come as they were uploaded (0 to a peak, `h w c`) and become floats beside the network, here alone. Each module
also answers a sum over what the network gave, for each picture: it is finite where all of it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from models.types import GREY_LEVELS, Needs

DECODE_BATCH = 16
"""Codes are decoded in batches of this one size, so that a picture doesn't depend on what shares its batch."""


class Restoring(nn.Module):
    """A restorer, asked in grey levels."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor, sigma: Tensor, peak: Tensor) -> tuple[Tensor, Tensor]:
        """Tiles `b h w c` in 0..peak, noise levels `b` in 8-bit grey levels -> restored tiles, whole numbers; and the
        sum `b` of what the network gave, which is finite where all of it is."""
        restored = self.network(pixels_of(tiles, peak), sigma / GREY_LEVELS).float()
        return (restored.clamp(0, 1) * peak).round().permute(0, 2, 3, 1), restored.abs().sum((1, 2, 3))


class Decoding(nn.Module):
    """A sampler's second half."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Codes `n k` -> pictures `n h w c`, whole grey levels; and the sum `n` of what the network gave."""
        pictures = self.network.decode(codes).float()
        return (pictures.clamp(0, 1) * GREY_LEVELS).round().permute(0, 2, 3, 1), pictures.abs().sum((1, 2, 3))


class Reconstructing(nn.Module):
    """Pictures through their codes and back."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor, peak: Tensor) -> tuple[Tensor, Tensor]:
        """Tiles `b h w c` in 0..peak -> pictures, whole grey levels; and the sum `b` of what the network gave."""
        pictures = self.network.reconstruct(pixels_of(tiles, peak)).float()
        return (pictures.clamp(0, 1) * GREY_LEVELS).round().permute(0, 2, 3, 1), pictures.abs().sum((1, 2, 3))


class Encoding(nn.Module):
    """Pictures to their codes."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor, peak: Tensor) -> tuple[Tensor, Tensor]:
        """Tiles `b h w c` in 0..peak -> codes `b k` as they are; and the sum `b` of their sizes."""
        codes = self.network.code(pixels_of(tiles, peak)).float()
        return codes, codes.abs().sum(1)


def pixels_of(tiles: Tensor, peak: Tensor) -> Tensor:
    """Tiles `b h w c` in 0..peak -> what networks take."""
    return (tiles.permute(0, 3, 1, 2) / peak).contiguous(memory_format=torch.channels_last)


class Tinting(nn.Module):
    """A colorizer."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, grey: Tensor, peak: Tensor) -> tuple[Tensor, Tensor]:
        """Lightness `b h w 1` in 0..peak -> chroma `b h/2 w/2 2`, in [-0.5, 0.5]; and the sum `b` of its sizes."""
        tint = self.network.tint(pixels_of(grey, peak)).float()
        return tint.permute(0, 2, 3, 1), tint.abs().sum((1, 2, 3))


@dataclass(frozen=True)
class Task:
    """What a network can be asked.

    module: around the network, from raw arrays to raw arrays. example: arguments that the graph is drawn and checked
    with. moving: the sizes among them that change from call to call, as `torch.export` takes them. answer: the type
    that its first result is checked in; floats count 255 grey levels from 0 to 1, as pixels do.
    """

    module: Callable[[Any], nn.Module]
    example: Callable[[Needs], tuple[np.ndarray, ...]]
    moving: Callable[[Needs], Any]
    answer: type = np.uint8


def restoring_example(needs: Needs) -> tuple[np.ndarray, ...]:
    """Two noisy tiles of a size that the network takes."""
    height, width = needs.size or (8 * needs.multiple, 10 * needs.multiple)
    rows, columns = np.mgrid[:height, :width]
    smooth = 128 + 80 * np.sin(rows / 9) * np.cos(columns / 7)
    noisy = smooth[None, ..., None] + np.random.default_rng(0).normal(0, 25, (2, height, width, needs.channels))
    tiles = noisy.clip(0, 255).round().astype(np.uint8)
    return tiles, np.array([25, 20], np.float32), np.array(255, np.float32)


def restoring_sizes(needs: Needs) -> Any:
    """Any number of tiles, and where the network allows it of any size on its grid."""
    tiles: dict[int, Any] = {0: Dim("b")}
    if not needs.size:
        tiles |= {1: needs.multiple * Dim("h"), 2: needs.multiple * Dim("w")}
    return tiles, {0: tiles[0]}, None


def picture_example(needs: Needs) -> tuple[np.ndarray, ...]:
    """The same tiles, with no word of their noise."""
    tiles, _, peak = restoring_example(needs)
    return tiles, peak


def grey_example(needs: Needs) -> tuple[np.ndarray, ...]:
    """Those tiles' first channel."""
    tiles, _, peak = restoring_example(needs)
    return tiles[..., :1], peak


def decoding_example(needs: Needs) -> tuple[np.ndarray, ...]:
    """One full batch of codes."""
    return (np.random.default_rng(0).standard_normal((DECODE_BATCH, needs.latent or 0), np.float32),)


TASKS = {
    "restore": Task(Restoring, restoring_example, restoring_sizes),
    "decode": Task(Decoding, decoding_example, lambda needs: (None,)),
    "reconstruct": Task(Reconstructing, picture_example, lambda needs: ({0: Dim("b")}, None)),
    "encode": Task(Encoding, picture_example, lambda needs: ({0: Dim("b")}, None), np.float32),
    "colorize": Task(Tinting, grey_example, lambda needs: (restoring_sizes(needs)[0], None), np.float32),
}

TASK_OF = {
    "denoise": "restore",
    "reconstruct": "reconstruct",
    "encode": "encode",
    "decode": "decode",
    "sample": "decode",
    "interpolate": "decode",
    "traverse": "decode",
    "colorize": "colorize",
}
"""The task behind each thing that a model can be asked."""
