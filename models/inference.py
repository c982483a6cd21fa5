"""Asking a network: pixels in, pixels out. Both the service's engine and the command line ask through these.

Pixels come as they were uploaded (uint8 or uint16, `h w c`) and become floats beside the network, here alone. A task
is a module around the network that does this; it runs in PyTorch on a GPU, compiled by OpenVINO on a CPU, and in
PyTorch there too where OpenVINO is not installed or does not give what PyTorch gives.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from models import compiled, restore
from models.compiled import CannotCompile, Compiled
from models.restore import Tiling
from models.types import GREY_LEVELS, Needs, Pixels

DECODE_BATCH = 16
"""Codes are decoded in batches of this one size, so that a picture doesn't depend on what shares its batch."""

log = logging.getLogger("denoir")


class NotFinite(ArithmeticError):
    """A network gave a value that is not finite; it is told, never hidden by a clamp."""

    def __init__(self) -> None:
        super().__init__("the network gave a value that is not finite")


class WrongSize(ValueError):
    """The network takes pictures of one size alone, and this is another."""

    def __init__(self, needed: tuple[int, int], given: tuple[int, int]):
        super().__init__(f"this model takes {needed[1]}x{needed[0]} pixels, and the picture has {given[1]}x{given[0]}")
        self.needed, self.given = needed, given


def chosen_device(name: str) -> torch.device:
    """`auto` is the GPU when there is one. Raises ValueError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"there is no device {name!r}; choose auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no GPU {name!r} that PyTorch can use; choose the device cpu or auto")
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether the processor computes in bf16, rather than imitating it slowly."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


class Restoring(nn.Module):
    """A restorer, asked in grey levels."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor, sigma: Tensor, peak: Tensor) -> tuple[Tensor, Tensor]:
        """Tiles `b h w c` in 0..peak, noise levels `b` in 8-bit grey levels -> restored tiles, whole numbers; and the
        sum `b` of what the network gave, which is finite where all of it is."""
        pixels = (tiles.permute(0, 3, 1, 2) / peak).contiguous(memory_format=torch.channels_last)
        restored = self.network(pixels, sigma / GREY_LEVELS).float()
        return (restored.clamp(0, 1) * peak).round().permute(0, 2, 3, 1), restored.abs().sum((1, 2, 3))


class Decoding(nn.Module):
    """A sampler's second half."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Codes `n k` -> pictures `n h w c`, whole grey levels; and the sum `n` of what the network gave."""
        pictures = self.network.decode(codes).float()
        return (pictures.clamp(0, 1) * GREY_LEVELS).round().permute(0, 2, 3, 1), pictures.abs().sum((1, 2, 3))


@dataclass(frozen=True)
class Task:
    """What a network can be asked.

    module: around the network, from raw arrays to raw arrays. example: arguments that the graph is drawn and checked
    with. moving: the sizes among them that change from call to call, as `torch.export` takes them.
    """

    module: Callable[[Any], nn.Module]
    example: Callable[[Needs], tuple[np.ndarray, ...]]
    moving: Callable[[Needs], Any]


def restoring_example(needs: Needs) -> tuple[np.ndarray, ...]:
    """Two noisy tiles of a size that the network takes."""
    height, width = needs.size or (8 * needs.multiple, 10 * needs.multiple)
    rows, columns = np.mgrid[:height, :width]
    smooth = 128 + 80 * np.sin(rows / 9) * np.cos(columns / 7)
    noisy = smooth[None, ..., None] + np.random.default_rng(0).normal(0, 25, (2, height, width, needs.channels))
    tiles = noisy.clip(0, 255).round().astype(np.uint8)
    return tiles, np.array([25, 20], np.float32), np.array(255, np.float32)


def restoring_sizes(needs: Needs) -> Any:
    """Any number of tiles, and where the network allows it of any size on its grid."""
    tiles: dict[int, Any] = {0: Dim("b")}
    if not needs.size:
        tiles |= {1: needs.multiple * Dim("h"), 2: needs.multiple * Dim("w")}
    return tiles, {0: tiles[0]}, None


def decoding_example(needs: Needs) -> tuple[np.ndarray, ...]:
    """One full batch of codes."""
    return (np.random.default_rng(0).standard_normal((DECODE_BATCH, needs.latent or 0), np.float32),)


