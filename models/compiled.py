"""A module compiled for this machine's CPU by OpenVINO: numpy arrays in, numpy arrays out.

Chosen by measurement (`python -m benchmarks.engine`). OpenVINO needs no compiler where it runs, and takes any size with
one graph. What takes seconds is drawing the graph (`torch.export`), so graphs can be kept in a folder.

The graph is made through OpenVINO's frontend itself: its `convert_model` reports its use over the network.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.storage import SMALLEST

KERNELS = 256
"""Kernels that OpenVINO keeps of a program, about 25 of a network for each size it met. By its own 5,000 a server that
meets many sizes grows by 4 MB with each."""

SOURCES = Path(__file__).parent

GRAPH = re.compile(r"[0-9a-f]{32}\.(bin|xml)")
"""What files of kept graphs are called."""
UNREAD = 30 * 86_400
"""Seconds for which a graph is kept that nobody reads."""


class CannotCompile(Exception):
    """The module can't be drawn as a graph, or the graph can't be compiled here."""


def available() -> bool:
    """Whether OpenVINO is installed; it is optional, and a machine that only trains may lack it."""
    return find_spec("openvino") is not None


class Compiled:
    """A module's graph, compiled when first asked for each type of pixels; one caller at a time.

    The module takes floats and gives its first result as whole numbers in floats; here its first argument may be of
    any type of pixels, and the first result comes back as the type asked for. rounded: as `in_eight_bits` has them.
    Raises CannotCompile.
    """

    def __init__(self, graph: Any, low_precision: bool, threads: int, rounded: Sequence["Rounded"] = ()):
        self.graph, self.low_precision, self.threads = graph, low_precision, threads
        self.eight_bits = bool(rounded)
        if rounded:
            in_eight_bits(graph, rounded)
        self.requests: dict[tuple[np.dtype, np.dtype], Any] = {}

    def __call__(self, *arrays: np.ndarray, answer: np.dtype) -> tuple[np.ndarray, ...]:
        types = (arrays[0].dtype, np.dtype(answer))
        if types not in self.requests:
            self.requests[types] = self.request(*types)
        try:
            results = self.requests[types].infer(list(arrays), share_inputs=True)
        except RuntimeError:
            del self.requests[types]  # one that found no memory keeps the shapes of then, and fails ever after
            raise
        return tuple(results[number] for number in range(len(results)))

    def request(self, given: np.dtype, answer: np.dtype) -> Any:
        """The graph for those types at its two ends, compiled."""
        from openvino.preprocess import PrePostProcessor

        ends = PrePostProcessor(self.graph.clone())
        ends.input(0).tensor().set_element_type(element(given))
        ends.output(0).tensor().set_element_type(element(answer))
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if self.low_precision else "f32",
            "INFERENCE_NUM_THREADS": self.threads,
            "CPU_RUNTIME_CACHE_CAPACITY": KERNELS,
            "ENABLE_CPU_PINNING": False,  # other processes of ours would be pinned to the same cores
        }
        try:
            return core().compile_model(ends.build(), "CPU", settings).create_infer_request()
        except RuntimeError as error:
            raise CannotCompile(str(error)) from error


class Rounded(NamedTuple):
    """A convolution to be computed in 8 bits: its weights `o i h w`, and the size at which what it is given is cut."""

    weights: np.ndarray
    reach: float


def has_eight_bits() -> bool:
    """Whether this machine's processor multiplies 8 bits faster than it does floats."""
    return bool(torch.cpu.get_capabilities().get("avx2"))


def weight_steps() -> int:
    """Steps from nought to the largest weight of 8 bits here: all that there are; or half, where products are added by
    two in 16 bits, which those of larger weights overflow (processors without VNNI)."""
    capabilities = torch.cpu.get_capabilities()
    return 127 if capabilities.get("avx512_vnni") or capabilities.get("avx_vnni") else 63


def in_eight_bits(graph: Any, convolutions: Iterable[Rounded]) -> None:
    """Quantizes convolutions of a graph, so that OpenVINO computes in whole numbers: what they are given is rounded
    to 256 levels within its reach, their weights to `weight_steps` within the largest of each channel that comes out.

    Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 3. Raises CannotCompile where the graph has no such convolution.
    """
    there = {node: constant(node.input(1)) for node in graph.get_ordered_ops() if node.get_type_name() == "Convolution"}
    for weights, reach in convolutions:
        node = next((node for node, its in there.items() if its is not None and np.array_equal(its, weights)), None)
        if node is None:
            raise CannotCompile("a convolution that is to be rounded isn't in the graph")
        del there[node]
        given, kernel = node.inputs()
        after_relu = given.get_source_output().get_node().get_type_name() == "Relu"
        # One level more below than above, so that nought is a level: else OpenVINO shifts all of them by half a one.
        between(given, 0.0 if after_relu else -reach * 128 / 127, reach, 256)
        # Of another number of levels OpenVINO makes no whole numbers; so with fewer steps the ends are further out.
        end = np.abs(weights).max((1, 2, 3), keepdims=True) * 127 / weight_steps()
        between(kernel, -end, end, 255)


