"""Checkpoints that were tampered with, or lie about what they hold: refused by name, and before they cost anything."""

import hashlib
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from serving import BARE

from models import checkpoints
from models.catalog import Catalog
from models.checkpoints import CheckpointError

NAME = "tiny-photo"
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def folder(tmp_path: Path, shelf: Path) -> Path:
    return copytree(shelf / NAME, tmp_path / "shelf" / NAME)


def rewrite(folder: Path, data: bytes, **changed: Any) -> None:
    """Other weights, with the hash that fits them: whoever can write the one can write the other."""
    (folder / "model.safetensors").write_bytes(data)
    config = json.loads((folder / "config.json").read_text()) | {"sha256": hashlib.sha256(data).hexdigest()} | changed
    (folder / "config.json").write_text(json.dumps(config))


def refused(folder: Path) -> str:
    """What is said of it, which has its name and is short."""
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(folder)
    said = str(caught.value)
    assert said.startswith(NAME)
    assert len(said) < 500
    assert "\n" not in said
    return said


def framed(header: dict[str, Any] | bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file put together by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        framed(b"{}", length=2**63),
        framed(b"{}", length=2**64 - 1),
        framed(b"[" * 1_000_000),
        framed(b'{"a":' * 100_000),
        framed(b" " * 5_000_000),
        framed({f"t{number}": tensor([0], 0, 0) for number in range(10_000)}),
        framed({"a": tensor([2**40, 2**40], 0, 16)}, bytes(16)),
        framed({"a": tensor([2**62], 0, 2**64 - 1)}, bytes(16)),
        framed({"a": tensor([100_000, 100_000], 0, 4 * 10**10)}, bytes(16)),
        framed({"a": tensor([4], 0, 16), "b": tensor([4], 0, 16)}, bytes(16)),
        framed({"a": tensor([4], 16, 0)}, bytes(16)),
        framed({"a": tensor([-4], 0, 16)}, bytes(16)),
        framed({"a": tensor([4], 0, 16, "F17")}, bytes(16)),
        framed({"a": tensor([4], 0, 16)}, bytes(1000)),
        framed(
            b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
            bytes(16),
        ),
        pickle.dumps(os.system),
        b"PK\3\4" + bytes(100),
    ],
    ids=lambda data: f"{len(data)}-{hashlib.sha256(data).hexdigest()[:6]}",
)
def test_a_file_that_is_no_safetensors_is_refused(folder: Path, data: bytes) -> None:
    rewrite(folder, data)
    assert "don't fit" in refused(folder)


def without_one(tensors: Tensors) -> None:
    tensors.popitem()


def with_another(tensors: Tensors) -> None:
    tensors["another"] = torch.zeros(3)


def with_a_path(tensors: Tensors) -> None:
    tensors["../../../../tmp/x"] = torch.zeros(3)


def turned(tensors: Tensors) -> None:
    name = next(name for name, one in tensors.items() if one.ndim == 4)
    tensors[name] = tensors[name].permute(3, 2, 1, 0).contiguous()


def flattened(tensors: Tensors) -> None:
    name = next(name for name, one in tensors.items() if one.ndim == 4)
    tensors[name] = tensors[name].flatten()


def of(kind: torch.dtype) -> Callable[[Tensors], None]:
    """Makes one of the tensors of that kind."""

    def changed(tensors: Tensors) -> None:
        name = next(iter(tensors))
        tensors[name] = tensors[name].to(kind)

    changed.__name__ = str(kind)
    return changed


def filled(value: float) -> Callable[[Tensors], None]:
    """Puts a value into one of the tensors."""

    def changed(tensors: Tensors) -> None:
        next(iter(tensors.values())).view(-1)[0] = value

    changed.__name__ = f"filled with {value}"
    return changed


