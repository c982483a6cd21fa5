"""Winograd's kernels against PyTorch's own convolutions, and where they are used."""

import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import checkpoints, compiled, data, sessions, winograd
from models.checkpoints import Description
from models.eager import Eager
from models.layers import Enlarge, Residual
from models.sessions import Quick, Session
from models.training import Trainer, plan_for, trainer
from models.unet import UNet, UNetConfig
from models.winograd import Convolution, Learning, Pool

CPU = torch.device("cpu")
HAS = torch.cpu.get_capabilities()
AVX2 = all(map(HAS.get, winograd.NEEDED))
needs_kernels = pytest.mark.skipif(not (AVX2 and winograd.kernels()), reason="no AVX2, or no compiler made the kernels")


@pytest.fixture
def gaining(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor that has nothing quicker."""
    monkeypatch.setattr(winograd, "gains", lambda: True)
    for user in (sessions, trainer):
        monkeypatch.setattr(user, "has_bfloat16", lambda device: False)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.skipif(not AVX2 or not shutil.which("gcc"), reason="no AVX2, or no compiler")
def test_where_there_is_a_compiler_the_kernels_were_made_as_the_package_was_installed():
    assert winograd.kernels() is not None


SHAPES = [(1, 16, 1, 1), (3, 16, 5, 7), (2, 48, 1, 9), (1, 16, 33, 18), (2, 272, 9, 4), (1, 16, 64, 40)]


def near(found: Tensor, wanted: Tensor) -> bool:
    return bool((found - wanted).abs().max() <= 2e-5 * wanted.abs().max())


@needs_kernels
@pytest.mark.parametrize("shape", SHAPES)
def test_a_block_is_what_pytorch_makes_of_it_and_so_are_its_gradients(shape: tuple[int, ...], threads: int):
    torch.manual_seed(0)
    block, x = Residual(shape[1]), torch.randn(shape)
    wanted = answered(block.double(), x.double())
    found = answered(Learning(block.float()), x)
    assert all(near(one, other) for one, other in zip(found, wanted, strict=True))
    with torch.no_grad():
        assert near(winograd.frozen(nn.Sequential(block))(x), wanted[0])


def answered(block: nn.Module, x: Tensor) -> list[Tensor]:
    """What a block makes of pictures, and the gradients of them and of its weights."""
    x = x.clone().requires_grad_()
    block.zero_grad()
    y = block(x)
    (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)).sum().backward()
    gradients = [layer.grad for one in (block.first, block.second) for layer in (one.weight, one.bias)]
    return [one.detach().clone() for one in (y, x.grad, *gradients)]


@needs_kernels
@pytest.mark.parametrize(("given", "out"), [(8, 16), (16, 12), (24, 40)])
def test_a_convolution_may_have_any_channels_out(given: int, out: int):
    layer, x = nn.Conv2d(given, out, 3, padding=1), torch.randn(2, given, 6, 5)
    with torch.no_grad():
        assert near(Convolution(layer, Pool())(x), layer(x))


@needs_kernels
@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (2, 24, 3, 7), (1, 16, 5, 101)])
def test_what_enlarges_is_what_pytorch_makes_of_it(shape: tuple[int, ...], threads: int):
    count, given, height, width = shape
    layer, x, skip = Enlarge(given, 32), torch.randn(shape), torch.randn(count, 32, 2 * height, 2 * width)
    with torch.no_grad():
        assert winograd.enlarges(layer)
        assert near(winograd.frozen(layer)(x, skip), layer(x, skip))


@needs_kernels
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_is_not_hidden(value: float):
    block, x = Residual(16), torch.randn(1, 16, 9, 9)
    x[0, 3, 4, 4] = value
    with torch.no_grad():
        whole = winograd.frozen(nn.Sequential(block))(x)
        assert not torch.isfinite(Learning(block)(x)[0, :, 4, 4]).any()
    assert not torch.isfinite(whole[0, :, 4, 4]).any()


@needs_kernels
def test_pictures_in_another_order_and_precision_are_read_as_they_are():
    block, x = Residual(16), torch.randn(1, 16, 9, 7, dtype=torch.float64).transpose(2, 3)
    with torch.no_grad():
        assert near(winograd.frozen(nn.Sequential(block))(x), block(x.float()))


def other(**changed: Any) -> nn.Conv2d:
    return nn.Conv2d(**({"in_channels": 16, "out_channels": 16, "kernel_size": 3, "padding": 1} | changed))


@pytest.mark.parametrize(
    "module",
    [
        Residual(12),
        Residual(16, nn.SiLU()),
        Residual(16, dropout=0.1),
        other(in_channels=12),
        other(kernel_size=1, padding=0),
        other(stride=2),
        other(padding=0),
        other(dilation=2, padding=1),
        other(groups=2),
        other(bias=False),
        other(padding_mode="reflect"),
        other(in_channels=8192),
        nn.ConvTranspose2d(16, 16, 3, padding=1),
        Enlarge(12, 16),
        Enlarge(16, 12),
        Enlarge(256, 16),
    ],
)
def test_what_the_kernels_do_not_know_stays_as_it_is(module: nn.Module):
    assert not winograd.suits(module)
    assert not winograd.fits(module)
    assert not winograd.enlarges(module)


@pytest.mark.parametrize(
    ("has", "gains"),
    [
        ({}, False),
        ({"avx2": True}, False),
        ({"avx2": True, "fma3": True}, True),
        ({"avx2": True, "fma3": True, "avx512_f": True}, False),
        ({"avx2": True, "fma3": True, "avx_vnni": True}, False),
        ({"avx2": True, "fma3": True, "avx512_vnni": True}, False),
        ({"avx2": True, "fma3": True, "avx512_bf16": True}, False),
    ],
)
def test_they_gain_where_there_is_avx2_and_nothing_quicker(
    has: dict[str, bool], gains: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    monkeypatch.setattr(winograd, "kernels", lambda: object())
    assert winograd.gains() is gains
    monkeypatch.setattr(winograd, "kernels", lambda: None)
    assert not winograd.gains()


def test_a_library_that_is_not_there_or_another_one_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    class Found:
        origin: Any = tmp_path / "_winograd.so"

    Found.origin.write_text("no library")
    for found in (None, Found()):
        monkeypatch.setattr(winograd, "find_spec", lambda name, found=found: found)
        assert winograd.kernels.__wrapped__() is None
    Found.origin = next(Path(torch.__file__).parent.glob("lib/libtorch_cpu*"))  # has no version
    assert winograd.kernels.__wrapped__() is None


@needs_kernels
def test_one_of_another_version_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(winograd, "VERSION", winograd.VERSION + 1)
    assert winograd.kernels.__wrapped__() is None


def test_room_is_given_again_when_no_tensor_shares_it():
    pool = Pool()
    first = pool.take(1, 16, 4, 4)
    second, view = pool.take(1, 16, 2, 2), first[:, :3]
    assert first.is_contiguous(memory_format=torch.channels_last)
    assert first.data_ptr() != second.data_ptr()
    place = first.data_ptr()
    del first
    assert pool.take(1, 16, 4, 4).data_ptr() != place, "a view shares it"
    del view
    third = pool.take(1, 16, 3, 3)
    assert third.data_ptr() == place
    del third
    large = pool.take(1, 16, 8, 8)
    assert len(pool.kept) == 2, "what is idle and too small is given back"
    del large, second


def session() -> Session:
    torch.manual_seed(0)
    network = UNet(UNetConfig(widths=(16, 32), blocks=1, halo=8))
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return Session(network, CPU, "tiny")


@needs_kernels
def test_a_session_runs_by_the_kernels_where_they_gain(gaining: None):
    one, tiles = session(), np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), np.uint8)
    answer, finite = one.restore(tiles, np.array([25.0, 5.0]))
    assert isinstance(one.program("restore"), Quick)
    assert one.made == "PyTorch with Winograd's kernels, fp32"
    wanted, _ = one.eager("restore")(tiles, np.float32([25, 5]), np.array(255, np.float32), answer=np.dtype(np.uint8))
    assert np.abs(answer.astype(int) - wanted).max() <= 1
    assert finite.all()
    again, _ = one.restore(tiles, np.array([25.0, 5.0]))
    assert np.array_equal(answer, again)


@needs_kernels
def test_one_that_they_disagree_with_runs_without(
    gaining: None, in_pytorch: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    right = winograd.convolved
    monkeypatch.setattr(winograd, "convolved", lambda *given, **more: right(*given, **more).mul_(2))
    assert not isinstance(session().program("restore"), Quick)
    assert "tiny: by Winograd's kernels restore is" in caplog.text


def test_one_without_such_blocks_runs_as_ever(gaining: None, in_pytorch: None):
    one = Session(UNet(UNetConfig(widths=(4, 8), blocks=1, halo=8)), CPU)
    assert type(one.program("restore")) is Eager


def test_the_learning_twin_has_the_network_s_own_weights():
    network = UNet(UNetConfig(widths=(16, 32), blocks=1))
    twin = winograd.quickened(network)
    assert isinstance(twin.middle[0], Learning)
    assert isinstance(network.middle[0], Residual)
    assert {id(one) for one in twin.parameters()} == {id(one) for one in network.parameters()}


@needs_kernels
def test_learning_by_the_kernels_is_the_same_with_any_threads_and_near_to_learning_without(
    gaining: None, monkeypatch: pytest.MonkeyPatch, photographs: Path
):
    block, x = Residual(16), torch.randn(3, 16, 20, 24)

    def gradients(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        return [*answered(Learning(block), x)[:3]]

    before = torch.get_num_threads()
    alone, together = gradients(1), gradients(3)
    torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    found = learned(photographs)
    monkeypatch.setattr(winograd, "gains", lambda: False)
    for name, moved in learned(photographs).items():
        assert moved.abs().max() > 1e-5
        assert (moved - found[name]).abs().max() < 1e-2 * moved.abs().max()


def learned(photographs: Path) -> dict[str, Tensor]:
    """How far three steps move the weights."""
    config = {"widths": (16, 32), "blocks": 1}
    plan = plan_for("photo", data=photographs, name="x", steps=3, batch=2, size=16, config=config, device="cpu")
    schedule = replace(plan.schedule, warm_up=0)
    run = Trainer(
        replace(plan, schedule=schedule, compile="auto" if winograd.gains() else "off"), data.load(photographs)
    )
    assert (run.call is not run.network) is winograd.gains()
    before = {name: weights.clone() for name, weights in run.network.state_dict().items()}
    for _ in range(3):
        run.step()
    return {name: weights - before[name] for name, weights in run.network.state_dict().items()}


@needs_kernels
def test_no_process_is_started_for_graphs_that_nobody_needs_and_prepare_draws_them_all_the_same(
    gaining: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    network, graphs = session().network, tmp_path / "graphs"
    described = Description("tiny", "1", "photo", "unet", ("denoise",), asdict(network.config))
    sha256 = checkpoints.save(tmp_path / "tiny", described, network.state_dict()).sha256
    monkeypatch.setattr(sessions, "ProcessPoolExecutor", None)
    sessions.draw_apart(tmp_path / "tiny", ("denoise",), graphs)
    if not compiled.available():
        return
    assert not compiled.is_kept(graphs, name := compiled.name_of(sha256, "restore"))
    graphs.mkdir()
    Session(network, CPU, weights=sha256, graphs=graphs).prepare(("denoise",))
    assert compiled.is_kept(graphs, name)
