"""Weights as a checkpoint's file holds them: in 32 bits, in 16, and some in 8.

A weight of 8 bits, `o ...`, is whole numbers beside NAME.scale, `o`, by which each channel that comes out is to be
multiplied: the same steps that `models.compiled` computes with, so that nothing is lost which was not to be lost there.
"""

from collections.abc import Collection

import torch
from torch import Tensor

SCALE = ".scale"
STEPS = 127
"""Up to the largest weight of a channel, and as many below nought."""
SMALLEST = 1e-6
"""What values that are rounded reach at least, as in a channel of noughts."""


def kept(weights: dict[str, Tensor], half: bool, rounded: Collection[str] = ()) -> dict[str, Tensor]:
    """What is to be stored; with `half` in 16-bit floats, and those weights that are `rounded` in 8 bits."""
    tensors = {
        name: tensor.half() if half and tensor.is_floating_point() else tensor for name, tensor in weights.items()
    }
    for name in rounded if half else ():
        weight = weights[name].float()
        scale = weight.flatten(1).abs().amax(1).clamp(min=SMALLEST) / STEPS
        tensors |= {name: (weight / along(scale, weight)).round().to(torch.int8), name + SCALE: scale}
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}


def restored(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, as 32-bit floats, of what was stored. Raises ValueError for what is no weight, or not finite."""
    eight = {name for name, tensor in tensors.items() if tensor.dtype == torch.int8}
    scales = {name: scale_of(name, tensors) for name in eight}
    others = {name: tensor for name, tensor in tensors.items() if name not in eight | {name + SCALE for name in eight}}
    # Brought to what 16 bits hold, so that a compiled graph of them is kept in 16 too.
    multiplied = {name: (tensors[name] * along(scale, tensors[name])).half().float() for name, scale in scales.items()}
    return {name: floats(name, tensor) for name, tensor in (others | multiplied).items()}


def scale_of(name: str, tensors: dict[str, Tensor]) -> Tensor:
    """What a weight of 8 bits is to be multiplied by. Raises ValueError."""
    scale, weight = tensors.get(name + SCALE), tensors[name]
    if scale is None or not weight.ndim or scale.shape != weight.shape[:1]:
        raise ValueError(f"{name} has 8 bits, and no {name + SCALE} with a number for each of its channels")
    return floats(name + SCALE, scale)


def along(scale: Tensor, weight: Tensor) -> Tensor:
    """A number for each channel, `o`, in the shape that multiplies a weight, `o ...`."""
    return scale.view(-1, *(1,) * (weight.ndim - 1))


def floats(name: str, tensor: Tensor) -> Tensor:
    """A tensor as 32-bit floats. Raises ValueError where it is of another kind, or holds what is not finite.

    One whole number alone may be there as well: a layer that standardises counts its batches.
    """
    if tensor.dtype == torch.int64 and not tensor.ndim:
        return tensor
    if not tensor.is_floating_point() or not tensor.isfinite().all():
        raise ValueError(f"{name} is not made of finite floating point numbers")
    return tensor.float()
