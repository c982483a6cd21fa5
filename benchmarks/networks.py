"""Networks that are only timed: shapes that one might train, with random weights."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import checkpoints
from models.catalog import SHIPPED, Catalog
from models.layers import Enlarge
from models.recipes import built, configured
from models.types import Needs


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of `b c h w`."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Depthwise(nn.Module):
    """A block after NAFNet's (Chen et al. 2022, "Simple Baselines for Image Restoration"): pointwise and depthwise
    convolutions, gates that multiply halves, layer norms; without its channel attention, which sees the whole picture
    and so forbids tiles."""

    def __init__(self, width: int):
        super().__init__()
        self.norms = nn.ModuleList(ChannelNorm(width) for _ in range(2))
        self.wide = nn.Conv2d(width, 2 * width, 1)
        self.spatial = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.narrow = nn.Conv2d(width, width, 1)
        self.first = nn.Conv2d(width, 2 * width, 1)
        self.second = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.spatial(self.wide(self.norms[0](x))).chunk(2, 1)
        x = x + self.narrow(a * b)
        a, b = self.first(self.norms[1](x)).chunk(2, 1)
        return x + self.second(a * b)


class DepthwiseUNet(nn.Module):
    """A U-Net of such blocks behind a pixel-unshuffle of 2."""

    needs = Needs(3, multiple=8, halo=32, level=True, low_precision=True)

    def __init__(self, widths: tuple[int, ...], blocks: int):
        super().__init__()
        self.head = nn.Conv2d(16, widths[0], 3, padding=1)
        self.down = nn.ModuleList(stage(width, blocks) for width in widths[:-1])
        self.reduce = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.middle = stage(widths[-1], blocks)
        self.enlarge = nn.ModuleList(Enlarge(b, a) for a, b in pairwise(widths))
        self.up = nn.ModuleList(stage(width, blocks) for width in widths[:-1])
        self.tail = nn.Conv2d(widths[0], 12, 3, padding=1)

    def forward(self, noisy: Tensor, level: Tensor) -> Tensor:
        levels = level.view(-1, 1, 1, 1).expand(-1, 1, *noisy.shape[2:])
        x = self.head(F.pixel_unshuffle(torch.cat([noisy, levels], 1).to(self.head.weight.dtype), 2))
        skips = []
        for blocks, reduce in zip(self.down, self.reduce, strict=True):
            skips.append(blocks(x))
            x = reduce(skips[-1])
        x = self.middle(x)
        for blocks, enlarge, skip in zip(reversed(self.up), reversed(self.enlarge), reversed(skips), strict=True):
            x = blocks(enlarge(x, skip))
        return noisy - F.pixel_shuffle(self.tail(x).float(), 2)


def stage(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(Depthwise(width) for _ in range(blocks)))


def shipped(name: str) -> nn.Module:
    return checkpoints.load(Catalog.of(SHIPPED).find(name).folder).network


def drawn(architecture: str, **config: Any) -> nn.Module:
    """A network of ours with random weights, its last layer, which begins at nought, among them."""
    network = built(architecture, configured(architecture, config)).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))
    return network


@dataclass(frozen=True)
class Shape:
    """A network to time: how it is made, and the task that it is asked."""

    make: Callable[[], nn.Module]
    task: str = "restore"


SHAPES: dict[str, Shape] = {
    "photo": Shape(lambda: shipped("photo")),
    "U-Net 48/96/192": Shape(lambda: drawn("unet", widths=[48, 96, 192])),
    "U-Net 32/64/128": Shape(lambda: drawn("unet", widths=[32, 64, 128])),
    "U-Net 96/192/384": Shape(lambda: drawn("unet", widths=[96, 192, 384])),
    "U-Net 24/48/96, no unshuffle": Shape(lambda: drawn("unet", widths=[24, 48, 96], unshuffle=1)),
    "depthwise 64/128/256": Shape(lambda: DepthwiseUNet((64, 128, 256), 2).eval().requires_grad_(False)),
    "digits-denoise": Shape(lambda: shipped("digits-denoise")),
    "digits-vae": Shape(lambda: shipped("digits-vae"), "decode"),
    "VAE 64 px colour": Shape(lambda: drawn("vae", height=64, width=64, channels=3), "decode"),
}
