"""Shapes are checked while the tests run; small models and pictures that many tests need."""

import os

from jaxtyping import install_import_hook

with install_import_hook(["models"], "shapes.checked"):
    import models.evaluation
    import models.training  # noqa: F401  everything below it is imported, and so checked, with it

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from models import checkpoints, compiled
from models.autoencoder import AutoencoderConfig
from models.catalog import SHIPPED
from models.checkpoints import Description
from models.recipes import RECIPES, asks_of, built
from models.unet import UNetConfig
from models.vae import VAEConfig

settings.register_profile("quick", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("quick")

TINY: dict[str, tuple[str, Any]] = {
    "tiny-photo": ("photo", UNetConfig(widths=(8, 16), blocks=1)),
    "tiny-denoise": ("denoise", AutoencoderConfig(height=12, width=10, widths=(4, 8), code=6)),
    "tiny-vae": ("digits-vae", VAEConfig(height=12, width=10, widths=(4, 8), latent=5)),
}
SHIPPED_PHOTO = checkpoints.describe(SHIPPED / "photo").title
"""The denoiser for photographs, by name and version."""
SAMPLES = Path(__file__).parent.parent / "samples"
NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError(
        "Check 'ptr' failed at src/plugins/intel_cpu/src/cpu_memory.cpp:257:\nFailed to allocate 8 bytes of memory"
    ),
    MemoryError(),
]
"""As libraries say that memory is lacking: PyTorch on a GPU and on a CPU, OpenVINO, Python."""


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled graphs are kept for all tests of one run."""
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, graphs: Path) -> None:
    for name in list(os.environ):
        if name.startswith("DENOIR_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DENOIR_CACHE", str(graphs))


@pytest.fixture
def in_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks run in PyTorch alone, where a graph, which takes seconds to draw, is not what is tested."""
    monkeypatch.setattr(compiled, "available", lambda: False)


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> None:
    torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shelf with one small untrained model of each architecture."""
    return stocked(tmp_path_factory.mktemp("shelf"), TINY)


def stocked(folder: Path, models: dict[str, tuple[str, Any]]) -> Path:
    """A shelf with small untrained models: (recipe, config) by name."""
    for name, (recipe, config) in models.items():
        row = RECIPES[recipe]
        torch.manual_seed(1)
        network = built(row.architecture, config)
        for parameter in network.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
        if getattr(config, "mixture", 0):
            network.fit_prior(torch.randn(40, config.code), seed=0)
        described = Description(name, "1", recipe, row.architecture, asks_of(row, network), asdict(config))
        checkpoints.save(folder / name, described, network.state_dict())
    return folder


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of a user's own small pictures, of several sizes and formats, one in a folder below."""
    folder = tmp_path / "photographs"
    (folder / "more").mkdir(parents=True)
    for number, (name, size) in enumerate([("a.png", (40, 32)), ("b.jpg", (64, 48)), ("more/c.png", (33, 57))]):
        Image.fromarray(scene(size[1], size[0], number)).save(folder / name)
    return folder


def write_shots(folder: Path, shots: Iterable[np.ndarray]) -> None:
    """A scene, as `models.scenes` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, shot in enumerate(shots):
        Image.fromarray(shot).save(folder / f"{number}.png")


def scene(height: int, width: int, seed: int) -> np.ndarray:
    """A smooth coloured picture with an edge, `h w 3` uint8."""
    y, x = np.mgrid[0:height, 0:width]
    tones = [128 + 90 * np.sin((x * (k + 1) + y * (3 - k)) / 17 + seed) for k in range(3)]
    picture = np.stack(tones, 2) * np.where(x > width // 2, 1.0, 0.7)[..., None]
    return picture.clip(0, 255).astype(np.uint8)
