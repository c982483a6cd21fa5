import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, stocked
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

from models import checkpoints, compiled, winograd
from models.catalog import SHIPPED, Catalog
from models.compiled import CannotCompile, Compiled, Rounded
from models.eager import Eager
from models.hierarchy import HierarchyConfig
from models.sessions import Session
from models.tasks import TASK_OF, TASKS
from models.types import Needs
from models.unet import UNet, UNetConfig
from models.vae import VAEConfig

CPU = torch.device("cpu")
BYTES = np.dtype(np.uint8)


@pytest.fixture(autouse=True)
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor where kernels of our own gain nothing."""
    monkeypatch.setattr(winograd, "gains", lambda: False)


def session_of(shelf: Path, name: str, graphs: Path | None = None) -> Session:
    model = checkpoints.load(shelf / name)
    return Session(model.network, CPU, name, model.description.sha256, graphs)


LATENT = {
    "tiny-flow": ("digits-vae", VAEConfig(height=12, width=10, widths=(4, 8), latent=5, unshuffle=2, prior="flow")),
    "tiny-colours": ("emoji-vae", VAEConfig(channels=3, height=12, width=10, widths=(4, 8), likelihood="logistic")),
    "tiny-ladder": ("digits-hvae", HierarchyConfig(height=12, width=10, widths=(4, 8), layers=(1, 2), planes=(2, 3))),
}


@pytest.mark.parametrize(("name", "stock"), (TINY | LATENT).items())
def test_compiled_and_pytorch_give_the_same(name: str, stock: tuple[str, Any], tmp_path: Path):
    shelf = stocked(tmp_path, {name: stock})
    session = session_of(shelf, name)
    session.low_precision = False
    for task in {TASK_OF[ask] for ask in checkpoints.describe(shelf / name).asks}:
        program = session.program(task)
        assert isinstance(program, Compiled)
        example, answer = TASKS[task].example(session.needs), np.dtype(TASKS[task].answer)
        found = program(*example, answer=answer)[0]
        wanted = Eager(TASKS[task].module(session.network), CPU)(*example, answer=answer)[0]
        assert found.dtype == wanted.dtype == answer
        assert np.abs(found.astype(float) - wanted.astype(float)).max() <= (1 if answer == BYTES else 1e-3)


def test_one_graph_takes_any_size_number_and_depth(shelf: Path):
    session = session_of(shelf, "tiny-photo")
    program = session.program("restore")
    for dtype in (np.uint8, np.uint16):
        for shape in ((1, 4, 4, 3), (3, 64, 32, 3), (1, 128, 260, 3)):
            tiles = np.full(shape, np.iinfo(dtype).max // 3, dtype)
            answer, finite = session.restore(tiles, np.full(shape[0], 5.0))
            assert answer.shape == shape
            assert answer.dtype == dtype
            assert finite.all()
    assert session.program("restore") is program


class Convolving(nn.Module):
    """Two convolutions around a ReLU."""

    def __init__(self, channels: int = 16):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


def rounded(*convolutions: nn.Conv2d, reach: float = 1.0) -> list[Rounded]:
    return [Rounded(convolution.weight.detach().numpy(), reach) for convolution in convolutions]


def quantized(x: torch.Tensor, step: float | torch.Tensor) -> torch.Tensor:
    return (x / step).round() * step


def roundings(graph: Any) -> int:
    return sum(node.get_type_name() == "FakeQuantize" for node in graph.get_ordered_ops())


def test_convolutions_are_computed_in_8_bits_between_the_largest_values(tmp_path: Path):
    module, x = Convolving(), torch.rand(1, 16, 8, 8) * 2 - 1
    wanted = module(x).detach().numpy()
    compiled.keep(tmp_path, "graph", compiled.graph_of(module, [x], ({2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)), halves=False)

    def answer(convolutions: list[Rounded]) -> np.ndarray:
        program = Compiled(compiled.kept(tmp_path, "graph"), False, 1, convolutions)
        assert roundings(program.graph) == 2 * len(convolutions)
        return program(x.numpy(), answer=np.dtype(np.float32))[0]

    def off(convolutions: list[Rounded]) -> float:
        return float(np.abs(answer(convolutions) - wanted).max() / np.abs(wanted).max())

    assert off([]) < 1e-5
    assert 1e-4 < off(rounded(module.first, module.second)) < 0.03
    given, weights = quantized(x, 1 / 127), module.first.weight.detach()
    weights = quantized(weights, weights.abs().amax((1, 2, 3), keepdim=True) / compiled.weight_steps())
    exact = module.second(torch.relu(F.conv2d(given, weights, padding=1))).detach().numpy()
    np.testing.assert_allclose(answer(rounded(module.first)), exact, atol=1e-3)
    assert off(rounded(module.first, reach=0.3)) > 0.1, "what lies beyond is cut"
    assert off(rounded(module.second, reach=0.0)) > 0.99, "nothing is within no reach"


def test_weights_in_16_bits_are_found(tmp_path: Path):
    module, x = Convolving().half().float(), torch.rand(1, 16, 8, 8)
    compiled.keep(tmp_path, "graph", compiled.graph_of(module, [x], ({2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)), halves=True)
    graph = compiled.kept(tmp_path, "graph")
    compiled.in_eight_bits(graph, rounded(module.first, module.second))
    assert roundings(graph) == 4


def test_a_convolution_that_is_not_there_cannot_be_rounded():
    module, x = Convolving(), torch.rand(1, 16, 8, 8)
    graph = compiled.graph_of(module, [x], (None,))
    with pytest.raises(CannotCompile, match="isn't in the graph"):
        compiled.in_eight_bits(graph, rounded(nn.Conv2d(16, 16, 3)))


@pytest.mark.skipif(not compiled.has_eight_bits(), reason="the processor gains nothing by 8 bits")
@pytest.mark.parametrize("steps", [63, 127])
def test_whole_numbers_are_computed_with(steps: float, monkeypatch: pytest.MonkeyPatch):
    """And not floats that are rounded on the way, which takes longer than floats as they are."""
    monkeypatch.setattr(compiled, "weight_steps", lambda: steps)
    module, x = Convolving(), torch.rand(1, 16, 8, 8)
    program = Compiled(compiled.graph_of(module, [x], (None,)), False, 1, rounded(module.first, module.second))
    program(x.numpy(), answer=np.dtype(np.float32))
    (request,) = program.requests.values()
    ran = [node.get_rt_info() for node in request.get_compiled_model().get_runtime_model().get_ops()]
    convolutions = [one["runtimePrecision"].value for one in ran if one["layerType"].value == "Convolution"]
    assert convolutions in (["u8", "u8"], ["i8", "u8"])


def test_the_first_start_answers_as_the_next_does(tmp_path: Path):
    """Of the pixels of `photo` one in a hundred was a grey level off."""
    model = checkpoints.load(Catalog.of(SHIPPED).find("photo").folder)
    tiles = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3), np.uint8)
    first, second = (Session(model.network, CPU, "x", model.description.sha256, tmp_path) for _ in range(2))
    answers = [session.restore(tiles, np.array([25.0], np.float32))[0].copy() for session in (first, second)]
    assert np.array_equal(*answers)


@pytest.mark.parametrize("relu", [False, True])
def test_the_largest_values_and_weights_do_not_overflow(relu: bool):
    """As they do, to half of the sum or to nothing, where a processor adds products in 16 bits."""
    module, x = Convolving(), torch.ones(1, 16, 8, 8)
    for convolution in (module.first, module.second):
        nn.init.zeros_(convolution.weight)
    nn.init.ones_(module.second.weight)
    module.first.weight.data[:, :, 1, 1] = torch.eye(16)
    whole = module if relu else nn.Sequential(module.first, module.second)
    program = Compiled(compiled.graph_of(whole, [x], (None,)), False, 1, rounded(module.second))
    answer = program(x.numpy(), answer=np.dtype(np.float32))[0]
    np.testing.assert_allclose(answer[..., 1:-1, 1:-1], 16 * 9, rtol=0.01)


@pytest.mark.parametrize(
    ("has", "eight_bits", "steps"),
    [
        ({}, False, 63),
        ({"avx2": True, "avx512_vnni": False}, True, 63),
        ({"avx2": True, "avx_vnni": True}, True, 127),
        ({"avx2": True, "avx512_vnni": True}, True, 127),
    ],
)
def test_what_8_bits_are_goes_by_the_processor(
    has: dict[str, bool], eight_bits: bool, steps: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert compiled.has_eight_bits() is eight_bits
    assert compiled.weight_steps() == steps
    assert quantizable(reach=4.0).eight_bits is eight_bits


@pytest.mark.parametrize("eight_bits", [False, True])
@pytest.mark.parametrize("low_precision", [False, True])
def test_where_the_processor_gains_by_it_a_network_is_rounded_as_it_says(low_precision: bool, eight_bits: bool):
    session = quantizable(reach=4.0)
    session.low_precision, session.eight_bits = low_precision, eight_bits
    program = session.program("restore")
    assert isinstance(program, Compiled)
    assert (roundings(program.graph), "int8" in session.made) == ((4, True) if eight_bits else (0, False))


def test_what_rounding_would_spoil_is_compiled_without(caplog: pytest.LogCaptureFixture):
    session = quantizable(reach=0.01)
    session.low_precision = session.eight_bits = True
    program = session.program("restore")
    assert isinstance(program, Compiled)
    assert (roundings(program.graph), session.made) == (0, "OpenVINO, bf16")
    assert "runs in OpenVINO without 8 bits" in caplog.text


def quantizable(reach: float) -> Session:
    """Of a network whose residual blocks count."""
    torch.manual_seed(3)
    network = UNet(UNetConfig(widths=(16, 32), blocks=1, reaches=(reach,) * 2))
    for parameter in network.parameters():
        parameter.data += 0.03 * torch.randn_like(parameter)
    return Session(network, CPU)


def test_drawing_a_graph_reaches_for_no_network(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert isinstance(session_of(shelf, "tiny-vae").program("decode"), Compiled)


def test_graphs_are_kept_and_found_again(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    codes = TASKS["decode"].example(session_of(shelf, "tiny-vae").needs)[0]
    first, _ = session_of(shelf, "tiny-vae", tmp_path / "graphs").decode(codes)
    kept = sorted(path.suffix for path in (tmp_path / "graphs").iterdir())
    assert kept == [".bin", ".xml"]
    monkeypatch.setattr(compiled, "graph_of", lambda *_: pytest.fail("drawn again"))
    second, _ = session_of(shelf, "tiny-vae", tmp_path / "graphs").decode(codes)
    assert np.array_equal(first, second)


@pytest.mark.parametrize("suffix", [".bin", ".xml"])
def test_a_kept_graph_that_is_spoilt_is_drawn_again_or_passed_over(shelf: Path, tmp_path: Path, suffix: str):
    codes = TASKS["decode"].example(session_of(shelf, "tiny-vae").needs)[0]
    first, _ = session_of(shelf, "tiny-vae", tmp_path).decode(codes)
    spoilt = next(tmp_path.glob(f"*{suffix}"))
    spoilt.write_bytes(bytes(len(spoilt.read_bytes()) // 2))
    second, _ = session_of(shelf, "tiny-vae", tmp_path).decode(codes)
    assert np.abs(first.astype(int) - second.astype(int)).max() <= 1


def test_where_nothing_can_be_kept_it_runs_all_the_same(shelf: Path, tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    session = session_of(shelf, "tiny-vae", tmp_path / "file" / "graphs")
    assert isinstance(session.program("decode"), Compiled)


def test_graphs_that_nobody_has_read_for_long_are_let_go_of_and_nothing_else_is(shelf: Path, tmp_path: Path):
    def aged(*paths: Path) -> None:
        for path in paths:
            os.utime(path, times=(long_ago, long_ago))

    long_ago = time.time() - compiled.UNREAD - 60
    session_of(shelf, "tiny-vae", tmp_path).program("decode")
    read = set(tmp_path.iterdir())
    assert len(read) == 2
    unread = {tmp_path / f"{'0' * 32}{suffix}" for suffix in (".bin", ".xml")}
    others = {tmp_path / "notes.xml", tmp_path / f"{'0' * 32}.txt"}
    for path in unread | others:
        path.write_text("")
    aged(*read, *unread, *others)
    session_of(shelf, "tiny-vae", tmp_path).program("decode")
    session_of(shelf, "tiny-denoise", tmp_path).program("restore")
    left = set(tmp_path.iterdir())
    assert read | others < left
    assert not left & unread
    assert len(left) == 6


def test_graphs_are_told_apart_by_weights_task_and_code(monkeypatch: pytest.MonkeyPatch):
    names = {compiled.name_of(weights, task) for weights in ("a", "b") for task in ("restore", "decode")}
    monkeypatch.setattr(compiled, "code", lambda: "other code")
    assert len(names | {compiled.name_of("a", "restore")}) == 5


class Untraceable(nn.Module):
    """Its path depends on the values it is given, which no graph can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.needs = Needs(1, level=True)
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return noisy * self.weight if noisy.sum() > 0 else noisy


