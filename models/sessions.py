"""A network ready to be asked: what runs it on one device, and its tasks from raw pixels to raw pixels.

A task is a module around the network that takes pixels as they were uploaded (uint8 or uint16, `h w c`). On a GPU
graphs that PyTorch captured of it are replayed; on a CPU it runs compiled by OpenVINO, or by kernels of our own where
these gain; and in PyTorch where neither is there or gives what PyTorch gives.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models import checkpoints, colour, compiled, sampling, winograd
from models.compiled import CannotCompile, Compiled, Rounded
from models.eager import Eager, Program
from models.graphed import Cuda, Graphed
from models.tasks import DECODE_BATCH, TASK_OF, TASKS
from models.types import GREY_LEVELS, Needs

log = logging.getLogger("denoir")


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
        self.eight_bits = bool(network.needs.eight_bits) and device.type == "cpu" and compiled.has_eight_bits()
        self.programs: dict[str, Program] = {}

    @property
    def needs(self) -> Needs:
        return self.network.needs

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return sum(weight.nbytes for weight in self.network.state_dict().values())

    @property
    def made(self) -> str:
        """What runs it, and in how many bits."""
        programs = self.programs.values()
        if any(isinstance(program, Quick) for program in programs):
            return "PyTorch with Winograd's kernels, fp32"
        by_openvino = [program for program in programs if isinstance(program, Compiled)]
        eight = any(program.eight_bits for program in by_openvino)
        bits = f"{'bf16' if self.low_precision else 'fp32'}{' and int8' if eight else ''}"
        return f"{'OpenVINO' if by_openvino else 'PyTorch'}, {bits}"

    def program(self, task: str) -> Program:
        """The task's program, made when first asked for."""
        if task not in self.programs:
            self.programs[task] = self.quick(task) or self.compiled(task) or self.graphed(task) or self.eager(task)
        return self.programs[task]

    def prepare(self, asks: tuple[str, ...]) -> None:
        """Makes the programs for all that the model is asked; and keeps the graphs that another processor would need,
        should what is kept come to one."""
        for ask in asks:
            program = self.program(TASK_OF[ask])
            if isinstance(program, Quick) and self.graphs and self.weights and compiled.available():
                with suppress(CannotCompile):
                    self.graph(TASK_OF[ask], TASKS[TASK_OF[ask]].module(self.network))

    def eager(self, task: str) -> Eager:
        """In PyTorch, in bf16 where the network may and the processor can."""
        dtype = torch.bfloat16 if self.low_precision else torch.float32
        network = self.network.to(device=self.device, dtype=dtype, memory_format=torch.channels_last)
        return Eager(TASKS[task].module(network), self.device)

    def graphed(self, task: str) -> Graphed | None:
        """By graphs captured on a GPU, checked against the same without; None where there is no GPU, the task meets too
        many shapes, or they disagree."""
        if self.device.type not in GRAPHED_ON or task in SHAPELESS:
            return None
        eager, example, answer = self.eager(task), TASKS[task].example(self.needs), TASKS[task].answer
        program = Graphed(eager, Cuda(self.device))
        program(*example, answer=np.dtype(answer))  # met once, so that the next is captured
        if (difference := apart(program, eager, example, answer)) > BF16_DISAGREEMENT or not program.graphs:
            log.warning("%s: graphs of %s can't be replayed (%.2g off); runs without", self.title, task, difference)
            return None
        return program

    def quick(self, task: str) -> Eager | None:
        """In PyTorch, convolutions by Winograd's kernels, checked against those without; None where nothing is gained
        or they disagree."""
        if self.device.type != "cpu" or not winograd.quickens(self.network):
            return None
        module = TASKS[task].module(self.network)
        program = Quick(TASKS[task].module(winograd.frozen(self.network)), self.device)
        with one_thread():
            difference = disagreement(program, module, TASKS[task].example(self.needs), TASKS[task].answer)
        if difference > FP32_DISAGREEMENT:
            log.warning("%s: by Winograd's kernels %s is %.2g off; runs without", self.title, task, difference)
            return None
        return program

    def compiled(self, task: str) -> Compiled | None:
        """By OpenVINO, checked against PyTorch: quantized where it may, else as it is; None where OpenVINO isn't there,
        can't take the network or disagrees either way."""
        if self.device.type != "cpu" or not compiled.available():
            return None
        rounded = self.rounded
        tries = (rounded, []) if rounded else ([],)
        return next((program for one in tries if (program := self.agreeing(task, one))), None)

    def agreeing(self, task: str, rounded: list[Rounded]) -> Compiled | None:
        """The task's program with those convolutions quantized, if it can be compiled and agrees with PyTorch."""
        module, instead = TASKS[task].module(self.network), "OpenVINO without 8 bits" if rounded else "PyTorch"
        try:
            program = Compiled(self.graph(task, module), self.low_precision, torch.get_num_threads(), rounded)
            with one_thread():
                difference = disagreement(program, module, TASKS[task].example(self.needs), TASKS[task].answer)
        except CannotCompile as error:
            log.warning("%s: can't be compiled to %s, and runs in %s: %s", self.title, task, instead, error)
            return None
        if difference > (BF16_DISAGREEMENT if self.low_precision or rounded else FP32_DISAGREEMENT):
            log.warning("%s: compiled to %s it is %.2g off; runs in %s", self.title, task, difference, instead)
            return None
        return program

    @property
    def rounded(self) -> list[Rounded]:
        """Convolutions to be computed in 8 bits: those that may, where the processor gains by it."""
        weights = self.network.state_dict()
        reaches = self.needs.eight_bits if self.eight_bits else ()
        return [Rounded(weights[f"{name}.weight"].float().numpy(), reach) for name, reach in reaches]

    def graph(self, task: str, module: nn.Module) -> Any:
        """The task's graph, from those that are kept or drawn and then kept. One that was drawn is read again:
        what is kept in 16 bits gives the same but for the last bits, which 8 bits may round to another step."""
        name = compiled.name_of(self.weights, task)
        graphs = self.graphs if self.weights else None
        if graphs and (found := compiled.kept(graphs, name)):
            return found
        example = [torch.from_numpy(array).float() for array in TASKS[task].example(self.needs)]
        drawn = compiled.graph_of(module, example, TASKS[task].moving(self.needs))
        if graphs:
            try:
                compiled.keep(graphs, name, drawn, compiled.fits_halves(module))
                return compiled.kept(graphs, name) or drawn
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

    def reconstruct(self, tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tiles `b h w c` (uint8 or uint16) of the network's size -> what it makes of their codes, uint8 in its own
        channels; and which of them, `b`, are finite."""
        return self.of_tiles("reconstruct", tiles)

    def encode(self, tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tiles `b h w c` (uint8 or uint16) of the network's size -> codes `b k` float32, a VAE's the mean of its
        posterior; and which of them, `b`, are finite."""
        return self.of_tiles("encode", tiles)

    def of_tiles(self, task: str, tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A task that takes tiles alone; colours reach a grey network as their lightness, so that each picture has one
        code."""
        peak = np.array(np.iinfo(tiles.dtype).max, np.float32)
        given = in_channels(tiles, self.needs.channels)
        answer, magnitude = self.program(task)(given, peak, answer=np.dtype(TASKS[task].answer))
        return answer, np.isfinite(magnitude)

    def draw(self, seed: int, first: int, count: int, temperature: float = 1.0) -> np.ndarray:
        """Codes of pictures `first` to `first + count` of a seed, from the network's prior: `count k` float32."""
        return sampling.draw_codes(self.needs.latent or 0, seed, first, count, temperature, self.network.prior)

    def tint(self, grey: np.ndarray, peak: int) -> tuple[np.ndarray, bool]:
        """The lightness of a whole picture as `sketched`, `h w 1` in 0..peak -> its chroma `h/2 w/2 2`; and whether all
        of it is finite."""
        answer = np.dtype(TASKS["colorize"].answer)
        tint, magnitude = self.program("colorize")(grey[None], np.array(peak, np.float32), answer=answer)
        return tint[0], bool(np.isfinite(magnitude).all())


class Quick(Eager):
    """One whose convolutions are computed by Winograd's kernels."""


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes alone meanwhile: of what is done but once at a start more threads take seconds to wait for one
    another, on cores that others could have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


GRAPHED_ON = {"cuda"}
"""Kinds of devices whose work is captured."""
SHAPELESS = {"colorize"}
"""Tasks that take pictures whole, of any shape."""
FP32_DISAGREEMENT, BF16_DISAGREEMENT = 0.2, 1.0
"""How far a compiled task may be off from PyTorch in fp32: root of the mean square, in grey levels. In 8 bits as in
bf16."""


def disagreement(program: Program, module: nn.Module, example: tuple[np.ndarray, ...], answer: type) -> float:
    """Root of the mean squared difference, in grey levels, between a program and its module in PyTorch on the CPU."""
    return apart(program, Eager(module, torch.device("cpu")), example, answer)


def apart(one: Program, other: Program, example: tuple[np.ndarray, ...], answer: type) -> float:
    """The same between two programs."""
    found, wanted = (program(*example, answer=np.dtype(answer))[0].astype(np.float64) for program in (one, other))
    unit = 1.0 if answer == np.uint8 else GREY_LEVELS
    return unit * float(np.sqrt(np.mean((found - wanted) ** 2)))


def in_channels(tiles: np.ndarray, wanted: int) -> np.ndarray:
    """Tiles `b h w c` with so many channels: colours by their lightness, grey repeated."""
    if tiles.shape[3] == wanted:
        return tiles
    if wanted == 1:
        return (tiles @ np.array(colour.LUMA)).round().astype(tiles.dtype)[..., None]
    return np.repeat(tiles, wanted, axis=3)


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


NO_MEMORY = ("can't allocate memory", "Failed to allocate", "bad_alloc")
"""What errors say of memory that are of no type of their own: PyTorch's for a CPU's, OpenVINO's."""


def lacks_memory(error: Exception) -> bool:
    """Whether it is memory that was lacking."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def draw_apart(folder: Path, asks: tuple[str, ...], graphs: Path) -> None:
    """Draws the graphs of a checkpoint that are not kept yet, in a process of its own: what PyTorch loads to do so, 110
    MB, would stay in memory beside a large picture. Where no process can be had, or they can't be kept, they are drawn
    when they are needed."""
    described = checkpoints.describe(folder)
    by_kernels = winograd.gains() and winograd.quickens(checkpoints.outline(described, folder.name))
    if by_kernels or not compiled.available():
        return
    names = [compiled.name_of(described.sha256, TASK_OF[ask]) for ask in asks]
    if not all(compiled.is_kept(graphs, name) for name in names):
        with suppress(BrokenProcessPool, OSError):
            checkpoints.check_writable(graphs)
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                pool.submit(draw, folder, asks, graphs).result()


def draw(folder: Path, asks: tuple[str, ...], graphs: Path) -> None:
    model = checkpoints.load(folder)
    Session(model.network, torch.device("cpu"), weights=model.description.sha256, graphs=graphs).prepare(asks)
