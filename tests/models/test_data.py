import gzip
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Generator

from models import data
from models.data import Crops, DataError, Pictures, Wholes


def test_a_folder_is_read_with_the_folders_below_it(photographs: Path):
    pictures = data.load(photographs)
    assert len(pictures.train) + len(pictures.held_out) == 3
    assert pictures.channels == 3
    assert pictures.common_size is None
    assert pictures.held_out


def test_what_can_not_be_read_is_left_out_and_said(photographs: Path, capsys: pytest.CaptureFixture):
    (photographs / "broken.png").write_bytes(b"no picture")
    assert len(data.load(photographs).train) == 2
    assert "broken.png" in capsys.readouterr().out


def test_nothing_to_train_on_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="no picture"):
        data.load(tmp_path)
    with pytest.raises(DataError, match="there is no"):
        data.load(tmp_path / "missing")


def test_one_picture_is_enough(tmp_path: Path):
    Image.new("L", (20, 20), 9).save(tmp_path / "only.png")
    pictures = data.load(tmp_path)
    assert len(pictures.train) == len(pictures.held_out) == 1
    assert pictures.channels == 1


def test_colour_in_one_makes_colour_of_all(tmp_path: Path):
    Image.new("L", (20, 20), 9).save(tmp_path / "grey.png")
    Image.new("RGB", (20, 20), (9, 0, 0)).save(tmp_path / "red.png")
    assert data.load(tmp_path).channels == 3


def test_transparency_shows_white(tmp_path: Path):
    Image.new("RGBA", (4, 4), (200, 0, 0, 0)).save(tmp_path / "clear.png")
    assert data.load(tmp_path).train[0].min() == 255


def test_a_zip_is_a_folder(photographs: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        for path in photographs.rglob("*.*"):
            packed.write(path, path.relative_to(photographs))
    unpacked, zipped = data.load(photographs), data.load(tmp_path / "set.zip")
    assert all(torch.equal(a, b) for a, b in zip(unpacked.train, zipped.train, strict=True))


def test_idx_files_hold_out_the_end_of_their_training_part(tmp_path: Path):
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", count=24)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", count=5)
    pictures = data.load(tmp_path)
    assert (len(pictures.train), len(pictures.held_out)) == (22, 2)
    assert pictures.common_size == (4, 3)
    assert len(data.test_part(tmp_path)) == 5


@pytest.mark.parametrize("broken", [b"", b"\x00\x00\x08\x03" + struct.pack(">3I", 9, 4, 3)])
def test_a_broken_idx_file_is_named(tmp_path: Path, broken: bytes):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(broken)
    with pytest.raises(DataError, match="train-images"):
        data.load(tmp_path)


def test_arrays_of_an_npz(tmp_path: Path):
    arrays = np.random.default_rng(0).integers(0, 255, (6, 5, 4), np.uint8)
    np.savez(tmp_path / "set.npz", train_images=arrays, val_images=arrays[:2], test_images=arrays[:3])
    pictures = data.load(tmp_path / "set.npz")
    assert (len(pictures.train), len(pictures.held_out), pictures.common_size) == (6, 2, (5, 4))
    assert len(data.test_part(tmp_path / "set.npz")) == 3


def test_what_is_held_out_is_told_by_the_name_alone():
    names = [f"{number}.png" for number in range(2000)]
    held_out = [name for name in names if data.is_held_out(name)]
    assert 0.03 < len(held_out) / len(names) < 0.07
    assert data.is_held_out("folder/" + held_out[0])


def test_crops_come_from_the_pictures_and_are_told_by_the_generator():
    picture = torch.arange(3 * 20 * 30, dtype=torch.int32).remainder(251).to(torch.uint8).view(3, 20, 30)
    view = Crops(Pictures([picture], [picture]), 16)
    first, second = (view.draw(4, Generator().manual_seed(5)) for _ in range(2))
    assert first.shape == (4, 3, 16, 16)
    assert torch.equal(first, second)
    assert set((first * 255).round().unique().tolist()) <= set(picture.unique().tolist())


def test_all_eight_ways_to_turn_a_crop_are_drawn():
    picture = torch.zeros(1, 4, 4, dtype=torch.uint8)
    picture[0, 0, 1] = 255
    crops = Crops(Pictures([picture], [picture]), 4).draw(200, Generator().manual_seed(0))
    assert len({tuple(crop.flatten().tolist()) for crop in crops}) == 8


def test_some_crops_lose_their_colour():
    picture = torch.randint(0, 255, (3, 16, 16), dtype=torch.uint8)
    crops = Crops(Pictures([picture], [picture]), 8, grey=0.5).draw(40, Generator().manual_seed(0))
    grey = (crops.amax(1) == crops.amin(1)).flatten(1).all(1)
    assert 8 < int(grey.sum()) < 32


def test_crops_larger_than_the_pictures_are_refused():
    picture = torch.zeros(3, 20, 300, dtype=torch.uint8)
    with pytest.raises(DataError, match="20 px"):
        Crops(Pictures([picture], [picture]), 64)


def test_whole_pictures_are_scaled_to_cover_and_cut_to_their_middle():
    wide = torch.zeros(1, 20, 60, dtype=torch.uint8)
    wide[:, :, 14:46] = 255
    view = Wholes.of(Pictures([wide], [wide]), (10, 10))
    assert view.train.shape == (1, 1, 10, 10)
    assert view.train.min() == 255
    assert next(view.held_out()).shape == (1, 1, 10, 10)


def write_idx(path: Path, count: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (count, 4, 3), np.uint8)
    path.write_bytes(gzip.compress(b"\x00\x00\x08\x03" + struct.pack(">3I", count, 4, 3) + pixels.tobytes()))
