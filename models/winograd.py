"""Residual blocks by Winograd's F(4x4, 3x3) and F(6x6, 3x3) on a CPU that has AVX2 and nothing quicker.

There its kernels (`winograd.c`, made when the package is installed where there is a C compiler) take two fifths of the
time of PyTorch's own convolutions, both ways; by the larger tiles, which need more room for weights and so are for
fewer channels and for what learns no more, a sixth less than that. They compute in fp32, four to six times as far off
as those: in the sixth digit.

Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
"""

import copy
import ctypes
import sys
import threading
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from models.layers import Enlarge, Residual, up_to_multiple
from models.types import Batch

STEP, LARGER_STEP = 4, 6
"""Places of what either kind of tile becomes."""
LANES, WIDE, TILES, APART = 8, 16, 6, 16
"""As the kernels have them."""
LARGEST = 4096
"""Channels that they know."""
MANY = 256
"""Channels whose transformed weights a cache has no room for: the larger tiles' are nearly twice as many."""
G = {
    STEP: (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    LARGER_STEP: (
        (1, 0, 0),
        (-2 / 9, -2 / 9, -2 / 9),
        (-2 / 9, 2 / 9, -2 / 9),
        (1 / 90, 1 / 45, 2 / 45),
        (1 / 90, -1 / 45, 2 / 45),
        (1 / 45, 1 / 90, 1 / 180),
        (1 / 45, -1 / 90, 1 / 180),
        (0, 0, 1),
    ),
}
"""What transforms three weights in a row, by step."""
TOGETHER = {STEP: 24, LARGER_STEP: 12}
"""Tiles of fewer than MANY channels that a thread takes at a time at most, so that they stay near the processor."""
TOGETHER_OF_MANY = 96
"""And of as many or more, whose weights are to be fetched seldom."""


class Shape(ctypes.Structure):
    """Of a convolution, as the kernels take it."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("count", "height", "width", "given", "out", "step"))

    @property
    def tiles(self) -> int:
        return self.count * -(-self.height // self.step) * -(-self.width // self.step)

    @property
    def points(self) -> int:
        """Of a transformed tile."""
        return (self.step + 2) ** 2


VERSION = 3
"""Of the kernels that are called here."""


@cache
def kernels() -> Any:
    """The library of them; None where it was not made, or of other words."""
    spec = find_spec("models._winograd")
    try:
        library = ctypes.CDLL(str(spec.origin)) if spec else None
        return library if library and ctypes.c_int.in_dll(library, "version").value == VERSION else None
    except (OSError, ValueError):
        return None


NEEDED = ("avx2", "fma3")
"""What the kernels are made of."""
QUICKER = ("avx512_f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_tile")
"""With any of these OpenVINO is faster, or not known to be slower."""


def gains() -> bool:
    """Whether this processor has what the kernels need and nothing that is quicker, and they are there."""
    has = torch.cpu.get_capabilities().get
    return all(map(has, NEEDED)) and not any(map(has, QUICKER)) and kernels() is not None


def suits(block: nn.Module) -> bool:
    """Whether a module is a block that the kernels compute."""
    if not isinstance(block, Residual) or not isinstance(block.activation, nn.ReLU) or block.dropout.p:
        return False
    return fits(block.first) and block.first.out_channels % WIDE == 0


def fits(layer: nn.Module) -> bool:
    """Whether a module is a convolution that the kernels compute, be it with channels added that nobody asks for."""
    if not isinstance(layer, nn.Conv2d) or any(getattr(layer, name) != value for name, value in KNOWN.items()):
        return False
    channels = layer.in_channels, layer.out_channels
    return channels[0] % LANES == 0 and max(channels) <= LARGEST and layer.bias is not None


KNOWN = {
    "kernel_size": (3, 3),
    "stride": (1, 1),
    "padding": (1, 1),
    "dilation": (1, 1),
    "groups": 1,
    "padding_mode": "zeros",
}
"""The convolution that the kernels compute."""


def enlarges(layer: nn.Module) -> bool:
    """Whether a module enlarges by what the kernels do sooner: with more channels PyTorch is as fast."""
    if not isinstance(layer, Enlarge) or layer.in_channels >= MANY or layer.bias is None:
        return False
    return layer.in_channels % LANES == 0 and layer.out_channels % WIDE == 0


def quickens(network: nn.Module) -> bool:
    """Whether the kernels gain here, and a network has blocks for them."""
    return gains() and any(map(suits, network.modules()))


def quickened(network: nn.Module) -> Any:
    """A network on the CPU in fp32 that learns the same weights, whose blocks are computed by the kernels."""
    return replaced(network, lambda layer: Learning(cast(Residual, layer)) if suits(layer) else None)


def frozen(network: nn.Module) -> Any:
    """The same for a network that learns no more, and has no gradients; all of its layers that can be."""
    pool = Pool()

    def instead(layer: nn.Module) -> nn.Module | None:
        if suits(layer):
            return Frozen(cast(Residual, layer), pool)
        if enlarges(layer):
            return Enlarged(cast(Enlarge, layer), pool)
        return Convolution(cast(nn.Conv2d, layer), pool) if fits(layer) else None

    return replaced(network, instead)


def replaced(network: nn.Module, instead: Callable[[nn.Module], nn.Module | None]) -> Any:
    """A network of the same parts, and other modules in the place of some."""
    if new := instead(network):
        return new
    parts = {name: replaced(module, instead) for name, module in network.named_children()}
    if not parts:
        return network
    twin = copy.copy(network)
    twin._modules = parts
    return twin


class Pool:
    """Memory for what layers answer, kept for the next: to be given 50 MB takes as long as to fill them."""

    def __init__(self) -> None:
        self.kept: list[np.ndarray] = []

    def take(self, count: int, channels: int, height: int, width: int) -> Batch:
        """Room that no tensor shares, `b c h w`, channels last."""
        size = count * channels * height * width
        idle = [number for number in range(len(self.kept)) if sys.getrefcount(self.kept[number]) == IDLE]
        fitting = [number for number in idle if self.kept[number].size >= size]
        if fitting:
            room = self.kept[min(fitting, key=lambda number: self.kept[number].size)]
        else:  # what is too small is let go first, so that not both need memory
            self.kept = [one for number, one in enumerate(self.kept) if number not in idle]
            self.kept.append(room := np.empty(size, np.float32))
        return torch.from_numpy(room)[:size].view(count, height, width, channels).permute(0, 3, 1, 2)


IDLE = next(sys.getrefcount(kept[0]) for kept in [[np.empty(0)]])
"""References to an array of the pool that no tensor shares: its own, and that of who asks."""


class Learning(nn.Module):
    """A residual block of ReLU, `b c h w` -> the same, with gradients."""

    def __init__(self, block: Residual):
        super().__init__()
        self.first, self.second = block.first, block.second

    def forward(self, x: Batch) -> Batch:
        layers = self.first, self.second
        return cast(Tensor, Block.apply(x, *(part for layer in layers for part in (layer.weight, layer.bias))))


class Frozen(nn.Module):
    """The same without."""

    def __init__(self, block: Residual, pool: Pool):
        super().__init__()
        self.first, self.second = (Convolution(layer, pool) for layer in (block.first, block.second))

    def forward(self, x: Batch) -> Batch:
        return self.second(self.first(x, rectified=True), added=ordered(x))


class Convolution(nn.Module):
    """A 3x3 convolution whose weights are transformed once and for all, `b i h w` -> `b o h w`."""

    def __init__(self, layer: nn.Conv2d, pool: Pool):
        super().__init__()
        self.out, self.pool = layer.out_channels, pool
        self.weight = layer.weight  # as networks look at its type
        missing = -self.out % WIDE
        self.step = LARGER_STEP if layer.in_channels < MANY else STEP
        self.weights = packed(F.pad(layer.weight.detach(), (0, 0, 0, 0, 0, 0, 0, missing)), self.step)
        self.biases = F.pad(cast(Tensor, layer.bias).detach(), (0, missing))

    def forward(self, x: Tensor, added: Tensor | None = None, rectified: bool = False) -> Tensor:
        y = self.pool.take(len(x), len(self.biases), *x.shape[2:])
        whole = convolved(ordered(x), self.weights, y, self.biases, added, rectified=rectified, step=self.step)
        return whole[:, : self.out]


class Enlarged(nn.Module):
    """An `Enlarge` that learns no more."""

    def __init__(self, layer: Enlarge, pool: Pool):
        super().__init__()
        self.pool, self.bias = pool, cast(Tensor, layer.bias).detach()
        given, out = layer.in_channels, layer.out_channels
        columns = layer.weight.detach().permute(2, 3, 1, 0).reshape(4, out // WIDE, WIDE, given)
        self.weights = columns.transpose(2, 3).contiguous()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x, skip, y = ordered(x), ordered(skip), self.pool.take(*skip.shape)
        shape = Shape(len(x), *x.shape[2:], x.shape[1], y.shape[1])
        given = map(place, (x, self.weights, self.bias, skip, y))
        kernels().enlarge(*given, ctypes.byref(shape), ctypes.c_long(torch.get_num_threads()))
        return y


class Block(torch.autograd.Function):
    """x + second * max(0, first * x + its bias) + its bias, with gradients."""

    @staticmethod
    def forward(ctx: Any, x: Batch, first: Tensor, bias: Tensor, second: Tensor, other: Tensor) -> Batch:
        x = ordered(x)
        middle = convolved(x, packed(first), torch.empty_like(x), bias, rectified=True)
        ctx.save_for_backward(x, middle, first, second)
        return convolved(middle, packed(second), torch.empty_like(x), other, added=x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, ...]:  # type: ignore[override]
        x, middle, first, second = ctx.saved_tensors
        above = ordered(gradients[0])
        within = convolved(above, packed(turned(second)), torch.empty_like(x), gate=middle)
        below = convolved(within, packed(turned(first)), torch.empty_like(x), added=above)
        return below, weighed(x, within), within.sum((0, 2, 3)), weighed(middle, above), above.sum((0, 2, 3))


def ordered(x: Batch) -> Batch:
    """As the kernels read it: floats, channels last."""
    return x.float().contiguous(memory_format=torch.channels_last)


def turned(weights: Tensor) -> Tensor:
    """The weights `o i 3 3` that gradients pass through backwards: `i o 3 3`."""
    return weights.flip(2, 3).transpose(0, 1)


def packed(weights: Tensor, step: int = STEP) -> Tensor:
    """Weights `o i 3 3`, transformed for tiles of either kind: `point o/WIDE i WIDE`."""
    out, given = weights.shape[:2]
    columns = weights.reshape(out // WIDE, WIDE, given, 3, 3).permute(3, 4, 0, 2, 1)
    return (matrix(step) @ columns.reshape(9, -1)).view(-1, out // WIDE, given, WIDE)


@cache
def matrix(step: int = STEP) -> Tensor:
    """G by itself: what transforms nine weights, `point 9`."""
    rows = torch.tensor(G[step])
    return torch.kron(rows, rows)


def convolved(
    x: Tensor,
    weights: Tensor,
    y: Tensor,
    bias: Tensor | None = None,
    added: Tensor | None = None,
    gate: Tensor | None = None,
    rectified: bool = False,
    step: int = STEP,
) -> Tensor:
    """`x`, `b i h w`, by weights packed for that step into `y`, `b o h w`, both channels last, and one thing more in
    the same go: what is added; nought where `gate` is not above it, which has no bias; nought for what is below it."""
    shape = Shape(len(x), *x.shape[2:], x.shape[1], y.shape[1], step)
    given = map(place, (x, weights, bias, added, gate))
    kernels().convolve(*given, rectified, place(y), ctypes.byref(shape), *room(shape))
    return y


def weighed(x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient `o i 3 3` of the weights by which `x`, `b i h w`, became what has that gradient, `b o h w`."""
    shape = Shape(len(x), *x.shape[2:], x.shape[1], gradient.shape[1], STEP)
    weights = torch.zeros(shape.points, shape.given * shape.out)
    kernels().weigh(*map(place, (x, gradient, weights)), ctypes.byref(shape), *room(shape, together=True))
    return (matrix().T @ weights).view(3, 3, shape.given, shape.out).permute(3, 2, 0, 1)


class Room(threading.local):
    """What is kept, for each thread that calls."""

    def __init__(self) -> None:
        self.kept = [torch.empty(0), torch.empty(0)]


ROOM = Room()


def room(shape: Shape, together: bool = False) -> tuple[ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]:
    """How many tiles a thread takes at a time, or all threads do together; how many threads there are; and where tiles
    lie transformed.

    What they need is kept for each caller.
    """
    threads, most = torch.get_num_threads(), TOGETHER[shape.step] if shape.given < MANY else TOGETHER_OF_MANY
    turns = max(1, -(-shape.tiles // (most * threads)))  # as many for each thread
    block = up_to_multiple(-(-shape.tiles // (turns if together else turns * threads)), TILES)
    tiles = block if together else block * threads
    needed = [shape.points * tiles * (channels + APART) for channels in (shape.given, shape.out)]
    for number, size in enumerate(needed):
        if len(ROOM.kept[number]) < size:
            ROOM.kept[number] = torch.empty(0)  # let go first
            ROOM.kept[number] = torch.empty(size)
    v, m = map(place, ROOM.kept)
    return ctypes.c_long(block), ctypes.c_long(threads), v, m


def place(tensor: Tensor | None) -> ctypes.c_void_p:
    """Where a tensor's numbers lie."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())
