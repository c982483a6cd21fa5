"""A small classifier of pictures of 28 px, whose last hidden layer is where sets of pictures are compared."""

import torch
from torch import Tensor, nn

from models.types import Batch

CLASSES = 10
FEATURES = 64


class Classifier(nn.Module):
    """Grey pictures of 28x28 to ten classes: five convolutions with batch norms, FEATURES numbers, the classes."""

    def __init__(self) -> None:
        super().__init__()
        layers = [*convolution(1, 16), *convolution(16, 32, 2), *convolution(32, 32), *convolution(32, 64, 2)]
        self.convolutions = nn.Sequential(*layers, *convolution(64, 48, 2), nn.Flatten())
        self.linear = nn.Linear(48 * 4 * 4, FEATURES)
        self.dropout = nn.Dropout(0.2)
        self.classes = nn.Linear(FEATURES, CLASSES)

    def features(self, x: Batch) -> Tensor:
        """`b 1 28 28` in [0, 1] -> `b f`, before their activation."""
        return self.linear(self.convolutions(x))

    def forward(self, x: Batch) -> Tensor:
        """`b 1 28 28` in [0, 1] -> logits `b 10`."""
        return self.classes(self.dropout(torch.relu(self.features(x))))


def convolution(a: int, b: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.Conv2d(a, b, 3, stride, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()
