"""Blocks that the architectures share."""

from itertools import pairwise

from torch import Tensor, nn

from models.types import Batch


class Residual(nn.Module):
    """x + conv(act(conv(x))): two 3x3 convolutions around one activation, no normalisation.

    Source: Lim et al. 2017, "Enhanced Deep Residual Networks", fig. 2c; Zhang et al. 2021 (DRUNet) use the same.
    """

    def __init__(self, width: int, activation: nn.Module | None = None, dropout: float = 0.0):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.activation = activation or nn.ReLU()
        self.dropout = nn.Dropout2d(dropout)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Batch) -> Batch:
        return x + self.second(self.dropout(self.activation(self.first(x))))


def residuals(width: int, blocks: int, dropout: float = 0.0, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """`blocks` residual blocks of `width` channels, `b c h w` -> the same."""
    return nn.Sequential(*(Residual(width, activation(), dropout) for _ in range(blocks)))


class Enlarge(nn.ConvTranspose2d):
    """Twice as high and wide by 2x2 weights, and what was there before it was made smaller added: `b i h w` and
    `b o 2h 2w` -> the latter's shape."""

    def __init__(self, given: int, out: int):
        super().__init__(given, out, 2, stride=2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x).add_(skip)


def up_to_multiple(side: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is not below `side`."""
    return -(-side // multiple) * multiple


class Encoder(nn.Module):
    """Pictures of one size to vectors: residual convolutions, halved once a level, then one linear layer.

    `b c h w` -> `b out`; with `out` at 0 there is no linear layer, and the vector is the coarsest level itself. A size
    that can't be halved so often is padded at the right and bottom by its edge. `blocks` residual blocks stand at each
    level and one more at the coarsest; squares of `unshuffle` pixels are folded into channels first.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        widths: tuple[int, ...],
        out: int,
        dropout: float = 0.0,
        blocks: int = 1,
        unshuffle: int = 1,
    ):
        super().__init__()
        self.unshuffle = unshuffle
        self.padding = padding(size, len(widths), unshuffle)
        stages: list[nn.Module] = [nn.Conv2d(channels * unshuffle**2, widths[0], 3, padding=1)]
        for a, b in pairwise(widths):
            stages += [residuals(a, blocks, dropout, nn.SiLU), nn.Conv2d(a, b, 3, stride=2, padding=1)]
        stages += [residuals(widths[-1], blocks + 1, dropout, nn.SiLU), nn.SiLU()]
        self.convolutions = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(widths[-1] * area(size, len(widths), unshuffle), out) if out else nn.Identity()

    def forward(self, x: Batch) -> Tensor:
        x = folded(x, self.padding, self.unshuffle)
        return self.linear(self.dropout(self.convolutions(x).flatten(1)))


class Decoder(nn.Module):
    """The encoder turned round: `b into` -> `b c h w`, unbounded values (logits or means; the network says which).

    Dropout falls on what a fully connected layer is given, here the code, so that no feature can do without the others'
    being able to do without it.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        widths: tuple[int, ...],
        into: int,
        dropout: float = 0.0,
        blocks: int = 1,
        unshuffle: int = 1,
    ):
        super().__init__()
        self.size, self.unshuffle = size, unshuffle
        self.grid = grid(size, len(widths), unshuffle)
        self.linear = nn.Linear(into, widths[-1] * area(size, len(widths), unshuffle)) if into else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        stages: list[nn.Module] = [residuals(widths[-1], blocks + 1, dropout, nn.SiLU)]
        for b, a in pairwise(reversed(widths)):
            stages += [nn.ConvTranspose2d(b, a, 2, stride=2), residuals(a, blocks, dropout, nn.SiLU)]
        stages += [nn.SiLU(), nn.Conv2d(widths[0], channels * unshuffle**2, 3, padding=1)]
        self.convolutions = nn.Sequential(*stages)

    def forward(self, code: Tensor) -> Batch:
        x = self.linear(self.dropout(code)).unflatten(1, (-1, *self.grid))
        return unfolded(self.convolutions(x), self.size, self.unshuffle)


def folded(x: Batch, padding: tuple[int, int], unshuffle: int) -> Tensor:
    """Padded at the bottom and right by its edge, squares of `unshuffle` pixels folded into channels."""
    bottom, right = padding
    x = nn.functional.pad(x, (0, right, 0, bottom), mode="replicate")
    return nn.functional.pixel_unshuffle(x, unshuffle) if unshuffle > 1 else x


def unfolded(x: Tensor, size: tuple[int, int], unshuffle: int) -> Tensor:
    """The other way round: `b c h w` of (height, width)."""
    x = nn.functional.pixel_shuffle(x, unshuffle) if unshuffle > 1 else x
    return x[..., : size[0], : size[1]]


def flat_encoder(channels: int, size: tuple[int, int], hidden: int, out: int) -> nn.Sequential:
    """Pictures to vectors by two fully connected layers: `b c h w` -> `b out`."""
    pixels = channels * size[0] * size[1]
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, out))


def flat_decoder(channels: int, size: tuple[int, int], hidden: int, into: int) -> nn.Sequential:
    """Those turned round: `b into` -> `b c h w`, unbounded values."""
    pixels = channels * size[0] * size[1]
    layers = nn.Linear(into, hidden), nn.ReLU(), nn.Linear(hidden, pixels)
    return nn.Sequential(*layers, nn.Unflatten(1, (channels, *size)))


def padding(size: tuple[int, int], levels: int, unshuffle: int = 1) -> tuple[int, int]:
    """Pixels that (height, width) lack for being folded once and halved `levels - 1` times."""
    factor = unshuffle * 2 ** (levels - 1)
    return up_to_multiple(size[0], factor) - size[0], up_to_multiple(size[1], factor) - size[1]


def grid(size: tuple[int, int], levels: int, unshuffle: int = 1) -> tuple[int, int]:
    """Height and width of the coarsest level, where each level but the first halves the folded picture."""
    factor = unshuffle * 2 ** (levels - 1)
    return up_to_multiple(size[0], factor) // factor, up_to_multiple(size[1], factor) // factor


def area(size: tuple[int, int], levels: int, unshuffle: int = 1) -> int:
    """Positions of that coarsest level."""
    height, width = grid(size, levels, unshuffle)
    return height * width
