import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models import checkpoints, storage
from models.checkpoints import CheckpointError, Description
from models.unet import UNet, UNetConfig

MINE = Description("mine", "1", "photo", "unet", ("denoise",), {"widths": [8, 16], "blocks": 1})


def made() -> tuple[UNet, list[str]]:
    """A network, and the names of its weights that may have 8 bits."""
    network = UNet(UNetConfig(widths=(8, 16), blocks=1))
    return network, [f"{name}.weight" for name in network.roundable]


def test_weights_of_8_bits_are_as_near_as_their_steps(tmp_path: Path):
    network, rounded = made()
    weights = network.state_dict()
    checkpoints.save(tmp_path / "mine", MINE, weights, half=True, rounded=rounded)
    loaded = checkpoints.load(tmp_path / "mine").network.state_dict()
    assert rounded
    for name, weight in weights.items():
        step = weight.abs().amax((1, 2, 3), keepdim=True) / 127 if name in rounded else torch.zeros(())
        assert loaded[name].dtype == torch.float32
        assert torch.equal(loaded[name], loaded[name].half().float())
        assert torch.all((loaded[name] - weight.half()).abs() <= 0.6 * step)  # half a step, and what 16 bits round


def test_weights_of_8_bits_change_no_more_when_stored_again(tmp_path: Path):
    network, rounded = made()
    once, twice = tmp_path / "once", tmp_path / "twice"
    checkpoints.save(once, MINE, network.state_dict(), half=True, rounded=rounded)
    checkpoints.save(twice, MINE, checkpoints.load(once).network.state_dict(), half=True, rounded=rounded)
    first, second = (load_file(folder / checkpoints.WEIGHTS) for folder in (once, twice))
    assert all(torch.equal(first[name], second[name]) for name in rounded)


def test_a_channel_that_is_nought_comes_back_as_nought(tmp_path: Path):
    network, (name, *_) = made()
    network.state_dict()[name][3] = 0
    checkpoints.save(tmp_path / "mine", MINE, network.state_dict(), half=True, rounded=[name])
    assert not checkpoints.load(tmp_path / "mine").network.state_dict()[name][3].any()


@pytest.mark.parametrize("scale", [None, torch.ones(3), torch.ones(()), torch.full((16,), torch.nan)])
def test_weights_of_8_bits_without_their_scale_are_refused(tmp_path: Path, scale: torch.Tensor | None):
    network, (name, *_) = made()
    checkpoints.save(tmp_path / "mine", MINE, network.state_dict(), half=True, rounded=[name])
    tensors = load_file(tmp_path / "mine" / checkpoints.WEIGHTS)
    del tensors[f"{name}.scale"]
    tampered(tmp_path / "mine", tensors | ({} if scale is None else {f"{name}.scale": scale}))
    with pytest.raises(CheckpointError, match=name):
        checkpoints.load(tmp_path / "mine")


def tampered(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """The checkpoint with other weights, its hash that of these."""
    save_file(tensors, folder / checkpoints.WEIGHTS)
    told = json.loads((folder / checkpoints.CONFIG).read_text())
    told["sha256"] = hashlib.sha256((folder / checkpoints.WEIGHTS).read_bytes()).hexdigest()
    (folder / checkpoints.CONFIG).write_text(json.dumps(told))


def test_whole_numbers_stay_what_they_are():
    counted = {"batches": torch.tensor(70_000), "weight": torch.ones(2)}
    again = storage.restored(storage.kept(counted, half=True))
    assert again["batches"] == 70_000