TASKS = {
    "restore": Task(Restoring, restoring_example, restoring_sizes),
    "decode": Task(Decoding, decoding_example, lambda needs: (None,)),
}

TASK_OF = {"denoise": "restore", "reconstruct": "restore", "sample": "decode"}
"""The task behind each thing that a model can be asked."""

Program = Callable[..., tuple[np.ndarray, ...]]
"""Raw arrays, and the type that the first result should have -> results."""


class Eager:
    """A task's module in PyTorch."""

    def __init__(self, module: nn.Module, device: torch.device):
        self.module, self.device = module, device

    @torch.inference_mode()
    def __call__(self, *arrays: np.ndarray, answer: np.dtype) -> tuple[np.ndarray, ...]:
        given = [torch.from_numpy(np.ascontiguousarray(array)).to(self.device).float() for array in arrays]
        first, *others = self.module(*given)
        whole = first.to(torch.uint8 if answer == np.uint8 else torch.int32)  # a NaN among them is told by the sum
        return whole.contiguous().cpu().numpy().astype(answer), *(other.cpu().numpy() for other in others)


class Session:
    """A network ready to be asked on one device, by one caller at a time.

    title: what it is called in a warning. weights: the hash that compiled graphs are kept by in the folder `graphs`;
    without either none is kept.
    """

    def __init__(
        self, network: Any, device: torch.device, title: str = "", weights: str = "", graphs: Path | None = None
    ):
        self.network, self.device, self.title = network.eval().to(device), device, title or type(network).__name__
        self.weights, self.graphs = weights, graphs
        self.low_precision = network.needs.low_precision and has_bfloat16(device)
        self.programs: dict[str, Program] = {}

    @property
    def needs(self) -> Needs:
        return self.network.needs

    @property
    def made(self) -> str:
        """What runs it, and in how many bits."""
        by_openvino = any(isinstance(program, Compiled) for program in self.programs.values())
        return f"{'OpenVINO' if by_openvino else 'PyTorch'}, {'bf16' if self.low_precision else 'fp32'}"

    def program(self, task: str) -> Program:
        """The task's program, made when first asked for."""
        if task not in self.programs:
            self.programs[task] = self.compiled(task) or self.eager(task)
        return self.programs[task]

    def prepare(self, asks: tuple[str, ...]) -> None:
        """Makes the programs for all that the model is asked."""
        for ask in asks:
            self.program(TASK_OF[ask])

    def eager(self, task: str) -> Eager:
        """In PyTorch, in bf16 where the network may and the processor can."""
        dtype = torch.bfloat16 if self.low_precision else torch.float32
        network = self.network.to(device=self.device, dtype=dtype, memory_format=torch.channels_last)
        return Eager(TASKS[task].module(network), self.device)

    def compiled(self, task: str) -> Compiled | None:
        """By OpenVINO, checked against PyTorch; None where it isn't there, can't take the network or disagrees."""
        if self.device.type != "cpu" or not compiled.available():
            return None
        module = TASKS[task].module(self.network)
        try:
            program = Compiled(self.graph(task, module), self.low_precision, torch.get_num_threads())
            difference = disagreement(program, module, TASKS[task].example(self.needs))
        except CannotCompile as error:
            log.warning("%s: can't be compiled to %s, and runs in PyTorch: %s", self.title, task, error)
            return None
        if difference > (BF16_DISAGREEMENT if self.low_precision else FP32_DISAGREEMENT):
            log.warning("%s: compiled to %s it is %.2g off; runs in PyTorch", self.title, task, difference)
            return None
        return program

    def graph(self, task: str, module: nn.Module) -> Any:
        """The task's graph, from those that are kept or drawn and then kept."""
        name = compiled.name_of(self.weights, task)
        graphs = self.graphs if self.weights else None
        if graphs and (found := compiled.kept(graphs, name)):
            return found
        example = [torch.from_numpy(array).float() for array in TASKS[task].example(self.needs)]
        drawn = compiled.graph_of(module, example, TASKS[task].moving(self.needs))
        if graphs:
            try:
                compiled.keep(graphs, name, drawn, compiled.fits_halves(module))
            except OSError as error:
                log.info("%s: its compiled graph can't be kept in %s: %s", self.title, graphs, error)
        return drawn

    def restore(self, tiles: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tiles `b h w c` (uint8 or uint16), noise levels `b` in 8-bit grey levels -> restored tiles, the same type;
        and which of them, `b`, are of finite values alone.

        Grey tiles pass through a network for colour as three equal channels and come back as their mean; colours pass
        through a grey network channel by channel.
        """
        given = tiles.shape[3]
        fitted = with_channels(tiles, self.needs.channels)
        levels = np.repeat(np.asarray(sigma, np.float32), len(fitted) // len(tiles))
        peak = np.array(np.iinfo(tiles.dtype).max, np.float32)
        answer, magnitude = self.program("restore")(fitted, levels, peak, answer=tiles.dtype)
        finite = np.isfinite(magnitude).reshape(len(tiles), -1)
        return back_to_channels(answer, given), np.asarray(finite.all(1))

    def decode(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes `n k` float32, at most DECODE_BATCH -> pictures `n h w c` uint8; and which, `n`, are finite."""
        full = np.zeros((DECODE_BATCH, codes.shape[1]), np.float32)
        full[: len(codes)] = codes
        pictures, magnitude = self.program("decode")(full, answer=np.dtype(np.uint8))
        return pictures[: len(codes)], np.isfinite(magnitude)[: len(codes)]


FP32_DISAGREEMENT, BF16_DISAGREEMENT = 0.2, 1.0
"""How far a compiled task may be off from PyTorch in fp32: root of the mean square, in grey levels."""


def disagreement(program: Program, module: nn.Module, example: tuple[np.ndarray, ...]) -> float:
    """Root of the mean squared difference, in grey levels, between a program and its module in PyTorch."""
    found, wanted = (
        one(*example, answer=np.dtype(np.uint8))[0].astype(np.float64)
        for one in (program, Eager(module, torch.device("cpu")))
    )
    return float(np.sqrt(np.mean((found - wanted) ** 2)))


def with_channels(tiles: np.ndarray, wanted: int) -> np.ndarray:
    """Tiles `b h w c` as a network of so many channels takes them; colours become three grey tiles each."""
    if tiles.shape[3] == wanted:
        return tiles
    if wanted == 1:
        return tiles.transpose(0, 3, 1, 2).reshape(-1, *tiles.shape[1:3], 1)
    return np.repeat(tiles, wanted, axis=3)


def back_to_channels(answer: np.ndarray, wanted: int) -> np.ndarray:
    """The other way round."""
    if answer.shape[3] == wanted:
        return answer
    if wanted == 1:
        return answer.mean(3, keepdims=True).round().astype(answer.dtype)
    return answer.reshape(-1, wanted, *answer.shape[1:3]).transpose(0, 2, 3, 1)


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


def restore_tiles(session: Session, tiles: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """As `Session.restore`. Raises NotFinite where any of them is not."""
    return all_finite(*session.restore(tiles, sigma))


def decode_codes(session: Session, codes: np.ndarray) -> np.ndarray:
    """Codes `n k` float32, any number -> pictures `n h w c` uint8. Raises NotFinite."""
    parts = [codes[at : at + DECODE_BATCH] for at in range(0, len(codes), DECODE_BATCH)]
    return np.concatenate([all_finite(*session.decode(part)) for part in parts])


def all_finite(answer: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """The answer, if all of it is finite."""
    if not finite.all():
        raise NotFinite
    return answer


def restored(
    session: Session, pixels: Pixels, sigma: float, tiling: Tiling, done: Callable[[float], None] = lambda share: None
) -> Pixels:
    """A picture of any size, tile by tile; `done` is told the share of tiles done. Level 0 leaves it as it is."""
    height, width = pixels.shape[:2]
    check_size(session.needs, height, width)
    if session.needs.level and sigma == 0:
        return pixels
    answer = np.empty_like(pixels)
    windows = restore.split(height, width, tiling)
    for number, window in enumerate(windows, 1):
        tile = restore.cut(pixels, window)
        restore.join(answer, window, restore_tiles(session, tile[None], np.array([sigma]))[0])
        done(number / len(windows))
    return answer
