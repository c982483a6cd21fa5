"""The sparse autoencoder: most of a code is exactly zero."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.autoencoder import Autoencoder, AutoencoderConfig
from models.types import Batch, Code, Level

FIRST_PRICE, LOWEST_PRICE, HIGHEST_PRICE = 1e-4, 1e-7, 10.0
PATIENCE = 15.0
"""Steps in which the price would grow e-fold if the share of zeros were off by all there is."""


@dataclass(frozen=True)
class SparseConfig(AutoencoderConfig):
    """As the plain autoencoder's; target: share of the code that is to be exactly zero."""

    target: float = 0.8

    def __post_init__(self) -> None:
        if self.code < 1:
            raise ValueError("a sparse autoencoder needs a code: its length must be above 0")
        super().__post_init__()


class Rebuilt(NamedTuple):
    """What one forward pass knows: the code, the picture made of it, and what the code's size costs (`price`, nought
    dimensions), for each unit of its mean absolute value."""

    code: Code
    picture: Batch
    price: Tensor


class SparseAutoencoder(Autoencoder):
    """The plain autoencoder with a code that is standardised, then thresholded and rectified, and costs its L1 norm.

    Without standardising, a network would pay less by shrinking its code and growing the weights behind it; with it
    the only way to pay less is to be zero more often. It also keeps units alive: each is spread around its threshold,
    which starts where the target share of a normal falls below it.

    The price is what the penalty is multiplied by. It grows while fewer values than the target are zero, shrinks while
    more are (integral control of a Lagrange multiplier), and starts low, so that a code is learned before it thins.
    It is a buffer here, as the running means that standardise are: what is saved, resumed, averaged and shipped with
    the weights is then whole, and the objective stays a function of what it is given.

    Sources: Ng 2011, "Sparse autoencoder" (CS294A), for the penalty on activations; Ioffe and Szegedy 2015, "Batch
    Normalization", without its scale.
    """

    price: Tensor

    def __init__(self, config: SparseConfig):
        super().__init__(config)
        self.target = config.target
        self.standard = nn.BatchNorm1d(config.code, eps=1e-10, affine=False)
        start = NormalDist().inv_cdf(min(max(config.target, 0.01), 0.99))
        self.threshold = nn.Parameter(torch.full((config.code,), start))
        self.register_buffer("price", torch.tensor(FIRST_PRICE))

    def code(self, x: Batch) -> Code:
        """The code of each picture, none of it negative and most of it exactly zero."""
        return F.relu(self.standard(self.encoder(x)) - self.threshold)

    def reconstruct(self, x: Batch) -> Batch:
        """Each picture through its code and back."""
        return self.rebuilt(self.code(x), x)

    def forward(self, noisy: Batch, level: Level | None = None) -> Rebuilt:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Code and picture; while training, the price moves towards what holds the target. Raises ValueError for a
        batch of one to be trained on: of one picture nothing can be standardised."""
        if self.training and len(noisy) < 2:
            raise ValueError("a sparse code is standardised over the pictures of a batch: it takes 2 or more, not 1")
        code = self.code(noisy)
        if self.training:
            self.adapt(code.detach())
        return Rebuilt(code, self.rebuilt(code, noisy), self.price.clone())

    def adapt(self, code: Code) -> None:
        """price <- price * exp((target - share of zeros) / patience), within bounds."""
        missing = self.target - (code == 0).float().mean()
        self.price.mul_(torch.exp(missing / PATIENCE)).clamp_(LOWEST_PRICE, HIGHEST_PRICE)
