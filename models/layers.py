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


def up_to_multiple(side: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is not below `side`."""
    return -(-side // multiple) * multiple


class Encoder(nn.Module):
    """Pictures of one size to vectors: residual convolutions, halved once a level, then one linear layer.

    `b c h w` -> `b out`; with `out` at 0 there is no linear layer, and the vector is the coarsest level itself. A size
    that can't be halved so often is padded at the right and bottom by its edge.
    """

    def __init__(self, channels: int, size: tuple[int, int], widths: tuple[int, ...], out: int, dropout: float = 0.0):
        super().__init__()
        self.padding = tuple(up_to_multiple(side, 2 ** (len(widths) - 1)) - side for side in size)
        stages: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, padding=1)]
        for a, b in pairwise(widths):
            stages += [residuals(a, 1, dropout, nn.SiLU), nn.Conv2d(a, b, 3, stride=2, padding=1)]
        stages += [residuals(widths[-1], 2, dropout, nn.SiLU), nn.SiLU()]
        self.convolutions = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(widths[-1] * area(size, len(widths)), out) if out else nn.Identity()

    def forward(self, x: Batch) -> Tensor:
        bottom, right = self.padding
        x = nn.functional.pad(x, (0, right, 0, bottom), mode="replicate")
        return self.linear(self.dropout(self.convolutions(x).flatten(1)))


class Decoder(nn.Module):
    """The encoder turned round: `b into` -> `b c h w`, unbounded values (logits or means; the network says which).

    Dropout falls on what a fully connected layer is given, here the code, so that no feature can do without the others'
    being able to do without it.
    """

    def __init__(self, channels: int, size: tuple[int, int], widths: tuple[int, ...], into: int, dropout: float = 0.0):
        super().__init__()
        self.size = size
        self.grid = grid(size, len(widths))
        self.linear = nn.Linear(into, widths[-1] * area(size, len(widths))) if into else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        stages: list[nn.Module] = [residuals(widths[-1], 2, dropout, nn.SiLU)]
        for b, a in pairwise(reversed(widths)):
            stages += [nn.ConvTranspose2d(b, a, 2, stride=2), residuals(a, 1, dropout, nn.SiLU)]
        stages += [nn.SiLU(), nn.Conv2d(widths[0], channels, 3, padding=1)]
        self.convolutions = nn.Sequential(*stages)

    def forward(self, code: Tensor) -> Batch:
        x = self.linear(self.dropout(code)).unflatten(1, (-1, *self.grid))
        return self.convolutions(x)[..., : self.size[0], : self.size[1]]


def flat_encoder(channels: int, size: tuple[int, int], hidden: int, out: int) -> nn.Sequential:
    """Pictures to vectors by two fully connected layers: `b c h w` -> `b out`."""
    pixels = channels * size[0] * size[1]
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, out))


def flat_decoder(channels: int, size: tuple[int, int], hidden: int, into: int) -> nn.Sequential:
    """Those turned round: `b into` -> `b c h w`, unbounded values."""
    pixels = channels * size[0] * size[1]
    layers = nn.Linear(into, hidden), nn.ReLU(), nn.Linear(hidden, pixels)
    return nn.Sequential(*layers, nn.Unflatten(1, (channels, *size)))


def grid(size: tuple[int, int], levels: int) -> tuple[int, int]:
    """Height and width of the coarsest level, where each level but the first halves the picture."""
    factor = 2 ** (levels - 1)
    return up_to_multiple(size[0], factor) // factor, up_to_multiple(size[1], factor) // factor


def area(size: tuple[int, int], levels: int) -> int:
    """Positions of that coarsest level."""
    height, width = grid(size, levels)
    return height * width
