from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import checkpoints, inference, restore, sessions
from models.autoencoder import Autoencoder, AutoencoderConfig
from models.colorizer import Colorizer, ColorizerConfig
from models.colour import LUMA
from models.compiled import Compiled
from models.inference import NotFinite, WrongSize
from models.letterbox import CannotFit
from models.restore import Tiling
from models.sampling import draw_codes
from models.sessions import Session
from models.sparse import SparseAutoencoder, SparseConfig
from models.types import Needs
from models.vae import VAE, VAEConfig


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


@pytest.mark.parametrize(
    ("tile", "halo", "buckets", "found", "left"),
    [
        (900, 56, (), 896, ()),
        (64, 56, (), 120, ()),
        (800, 56, (64, 128, 256, 512, 896), 512, (64, 128, 256, 512)),
        (2000, 56, (64, 128, 256, 512, 896), 896, (64, 128, 256, 512, 896)),
        (128, 64, (64, 128, 256), 256, (64, 128, 256)),
        (512, 120, (64, 128), 512, (64, 128)),
        (900, 56, (64, 100, 250), 896, (64,)),
    ],
)
def test_a_tile_has_room_for_the_halo_and_is_a_bucket(tile: int, halo: int, buckets: Any, found: int, left: Any):
    tiling = inference.tiling_for(Needs(3, multiple=8, halo=halo), tile, buckets)
    assert tiling == Tiling(found, halo, 8, left)
    assert inference.restore.split(1000, 700, tiling)


@pytest.mark.parametrize(("sigma", "halo"), [(0.0, 8), (5.0, 8), (5.1, 16), (25.0, 16), (26.0, 32), (None, 32)])
def test_the_less_noise_there_is_the_narrower_is_the_halo(sigma: float | None, halo: int):
    needs = Needs(3, multiple=8, halo=32, halos=((5.0, 8), (25.0, 16)), level=True)
    windows = inference.windows_of(needs, 300, 200, inference.tiling_for(needs, 128), sigma)
    assert windows == restore.split(300, 200, Tiling(128, halo, 8))
    narrow = Tiling(128, 0, 8)
    assert inference.windows_of(needs, 300, 200, narrow, sigma) == restore.split(300, 200, narrow), "nor any wider"


def test_a_picture_is_cut_by_its_level(shelf: Path):
    session = asked(shelf / "tiny-photo")
    network = session.network
    network.config = replace(network.config, halo=16, halos=(4, 4, 8, 12))
    picture, computed = np.zeros((100, 120, 3), np.uint8), []
    for sigma in (5.0, 25.0, 75.0):
        shares: list[float] = []
        inference.restored(session, picture, sigma, Tiling(48, 16, 4), shares.append)
        computed.append(len(shares))
    assert computed[0] < computed[1] < computed[2]


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


class Blurring(sessions.Session):
    """Stands for a network of reach 3; it answers in memory that it uses again, as compiled ones do."""

    needs = Needs(1, halo=3, level=True)  # pyright: ignore

    def __init__(self) -> None:
        self.asked, self.memory = 0, np.zeros((1, 0, 0, 1), np.uint8)

    def restore(self, tiles: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked += 1
        if self.memory.shape != tiles.shape:
            self.memory = np.empty_like(tiles)
        padded = np.pad(tiles.astype(int), [(0, 0), (3, 3), (3, 3), (0, 0)])
        height, width = tiles.shape[1:3]
        around = [padded[:, y : y + height, x : x + width] for y in range(7) for x in range(7)]
        self.memory[...] = np.mean(around, axis=0)
        return self.memory, np.ones(len(tiles), bool)


@given(height=st.integers(1, 60), width=st.integers(1, 60), tile=st.integers(7, 40))
def test_a_picture_may_be_restored_where_it_stands(height: int, width: int, tile: int):
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 1), np.uint8)
    session = Blurring()
    apart = inference.restored(session, picture, 9.0, Tiling(tile, 3))
    whole = inference.restored(session, picture, 9.0, Tiling(100, 0))
    in_place = inference.restored(session, picture, 9.0, Tiling(tile, 3), into=picture)
    assert in_place is picture
    assert np.array_equal(apart, whole)
    assert np.array_equal(in_place, whole)


