"""The colorizing autoencoder: lightness in, chroma out, over the whole picture."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import Enlarge, residuals
from models.types import Chroma, Level, Lightness, Needs

REACH = 0.4
"""Chroma is told in bins from -REACH to REACH; what photographs have beyond is taken for its edge."""
FINENESS = 2
"""Pixels of lightness for one of chroma, along each axis: the eye sees colour less sharply (as JPEG stores it)."""
SEEN = 1.3
"""Side of what a whole picture is brought to over the side of the crops learned from, which are cut from pictures a
little larger and longer than they are wide."""


@dataclass(frozen=True)
class ColorizerConfig:
    """channels: of the pictures it makes, which is 3. side: of the square crops that it learns from, in pixels. widths:
    channels at each level, each half as large as the one before. blocks: residual blocks a level, on the way down and
    on the way up. bins: along each axis of chroma. temperature: what logits are divided by before the mean over
    colours: 1 gives the mean itself, which is dull where several colours are likely, and 0 would give the likeliest
    alone."""

    channels: int = 3
    side: int = 224
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: int = 1
    bins: int = 13
    temperature: float = 0.38

    def __post_init__(self) -> None:
        if self.channels != 3:
            raise ValueError("colorizing is learned from pictures in colour, and these have none")


class Colorizer(nn.Module):
    """An encoder and decoder with skips, whose narrowest place also tells all of the picture what it is of; for each
    place the chances of colours, in bins of chroma.

    Sources: Zhang, Isola and Efros 2016, "Colorful Image Colorization": colours as classes, so that several likely
    ones don't end in their brownish mean; bins as soft targets, and the annealed mean at 0.38 (their eq. 5). Iizuka et
    al. 2016, "Let there be Color!", for features of the whole picture added to those of each place. Ronneberger et al.
    2015 for the skips.
    """

    def __init__(self, config: ColorizerConfig):
        super().__init__()
        self.config = config
        widths, blocks = config.widths, config.blocks
        self.head = nn.Conv2d(FINENESS**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(residuals(width, blocks, activation=nn.SiLU) for width in widths[:-1])
        self.reduce = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.middle = residuals(widths[-1], blocks, activation=nn.SiLU)
        self.scene = nn.Sequential(nn.Linear(widths[-1], widths[-1]), nn.SiLU(), nn.Linear(widths[-1], widths[-1]))
        self.after = residuals(widths[-1], blocks, activation=nn.SiLU)
        self.enlarge = nn.ModuleList(Enlarge(b, a) for a, b in pairwise(widths))
        self.up = nn.ModuleList(residuals(width, blocks, activation=nn.SiLU) for width in widths[:-1])
        self.tail = nn.Conv2d(widths[0], config.bins**2, 1)

    @property
    def needs(self) -> Needs:
        multiple = FINENESS * 2 ** (len(self.config.widths) - 1)
        return Needs(self.config.channels, multiple=multiple, whole=round(SEEN * self.config.side))

    def forward(self, grey: Lightness, level: Level | None = None) -> Tensor:
        """Logits of the bins, `b bins*bins h/2 w/2`, those of Cb in rows of bins and of Cr across."""
        x, skips = self.head(F.pixel_unshuffle(grey - 0.5, FINENESS)), []
        for blocks, reduce in zip(self.down, self.reduce, strict=True):
            skips.append(blocks(x))
            x = reduce(skips[-1])
        x = self.middle(x)
        x = self.after(x + self.scene(x.mean((2, 3)))[:, :, None, None])
        for blocks, enlarge, skip in zip(reversed(self.up), reversed(self.enlarge), reversed(skips), strict=True):
            x = blocks(enlarge(x, skip))
        return self.tail(x)

    def tint(self, grey: Lightness) -> Tensor:
        """The chroma that is shown at each place, `b 2 h/2 w/2`."""
        return mean_chroma(self(grey).float() / self.config.temperature, self.config.bins)


def mean_chroma(logits: Tensor, bins: int) -> Chroma:
    """The mean over the bins by their chances."""
    chances = logits.softmax(1).unflatten(1, (bins, bins))
    centres = torch.linspace(-REACH, REACH, bins, device=logits.device).view(1, -1, 1, 1)
    return torch.cat([(chances.sum(axis) * centres).sum(1, keepdim=True) for axis in (2, 1)], 1)


def soft_bins(colour: Chroma, bins: int) -> tuple[Tensor, Tensor]:
    """The four bins around each colour and their shares, both `b 4 h w`; the mean over them is that colour."""
    places = (colour.clamp(-REACH, REACH) + REACH) / (2 * REACH) * (bins - 1)
    low = places.floor().clamp(max=bins - 2)
    high_share = places - low
    numbers, shares = [], []
    for down in (0, 1):
        for across in (0, 1):
            row, column = (low[:, axis] + step for axis, step in ((0, down), (1, across)))
            numbers.append(row * bins + column)
            pair = (high_share[:, axis] if step else 1 - high_share[:, axis] for axis, step in ((0, down), (1, across)))
            shares.append(next(pair) * next(pair))
    return torch.stack(numbers, 1).long(), torch.stack(shares, 1)
