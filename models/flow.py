"""A RealNVP flow over vectors: a learned, invertible map between a standard normal and a prior of any shape."""

from typing import cast

import torch
from torch import Tensor, nn

from models.types import Code

LOG_SCALE_BOUND = 1.0
"""A coupling stretches a dimension by a factor within exp(+-1), so that a few of them can be undone in 32 bits."""


class Coupling(nn.Module):
    """Some of a vector's dimensions scaled and shifted by what the others say; the others stay.

    moves: which dimensions move, a row of zeros and ones as long as the vector.
    """

    def __init__(self, moves: tuple[float, ...], width: int):
        super().__init__()
        self.moves = moves
        last = nn.Linear(width, 2 * len(moves))
        for parameter in last.parameters():
            nn.init.zeros_(parameter)  # so that it begins as the identity
        first = nn.Linear(len(moves), width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        self.network = nn.Sequential(*first, last)

    def told(self, z: Code) -> tuple[Tensor, Tensor]:
        """Log scale and shift of each dimension, `b k` each, nought for those that stay."""
        moves = z.new_tensor(self.moves)
        log_scale, shift = self.network(z * (1 - moves)).chunk(2, 1)
        return moves * LOG_SCALE_BOUND * torch.tanh(log_scale / LOG_SCALE_BOUND), moves * shift

    def forward(self, z: Code) -> tuple[Code, Tensor]:
        """The vector moved, and the log determinant of that, `b`."""
        log_scale, shift = self.told(z)
        return z * torch.exp(log_scale) + shift, log_scale.sum(1)

    def inverse(self, moved: Code) -> Code:
        """The vector that was moved: the dimensions that stay say by how much, as they did before."""
        log_scale, shift = self.told(moved)
        return (moved - shift) * torch.exp(-log_scale)


class Flow(nn.Module):
    """Affine couplings one after another, from what an encoder gives to a standard normal.

    Source: Dinh et al. 2017, "Density Estimation using Real NVP", section 3; as a VAE's prior, Chen et al. 2017,
    "Variational Lossy Autoencoder", section 3.2. Their checkerboards for vectors: coupling i moves the dimensions whose
    number has bit i // 2 set, or not set where i is odd, counted round; with two couplings for each bit that numbers
    have any two dimensions part somewhere.
    """

    def __init__(self, size: int, couplings: int, width: int):
        super().__init__()
        self.couplings = nn.ModuleList(Coupling(checkerboard(size, number), width) for number in range(couplings))

    def forward(self, z: Code) -> tuple[Code, Tensor]:
        """z `b k` -> where it lies in the standard normal, `b k`, and the log determinant, `b`, so that
        log p(z) = log N(base; 0, I) + log determinant."""
        log_determinant = z.new_zeros(z.shape[0])  # len() would fix the batch in an exported graph
        for coupling in self.couplings:
            z, more = coupling(z)
            log_determinant = log_determinant + more
        return z, log_determinant

    def inverse(self, base: Code) -> Code:
        """The other way round: a draw from the standard normal -> one from the prior."""
        for coupling in reversed(self.couplings):
            base = cast(Coupling, coupling).inverse(base)
        return base


def checkerboard(size: int, number: int) -> tuple[float, ...]:
    """Which of `size` dimensions coupling `number` moves; never all of them, and never none where there are two."""
    bits = max(1, (size - 1).bit_length())
    bit, other = divmod(number, 2)
    return tuple(float((dimension >> (bit % bits)) % 2 != other) for dimension in range(size))