def constant(given: Any) -> np.ndarray | None:
    """The numbers that a node of a graph is given, where they are constant."""
    node = given.get_source_output().get_node()
    if node.get_type_name() == "Convert":  # from 16 bits, in which a graph may be kept
        node = node.input(0).get_source_output().get_node()
    return node.get_data() if node.get_type_name() == "Constant" else None


def between(given: Any, low: float | np.ndarray, high: float | np.ndarray, levels: int) -> None:
    """Rounds what a node of a graph is given to so many levels from `low` to `high`."""
    from openvino import opset13

    high = np.maximum(high, SMALLEST)  # what is nought all over has no steps between
    ends = [opset13.constant(np.asarray(end, np.float32)) for end in (low, high, low, high)]
    given.replace_source_output(opset13.fake_quantize(given.get_source_output(), *ends, levels).output(0))


def element(dtype: np.dtype) -> Any:
    """OpenVINO's name of a type."""
    import openvino

    return openvino.Type(dtype)


@cache
def core() -> Any:
    """OpenVINO itself, of which one is enough."""
    import openvino

    return openvino.Core()


def graph_of(module: nn.Module, example: Sequence[Tensor], moving: Any) -> Any:
    """The graph of a module, drawn by calling it with an example; `moving` are the sizes that may differ from the
    example's, as `torch.export` takes them. Raises CannotCompile."""
    from openvino.frontend import FrontEndManager  # type: ignore[attr-defined]
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of PyTorch, about itself
            program = torch.export.export(module.eval(), tuple(example), dynamic_shapes=moving).run_decompositions()
        frontend = FrontEndManager().load_by_framework("pytorch")
        drawn = program.module()
        decoder = TorchFXPythonDecoder(drawn, dynamic_shapes=True)  # must outlive the conversion, as must `drawn`
        return frontend.convert(frontend.load(decoder))
    except Exception as error:  # of many kinds, private ones among them; the module still runs as it is
        raise CannotCompile(str(error).partition("\n")[0]) from error


def is_kept(folder: Path, name: str) -> bool:
    return (folder / f"{name}.xml").exists()


def kept(folder: Path, name: str) -> Any:
    """The graph of that name, or None where none is kept that can be read."""
    if not is_kept(folder, name):
        return None
    with suppress(OSError):  # of what can't be written nothing is forgotten either
        for one in files_of(folder, name):
            os.utime(one)
    try:
        return core().read_model(folder / f"{name}.xml")
    except RuntimeError:  # half a file, say; it is drawn again
        return None


def keep(folder: Path, name: str, graph: Any, halves: bool) -> None:
    """Keeps a graph for the next start, whole or not at all, and lets go of those that nobody has read for long, as
    each change of the program leaves its own behind; `halves` stores its numbers in 16 bits. Raises OSError."""
    import openvino

    folder.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder))
    try:
        openvino.save_model(graph, beside / f"{name}.xml", compress_to_fp16=halves)
        for one in files_of(folder, name):  # whoever finds the second finds the first
            os.replace(beside / one.name, one)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    for one in unread(folder):
        one.unlink(missing_ok=True)


def files_of(folder: Path, name: str) -> tuple[Path, Path]:
    """The two that a graph is kept in."""
    return folder / f"{name}.bin", folder / f"{name}.xml"


def unread(folder: Path) -> list[Path]:
    """Files of graphs that were neither kept nor read for UNREAD seconds; of others' files none."""
    before = time.time() - UNREAD
    return [one for one in folder.iterdir() if GRAPH.fullmatch(one.name) and one.stat().st_mtime < before]


def name_of(weights: str, task: str) -> str:
    """What a graph is kept under: told by the weights' hash, the task, this program's code and OpenVINO's version."""
    return hashlib.sha256(f"{weights} {task} {code()} {version('openvino')}".encode()).hexdigest()[:32]


@cache
def code() -> str:
    """A hash of this package's modules: where one changed, graphs are drawn anew."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SOURCES.glob("*.py")))).hexdigest()


def fits_halves(module: nn.Module) -> bool:
    """Whether nothing is lost by storing the weights in 16 bits, as where the checkpoint does."""
    return all(torch.equal(weight, weight.half().float()) for weight in module.state_dict().values())