@pytest.mark.parametrize(
    "change", [without_one, with_another, with_a_path, turned, flattened], ids=lambda one: one.__name__
)
def test_tensors_that_are_not_the_networks_are_refused(folder: Path, change: Callable[[Tensors], None]) -> None:
    tensors = load((folder / "model.safetensors").read_bytes())
    change(tensors)
    rewrite(folder, save(tensors))
    assert "don't fit" in refused(folder)


@pytest.mark.parametrize(
    "change",
    [of(torch.int32), of(torch.bool), of(torch.complex64), of(torch.uint8), filled(float("nan")), filled(float("inf"))],
    ids=lambda one: one.__name__,
)
def test_tensors_that_are_no_weights_are_refused(folder: Path, change: Callable[[Tensors], None]) -> None:
    tensors = load((folder / "model.safetensors").read_bytes())
    change(tensors)
    rewrite(folder, save(tensors))
    assert refused(folder)


@pytest.mark.parametrize(
    "config",
    [
        {"widths": [8, float("nan")]},
        {"widths": [float("inf")]},
        {"widths": [8, 16], "blocks": float("nan")},
        {"widths": [8, 16], "blocks": 1e400},
        {"widths": [8, 16], "blocks": True},
        {"widths": [8, 16], "blocks": -1},
        {"widths": [8, 16], "blocks": 1.5},
        {"widths": [8, 16], "blocks": "1"},
        {"widths": [8, 16], "blocks": [1]},
        {"widths": [8, 16], "blocks": {"a": 1}},
        {"widths": [8, 16], "blocks": 10**400},
        {"widths": [8] * 10_000},
        {"__class__": 1},
    ],
    ids=lambda config: str(config)[:50],
)
def test_settings_that_can_not_be_are_refused(folder: Path, config: dict[str, Any]) -> None:
    rewrite(folder, (folder / "model.safetensors").read_bytes(), config=config)
    assert refused(folder)


@pytest.mark.parametrize(
    "name", ["../up", "..", "a/b", "/etc", "a\0b", "A", "", "a" * 49, "a@2", "a\nb", "é", ".hidden", "a b"]
)
@pytest.mark.parametrize("field", ["name", "version"])
def test_names_that_could_be_paths_are_refused(folder: Path, field: str, name: str) -> None:
    rewrite(folder, (folder / "model.safetensors").read_bytes(), **{field: name})
    assert "names and versions" in refused(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "nonsense",
        "[" * 200_000,
        '{"a":' * 100_000,
        '{"name": 1' + "0" * 5000 + "}",
        '"' + "x" * 10_000_000,
        "\ud800",
    ],
    ids=lambda text: f"{len(text)} {text[:5]!r}",
)
def test_a_config_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, errors="surrogatepass")
    assert refused(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_in_place_of_a_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    assert refused(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_what_never_ends_is_not_read(folder: Path, name: str, make: Callable[[Path], None]) -> None:
    (folder / name).unlink()
    make(folder / name)
    assert refused(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_link_that_leads_off_the_shelf_gives_nothing_away(folder: Path, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret of the machine")
    (folder / name).unlink()
    (folder / name).symlink_to(secret)
    assert "secret" not in refused(folder).replace(str(folder), "")


@pytest.fixture
def little_memory() -> Iterator[None]:
    """No more address space than 1 GB beyond what is taken."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + 10**9, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("config", [{"widths": [100_000] * 8, "blocks": 9}, {"widths": [80_000, 80_000], "blocks": 1}])
def test_a_network_that_is_only_claimed_takes_no_memory(folder: Path, config: dict[str, Any]) -> None:
    rewrite(folder, (folder / "model.safetensors").read_bytes(), config=config)
    assert "don't fit" in refused(folder)


def test_the_catalog_refuses_by_name_and_the_service_does_not_start(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert Catalog.of(folder.parent).titles == [f"{NAME}@1"]
    command = [sys.executable, "-c", BARE, "--shelf", str(folder.parent), "serve", "--port", "0"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert found.returncode not in (0, -9)
    assert NAME in found.stderr