def test_what_cannot_be_compiled_runs_in_pytorch_and_says_so(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "denoir"):
        session = Session(Untraceable(), CPU, "odd@1")
        tiles = np.full((1, 6, 7, 1), 9, np.uint8)
        assert np.array_equal(session.restore(tiles, np.array([5.0]))[0], tiles)
    assert isinstance(session.program("restore"), Eager)
    assert "odd@1" in caplog.text


def test_a_program_that_disagrees_is_not_used(
    shelf: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    right = Compiled.__call__

    def wrong(self: Compiled, *arrays: np.ndarray, answer: np.dtype) -> tuple[np.ndarray, ...]:
        first, *others = right(self, *arrays, answer=answer)
        return np.flip(first, 2), *others

    monkeypatch.setattr(Compiled, "__call__", wrong)
    with caplog.at_level(logging.WARNING, "denoir"):
        session = session_of(shelf, "tiny-denoise")
        assert isinstance(session.program("restore"), Eager)
    assert "tiny-denoise" in caplog.text


def test_without_openvino_it_runs_in_pytorch(shelf: Path, in_pytorch: None):
    assert isinstance(session_of(shelf, "tiny-vae").program("decode"), Eager)


def test_nothing_spins_while_there_is_nothing_to_do(shelf: Path):
    session = session_of(shelf, "tiny-photo")
    session.restore(np.zeros((1, 256, 256, 3), np.uint8), np.array([25.0]))
    time.sleep(0.5)
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.3  # a thread that waits by turning round would burn all of the second


@pytest.mark.slow
def test_many_sizes_do_not_fill_the_memory():
    session = Session(checkpoints.load(Catalog.of(SHIPPED).find("photo").folder).network, CPU)
    sides = np.random.default_rng(0).permutation([(a, b) for a in range(8, 36) for b in range(8, 36)])[:400] * 8
    at = []
    for height, width in sides:
        session.restore(np.zeros((1, height, width, 3), np.uint8), np.array([25.0]))
        at.append(resident())
    assert at[-1] - at[199] < 150  # 200 sizes more: without the bound, 800 MB


def resident() -> float:
    """Megabytes that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def test_a_program_that_found_no_memory_is_made_anew(monkeypatch: pytest.MonkeyPatch):
    """OpenVINO's keeps the shapes that it failed at, and fails at any other too."""

    class Request:
        def __init__(self, fails: bool):
            self.fails = fails

        def infer(self, arrays: list[np.ndarray], share_inputs: bool) -> list[np.ndarray]:
            if self.fails:
                raise RuntimeError("Failed to allocate 8 bytes of memory")
            return arrays

    program, made = Compiled(None, False, 1), iter([Request(True), Request(False)])
    monkeypatch.setattr(program, "request", lambda *types: next(made))
    with pytest.raises(RuntimeError, match="allocate"):
        program(np.zeros(3, np.uint8), answer=BYTES)
    assert program(np.ones(2, np.uint8), answer=BYTES)[0].sum() == 2
