from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import checkpoints, inference
from models.inference import NotFinite, Session, WrongSize
from models.restore import Tiling
from models.sampling import draw_codes
from models.types import Needs


class Doubled(torch.nn.Module):
    """Restores a picture as twice itself, at any number of channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.needs = Needs(channels, level=True)
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        assert noisy.shape[1] == self.needs.channels
        return noisy * self.weight + 0 * level.view(-1, 1, 1, 1)


class Fragile(Doubled):
    """Gives values that are not finite for levels above 40."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return noisy / (level < 40 / 255).float().view(-1, 1, 1, 1)


CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("given", [1, 3])
@pytest.mark.parametrize("taken", [1, 3])
def test_depth_and_channels_come_back_as_they_were(dtype: Any, given: int, taken: int):
    tiles = np.random.default_rng(0).integers(0, np.iinfo(dtype).max // 2, (2, 4, 5, given)).astype(dtype)
    answer = inference.restore_tiles(Session(Doubled(taken), CPU), tiles, np.array([5.0, 9.0]))
    assert answer.dtype == dtype
    assert np.abs(answer.astype(int) - 2 * tiles.astype(int)).max() <= 1


def test_values_are_clipped_but_never_hidden_when_not_finite():
    white = np.full((2, 2, 2, 1), 255, np.uint8)
    assert inference.restore_tiles(Session(Doubled(1), CPU), white, np.array([1.0, 1.0])).max() == 255
    broken = Session(Fragile(), CPU)
    _, finite = broken.restore(white, np.array([1.0, 50.0]))
    assert finite.tolist() == [True, False]
    with pytest.raises(NotFinite):
        inference.restore_tiles(broken, white, np.array([1.0, 50.0]))


def asked(folder: Path) -> Session:
    return Session(checkpoints.load(folder).network, CPU)


def test_level_nought_leaves_the_picture_as_it_is():
    picture = np.random.default_rng(0).integers(0, 255, (7, 9, 3), np.uint8)
    assert np.array_equal(inference.restored(Session(Doubled(3), CPU), picture, 0.0, Tiling(16, 0)), picture)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 3), (50, 61)])
def test_any_size_comes_back_that_size(shelf: Path, size: tuple[int, int]):
    session = asked(shelf / "tiny-photo")
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    answer = inference.restored(session, picture, 25.0, inference.tiling_for(session.needs, 128))
    assert answer.shape == picture.shape


def test_a_tiled_answer_is_the_whole_one(shelf: Path):
    session = asked(shelf / "tiny-photo")
    picture = np.random.default_rng(0).integers(0, 65535, (150, 201, 3)).astype(np.uint16)
    needs = session.needs
    shares: list[float] = []
    tiled = inference.restored(session, picture, 25.0, Tiling(3 * needs.halo // 4 * 4, needs.halo, 4), shares.append)
    together = inference.restored(session, picture, 25.0, Tiling(256, 0, 4))
    assert np.abs(tiled.astype(int) - together.astype(int)).max() < 257 / 2
    assert len(shares) > 4
    assert shares[-1] == 1.0


def test_a_network_of_one_size_refuses_others(shelf: Path):
    session = asked(shelf / "tiny-denoise")
    tiling = inference.tiling_for(session.needs, 512)
    assert inference.restored(session, np.zeros((12, 10, 1), np.uint8), 0.0, tiling).shape == (12, 10, 1)
    with pytest.raises(WrongSize, match="10x12"):
        inference.restored(session, np.zeros((10, 12, 1), np.uint8), 0.0, tiling)


def test_a_decoded_picture_does_not_depend_on_what_shares_its_batch(shelf: Path):
    session = asked(shelf / "tiny-vae")
    codes = draw_codes(5, 1, 0, 16)
    together = inference.decode_codes(session, codes)
    assert together.shape == (16, 12, 10, 1)
    for start in range(16):
        assert np.array_equal(inference.decode_codes(session, codes[start:]), together[start:])


def test_a_device_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert inference.chosen_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="no GPU"):
        inference.chosen_device("cuda")
