import json
from contextlib import suppress
from pathlib import Path
from shutil import copytree

import pytest
import torch

from models import checkpoints
from models.checkpoints import CheckpointError, Description
from models.unet import UNet, UNetConfig

CONFIG = {"widths": [8, 16], "blocks": 1}


@pytest.fixture
def folder(tmp_path: Path, shelf: Path) -> Path:
    return copytree(shelf / "tiny-photo", tmp_path / "tiny-photo")


def described() -> Description:
    return Description("mine", "1", "photo", "unet", ("denoise",), CONFIG)


@pytest.mark.parametrize("half", [False, True])
def test_what_is_saved_is_loaded(tmp_path: Path, half: bool):
    network = UNet(UNetConfig(widths=(8, 16), blocks=1))
    saved = checkpoints.save(tmp_path / "mine", described(), network.state_dict(), half)
    model = checkpoints.load(tmp_path / "mine")
    assert model.description == saved
    for name, tensor in model.network.state_dict().items():
        expected = network.state_dict()[name]
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected.half().float() if half else expected)


def test_a_loaded_network_is_ready_to_be_asked(folder: Path):
    network = checkpoints.load(folder).network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_tampered_weights_are_refused_by_name(folder: Path):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="tiny-photo"):
        checkpoints.load(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"config": {"widths": [8, 32], "blocks": 1}}, "don't fit"),
        ({"config": {"widths": [80_000, 80_000], "blocks": 1}}, "don't fit"),
        ({"config": {"bogus": 1}}, "bogus"),
        ({"config": {"widths": []}}, "widths can't be"),
        ({"config": {"widths": [8, []]}}, "widths can't be"),
        ({"config": []}, "config must be an object"),
        ({"version": 3}, "version must be text"),
        ({"asks": "denoise"}, "asks must be a list"),
        ({"asks": ["fly"]}, "not to fly"),
        ({"asks": ["sample"]}, "not to sample"),
        ({"architecture": "gan"}, "gan"),
        ({"format": 99}, "99"),
        ({"name": "../up"}, "names"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_config_that_lies_is_refused_by_name(folder: Path, change: dict, said: str):
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=said) as caught:
        checkpoints.load(folder)
    assert "tiny-photo" in str(caught.value)


def test_a_config_that_is_no_object_is_refused_by_name(folder: Path):
    (folder / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="tiny-photo"):
        checkpoints.describe(folder)


def test_weights_that_do_not_fit_are_told_in_a_line(folder: Path):
    config = json.loads((folder / "config.json").read_text()) | {"config": {"widths": [8, 16], "blocks": 5}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        checkpoints.load(folder)


def test_no_metrics_are_no_error(folder: Path):
    assert checkpoints.metrics(folder) == {}


@pytest.mark.parametrize("broken", ["{", "[]"])
def test_broken_metrics_are_named(folder: Path, broken: str):
    (folder / "metrics.json").write_text(broken)
    with pytest.raises(CheckpointError, match=r"metrics\.json"):
        checkpoints.metrics(folder)


def test_a_write_that_is_interrupted_leaves_the_old_file_and_nothing_beside(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with suppress(KeyboardInterrupt), checkpoints.replacing(path) as stream:
        stream.write(b"n")
        raise KeyboardInterrupt
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_two_who_write_one_file_do_not_write_into_each_other(tmp_path: Path):
    path = tmp_path / "file"
    (tmp_path / "file.new").write_bytes(b"of a user's own")
    with checkpoints.replacing(path) as first:
        first.write(b"a" * 20_000)
        with checkpoints.replacing(path) as second:
            second.write(b"b" * 10)
        assert path.read_bytes() == b"b" * 10
    assert path.read_bytes() == b"a" * 20_000
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "file.new"]


def test_what_a_config_lacks_is_named(folder: Path):
    (folder / "config.json").write_text('{"name": "mine"}')
    with pytest.raises(CheckpointError, match="it lacks version, recipe, architecture, asks, config"):
        checkpoints.describe(folder)