def test_strength_is_a_share_of_the_change_and_none_asks_nothing():
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 1), np.uint8)
    session = Blurring()
    assert inference.restored(session, picture, 9.0, Tiling(20, 3), strength=0.0) is picture
    assert session.asked == 0
    whole = inference.restored(session, picture, 9.0, Tiling(20, 3)).astype(float)
    half = inference.restored(session, picture, 9.0, Tiling(20, 3), strength=0.5)
    assert np.abs(half - (picture + whole) / 2).max() <= 0.5


def test_what_alpha_hides_does_not_spread(shelf: Path):
    session = asked(shelf / "tiny-photo")
    rng = np.random.default_rng(0)
    picture, alpha = rng.integers(0, 256, (70, 90, 3), np.uint8), np.full((70, 90), 200, np.uint8)
    alpha[20:50, 30:] = 0
    answers = []
    for unseen in (0, 255):
        picture[alpha == 0] = unseen
        tiling = inference.tiling_for(session.needs, 64)
        answers.append(inference.restored(session, picture.copy(), 25.0, tiling, alpha=alpha))
        assert (answers[-1][alpha == 0] == unseen).all()
    assert np.array_equal(answers[0][alpha > 0], answers[1][alpha > 0])
    assert not np.array_equal(answers[0][alpha > 0], picture[alpha > 0])


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


REBUILDERS = {
    "autoencoder": lambda channels: Autoencoder(AutoencoderConfig(channels, 12, 10, (4, 8), code=6)),
    "vae": lambda channels: VAE(VAEConfig(channels, 12, 10, (4, 8), latent=5)),
}


@pytest.fixture(params=sorted(REBUILDERS))
def rebuilder(request: pytest.FixtureRequest) -> Session:
    torch.manual_seed(3)
    return Session(REBUILDERS[request.param](3), CPU)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("given", [1, 3])
def test_pictures_are_encoded_and_rebuilt_by_their_codes(rebuilder: Session, dtype: Any, given: int):
    tiles = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (3, 12, 10, given)).astype(dtype)
    codes, finite = rebuilder.encode(tiles)
    assert codes.shape == (3, rebuilder.needs.latent)
    assert codes.dtype == np.float32
    pictures, also = rebuilder.reconstruct(tiles)
    assert finite.all()
    assert also.all()
    assert (pictures.shape, pictures.dtype) == ((3, 12, 10, 3), np.uint8)
    assert np.abs(pictures.astype(int) - inference.decode_codes(rebuilder, codes)).max() <= 1
    assert all(isinstance(program, Compiled) for program in rebuilder.programs.values())


def test_a_later_answer_leaves_an_earlier_one_as_it_is(rebuilder: Session):
    black, white = (np.full((1, 12, 10, 3), value, np.uint8) for value in (0, 255))
    first = rebuilder.encode(black)[0]
    kept = first.copy()
    rebuilder.encode(white)
    assert np.array_equal(first, kept)


def test_a_grey_network_knows_a_colour_picture_by_its_lightness():
    session = Session(REBUILDERS["vae"](1), CPU)
    red = np.zeros((1, 12, 10, 3), np.uint8)
    red[..., 0] = 200
    as_grey = np.full((1, 12, 10, 1), 60, np.uint8)
    assert np.array_equal(session.encode(red)[0], session.encode(as_grey)[0])
    assert session.reconstruct(red)[0].shape == (1, 12, 10, 1)


@pytest.mark.parametrize("size", [(1, 1), (12, 10), (50, 61), (300, 40)])
def test_pictures_of_any_size_are_fitted_and_it_is_said_how(rebuilder: Session, size: tuple[int, int]):
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    rebuilt, placement = inference.reconstructed(rebuilder, picture)
    assert rebuilt.shape == (12, 10, 3)
    code, also = inference.encoded(rebuilder, picture)
    assert code.shape == (rebuilder.needs.latent,)
    assert placement == also
    assert placement.given == size
    with pytest.raises(CannotFit):
        inference.encoded(rebuilder, np.zeros((1, 400, 1), np.uint8))


