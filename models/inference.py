"""Asking a network: pixels in, pixels out. Both the service's engine and the command line ask through these.

Pixels come as they were uploaded (uint8 or uint16, `h w c`) and become floats on the device, here alone.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import restore
from models.restore import Tiling
from models.types import GREY_LEVELS, Needs, Pixels, Restorer, Sampler

DECODE_BATCH = 16
"""Codes are decoded in batches of this one size, so that a picture doesn't depend on what shares its batch."""


class NotFinite(ArithmeticError):
    """A network gave a value that is not finite; it is told, never hidden by a clamp."""


class WrongSize(ValueError):
    """The network takes pictures of one size alone, and this is another."""

    def __init__(self, needed: tuple[int, int], given: tuple[int, int]):
        super().__init__(f"this model takes {needed[1]}x{needed[0]} pixels, and the picture has {given[1]}x{given[0]}")
        self.needed, self.given = needed, given


def chosen_device(name: str) -> torch.device:
    """`auto` is the GPU when there is one. Raises ValueError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("there is no GPU that PyTorch can use; choose the device cpu or auto")
    return torch.device(name)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the processor computes in bf16, rather than imitating it slowly."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def prepared(network: Any, device: torch.device) -> Any:
    """The network on its device, channels last, in bf16 where it may and the processor can."""
    dtype = torch.bfloat16 if network.needs.low_precision and has_bfloat16(device) else torch.float32
    return network.eval().to(device=device, dtype=dtype, memory_format=torch.channels_last)


def tiling_for(needs: Needs, tile: int, buckets: tuple[int, ...] = ()) -> Tiling:
    """How pictures are cut for a network; one that takes a single size gets that size whole."""
    if needs.size:
        return Tiling(max(needs.size), 0)
    tile = max(tile // needs.multiple * needs.multiple, 2 * needs.halo + needs.multiple)
    return Tiling(tile, needs.halo, needs.multiple, buckets)


def check_size(needs: Needs, height: int, width: int) -> None:
    """Raises WrongSize for a picture that the network can't take."""
    if needs.size and (height, width) != needs.size:
        raise WrongSize(needs.size, (height, width))


@torch.inference_mode()
def restore_tiles(network: Restorer, tiles: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Tiles `b h w c` (uint8 or uint16), noise levels `b` in 8-bit grey levels -> restored tiles, the same type.

    Grey pictures pass through a network for colour as three equal channels and come back as their mean; colours pass
    through a grey network channel by channel. Raises NotFinite.
    """
    channels = network.needs.channels
    device = device_of(network)
    peak = float(np.iinfo(tiles.dtype).max)
    pixels = to_device(tiles, device).permute(0, 3, 1, 2).float() / peak
    levels = torch.as_tensor(sigma, dtype=torch.float32).to(device) / GREY_LEVELS
    given = pixels.shape[1]
    if given == 1 and channels == 3:
        pixels = pixels.expand(-1, 3, -1, -1)
    elif given == 3 and channels == 1:
        pixels, levels = pixels.flatten(0, 1).unsqueeze(1), levels.repeat_interleave(3)
    restored = finite(network(pixels.contiguous(memory_format=torch.channels_last), levels).float())
    if given == 1:
        restored = restored.mean(1, keepdim=True)
    elif channels == 1:
        restored = restored.squeeze(1).unflatten(0, (-1, 3))
    return to_pixels(restored, tiles.dtype)


@torch.inference_mode()
def decode_codes(network: Sampler, codes: np.ndarray) -> np.ndarray:
    """Codes `n k` float32, at most DECODE_BATCH -> pictures `n h w c` uint8. Raises NotFinite."""
    full = np.zeros((DECODE_BATCH, codes.shape[1]), np.float32)
    full[: len(codes)] = codes
    pictures = network.decode(torch.from_numpy(full).to(device_of(network)))
    return to_pixels(finite(pictures.float()), np.dtype(np.uint8))[: len(codes)]


def restored(
    network: Restorer, pixels: Pixels, sigma: float, tiling: Tiling, done: Callable[[float], None] = lambda share: None
) -> Pixels:
    """A picture of any size, tile by tile; `done` is told the share of tiles done. Level 0 leaves it as it is."""
    height, width = pixels.shape[:2]
    check_size(network.needs, height, width)
    if network.needs.level and sigma == 0:
        return pixels
    answer = np.empty_like(pixels)
    windows = restore.split(height, width, tiling)
    for number, window in enumerate(windows, 1):
        tile = restore.cut(pixels, window)
        restore.join(answer, window, restore_tiles(network, tile[None], np.array([sigma]))[0])
        done(number / len(windows))
    return answer


def device_of(network: Any) -> torch.device:
    """Where the network's weights are."""
    return next(network.parameters()).device


def to_device(pixels: np.ndarray, device: torch.device) -> Tensor:
    """uint8 or uint16 as they are, to the device."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).to(device)


def finite(values: Tensor) -> Tensor:
    """The values, if all of them are finite."""
    if not torch.isfinite(values).all():
        raise NotFinite("the network gave a value that is not finite")
    return values


def to_pixels(values: Tensor, dtype: np.dtype) -> np.ndarray:
    """`b c h w` in [0, 1] -> `b h w c` whole grey levels of that type."""
    peak = float(np.iinfo(dtype).max)
    levels = values.clamp(0, 1).mul(peak).round().permute(0, 2, 3, 1)
    return levels.to(torch.uint8 if dtype == np.uint8 else torch.int32).cpu().contiguous().numpy().astype(dtype)
