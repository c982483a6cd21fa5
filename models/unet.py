"""The residual U-Net for photographs."""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import Enlarge, Residual, residuals
from models.types import Batch, Level, Needs


@dataclass(frozen=True)
class UNetConfig:
    """channels: of a picture. widths: channels at each level, each half as large as the one before. blocks: residual
    blocks a level, on the way down and on the way up. unshuffle: side of the pixel squares folded into channels first.
    halo: pixels on each side of a tile that must be thrown away; 0 asks for the receptive field itself. halos: fewer
    that do for levels up to each of HALO_SIGMAS but the last, which `halo` is for; measured when a training ends.
    reaches: the size within which nearly all stays that each convolution of `UNet.roundable` is given, measured then
    too (its calibration); with none, none is quantized."""

    channels: int = 3
    widths: tuple[int, ...] = (64, 128, 256)
    blocks: int = 2
    unshuffle: int = 2
    halo: int = 0
    halos: tuple[int, ...] = ()
    reaches: tuple[float, ...] = ()


HALO_SIGMAS = (5.0, 10.0, 25.0, 50.0, 100.0)
"""Levels of noise, in 8-bit grey levels, that halos are measured at: the less there is the less far a network looks."""
FINEST = ("down.0.", "up.0.")
"""How the names of the blocks at the finest level begin."""


class UNet(nn.Module):
    """A U-Net of plain residual blocks behind a pixel-unshuffle, told the noise level as a map, giving the noise.

    Sources: Zhang et al. 2021, "Plug-and-Play Image Restoration with Deep Denoiser Prior" (DRUNet: residual blocks in
    a U-Net, noise map); Zhang et al. 2018, "FFDNet" (pixel-unshuffle, noise map). Biases are kept, unlike DRUNet's:
    noise that was clipped to [0, 1] has a mean that depends on the brightness itself, which a network without biases
    (homogeneous of degree one in picture and level) cannot express.

    roundable: names of the convolutions that may be quantized to 8 bits: those of the residual blocks below the finest
    level, which no picture shows; at the finest a faint noise would come back a fiftieth to a fifth of a dB worse.
    Raises ValueError where `reaches` are not as many as these, `halos` are none and not one fewer than HALO_SIGMAS, or
    one of them or the halo is no multiple of the coarsest step.
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        widths, blocks, fold = config.widths, config.blocks, config.unshuffle**2
        self.head = nn.Conv2d((config.channels + 1) * fold, widths[0], 3, padding=1)
        self.down = nn.ModuleList(residuals(width, blocks) for width in widths[:-1])
        self.reduce = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.middle = residuals(widths[-1], blocks)
        self.enlarge = nn.ModuleList(Enlarge(b, a) for a, b in pairwise(widths))
        self.up = nn.ModuleList(residuals(width, blocks) for width in widths[:-1])
        self.tail = Precise(widths[0], config.channels * fold, 3, padding=1)
        for parameter in self.tail.parameters():
            nn.init.zeros_(parameter)  # so that training starts from the picture as it is
        residual = [name for name, module in self.named_modules() if isinstance(module, Residual)]
        coarser = [name for name in residual if not name.startswith(FINEST)]
        self.roundable = [f"{name}.{layer}" for name in coarser for layer in ("first", "second")]
        if config.reaches and len(config.reaches) != len(self.roundable):
            raise ValueError(f"reaches are {len(config.reaches)}, and of {len(self.roundable)} convolutions")
        lower = HALO_SIGMAS[:-1]
        if config.halos and len(config.halos) != len(lower):
            raise ValueError(f"halos are {len(config.halos)}, and for {len(lower)} levels of noise")
        for halo in (config.halo, *config.halos):
            if halo % coarsest_step(config):
                raise ValueError(f"a halo of {halo} px is no multiple of {coarsest_step(config)}")

    @property
    def needs(self) -> Needs:
        halo = self.config.halo or receptive_radius(self.config)
        rounded = tuple(zip(self.roundable, self.config.reaches, strict=True)) if self.config.reaches else ()
        halos = tuple(zip(HALO_SIGMAS[:-1], self.config.halos, strict=True)) if self.config.halos else ()
        multiple = coarsest_step(self.config)
        return Needs(self.config.channels, multiple, halo, halos, level=True, low_precision=True, eight_bits=rounded)

    def forward(self, noisy: Batch, level: Level) -> Batch:
        """The clean picture: `b c h w` in [0, 1], levels `b` on the same scale. Not clamped.

        Only the noise is computed in the weights' precision; the picture that it is taken from keeps its own.
        """
        levels = level.view(-1, 1, 1, 1).expand(-1, 1, *noisy.shape[2:])
        told = torch.cat([noisy, levels], 1).to(self.head.weight.dtype)
        head = self.head(F.pixel_unshuffle(told, self.config.unshuffle))
        x, skips = head, []
        for blocks, reduce in zip(self.down, self.reduce, strict=True):
            skips.append(blocks(x))
            x = reduce(skips[-1])
        x = self.middle(x)
        for blocks, enlarge, skip in zip(reversed(self.up), reversed(self.enlarge), reversed(skips), strict=True):
            x = blocks(enlarge(x, skip))
        return noisy - F.pixel_shuffle(self.tail(x.add_(head)), self.config.unshuffle)


class Precise(nn.Conv2d):
    """A convolution in fp32, whatever its weights are: as the last layer, since rounding its answer to bf16 would move
    pixels by a grey level where noise is strong."""

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input.float(), self.weight.float(), cast(Tensor, self.bias).float())


def coarsest_step(config: UNetConfig) -> int:
    """Pixels of a step at the coarsest level."""
    return config.unshuffle * 2 ** (len(config.widths) - 1)


def receptive_radius(config: UNetConfig) -> int:
    """Pixels that can reach an output pixel from one side, rounded up to a whole step of the coarsest level."""
    levels = len(config.widths)
    convolutions = sum(2 * config.blocks * 2**level * (2 if level < levels - 1 else 1) for level in range(levels))
    coarsest = coarsest_step(config)
    reach = (convolutions + 2) * config.unshuffle + coarsest - 1
    return -(-reach // coarsest) * coarsest