def test_what_is_not_finite_is_told_of_that_picture_alone(in_pytorch: None, rebuilder: Session):
    for parameter in rebuilder.network.encoder.parameters():
        parameter.data.fill_(1e30 if parameter.ndim > 1 else 0.0)
    tiles = np.stack([np.zeros((12, 10, 3), np.uint8), np.full((12, 10, 3), 255, np.uint8)])
    for answer, finite in (rebuilder.encode(tiles), rebuilder.reconstruct(tiles)):
        assert len(answer) == 2
        assert finite.tolist() == [True, False]


def test_codes_of_a_seed_are_drawn_by_the_session(rebuilder: Session):
    latent = rebuilder.needs.latent or 0
    assert np.array_equal(rebuilder.draw(7, 2, 3, 0.5), draw_codes(latent, 7, 2, 3, 0.5))


@pytest.fixture(scope="module")
def colorizer() -> Session:
    torch.manual_seed(3)
    network = Colorizer(ColorizerConfig(side=24, widths=(4, 8), bins=5, temperature=0.1))
    for parameter in network.parameters():
        parameter.data *= 2
    return Session(network, CPU)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 1), (1, 900), (61, 50), (300, 400)])
def test_a_grey_picture_of_any_size_gets_colours_and_keeps_its_lightness(colorizer: Session, size: tuple, dtype: Any):
    grey = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (*size, 1)).astype(dtype)
    answer = inference.colorized(colorizer, grey)
    assert (answer.shape, answer.dtype) == ((*size, 3), dtype)
    assert np.abs(answer @ np.array(LUMA) - grey[..., 0]).max() <= 0.51
    assert isinstance(colorizer.program("colorize"), Compiled)


def test_of_a_colour_picture_the_lightness_alone_counts(colorizer: Session):
    colours = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    grey = sessions.in_channels(colours[None], 1)[0]
    answer, as_grey = inference.colorized(colorizer, colours), inference.colorized(colorizer, grey)
    assert np.abs(answer @ np.array(LUMA) - colours @ np.array(LUMA)).max() <= 0.51
    assert np.abs(answer.astype(int) - as_grey).max() <= 3
    assert np.ptp(answer.astype(int), axis=2).max() > 0


def test_colours_that_are_not_finite_are_told_and_not_shown():
    network = Colorizer(ColorizerConfig(side=24, widths=(4, 8), bins=5))
    network.tail.bias.data.fill_(float("nan"))
    with pytest.raises(NotFinite):
        inference.colorized(Session(network, CPU), np.zeros((9, 9, 1), np.uint8))


def test_exact_zeros_of_a_sparse_code_stay_exact():
    torch.manual_seed(3)
    network = SparseAutoencoder(SparseConfig(1, 12, 10, (4, 8), code=50))
    tiles = np.random.default_rng(0).integers(0, 256, (64, 12, 10, 1), np.uint8)
    network(torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255)
    session = Session(network, CPU)
    codes, finite = session.encode(tiles)
    assert finite.all()
    assert isinstance(session.program("encode"), Compiled)
    assert codes.min() == 0
    assert (codes == 0).mean() > 0.5


def test_codes_of_a_mixture_are_drawn_from_it():
    network = Autoencoder(AutoencoderConfig(1, 12, 10, (4, 8), code=6, mixture=2))
    network.fit_prior(torch.randn(40, 6) + 7, seed=0)
    session = Session(network, CPU)
    assert session.draw(1, 0, 50).mean() == pytest.approx(7, abs=0.5)
    assert np.array_equal(session.draw(1, 0, 50)[20:], session.draw(1, 20, 30))


def test_a_device_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert sessions.chosen_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="no GPU"):
        sessions.chosen_device("cuda")
