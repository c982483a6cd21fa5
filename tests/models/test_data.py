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
from models.data import Crops, DataError, Pictures, Wholes, short_side


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


def test_transparency_that_is_to_stay_is_a_channel_of_all(tmp_path: Path):
    Image.new("RGBA", (4, 4), (200, 0, 100, 51)).save(tmp_path / "clear.png")
    Image.new("L", (4, 4), 9).save(tmp_path / "grey.png")
    pictures = data.load(tmp_path, transparent=True)
    shown = [p[:, 0, 0].tolist() for p in pictures.train + pictures.held_out]
    assert sorted(shown) == [[9, 9, 9, 255], [40, 0, 20, 51]]
    assert data.measured_part(tmp_path, transparent=True)[0].shape == (4, 4, 4)
    (tmp_path / "clear.png").unlink()
    assert data.load(tmp_path, transparent=True).channels == 1


def test_half_of_what_is_drawn_is_mirrored_where_it_may_be():
    slope = torch.arange(12, dtype=torch.uint8).expand(1, 3, 12)
    pictures = data.Pictures([slope] * 2, [slope])
    straight, mirrored = (Wholes.of(pictures, (3, 12), turned) for turned in (False, True))
    assert (straight.draw(64, Generator().manual_seed(1))[:, 0, 0, 0] == 0).all()
    turned = mirrored.draw(64, Generator().manual_seed(1))
    count = int((turned[:, 0, 0, 0] > 0).sum())
    assert 16 < count < 48
    assert torch.equal(turned[turned[:, 0, 0, 0] > 0].flip(3), straight.draw(count, Generator()))
    assert (next(iter(mirrored.held_out()))[0, 0, 0, 0]) == 0


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
    assert len(data.measured_part(tmp_path)) == 5


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
    assert len(data.measured_part(tmp_path / "set.npz")) == 3


def test_black_and_white_may_be_packed_eight_pixels_a_byte(tmp_path: Path):
    white = np.random.default_rng(0).integers(0, 2, (9, 8, 8), np.uint8)
    packed = np.packbits(white.reshape(9, 64), axis=1)
    np.savez(tmp_path / "set.npz", train=packed[:5], valid=packed[5:7], test=packed[7:])
    pictures = data.load(tmp_path / "set.npz")
    assert torch.equal(torch.stack(pictures.train + pictures.held_out)[:, 0], torch.from_numpy(255 * white[:7]))
    assert torch.equal(torch.stack(data.measured_part(tmp_path / "set.npz"))[:, 0], torch.from_numpy(255 * white[7:]))


@pytest.mark.parametrize(
    "packed", [np.zeros((3, 7), np.uint8), np.zeros((3, 8), np.int64), np.zeros((3, 8, 1), np.uint8)]
)
def test_bits_that_are_of_no_square_are_refused(tmp_path: Path, packed: np.ndarray):
    np.savez(tmp_path / "set.npz", train=packed)
    with pytest.raises(DataError, match="square"):
        data.load(tmp_path / "set.npz")


def test_whether_a_set_has_test_pictures_of_its_own(photographs: Path, tmp_path: Path):
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", count=5)
    assert data.sets_apart(tmp_path)
    assert data.sets_apart(Path("set.npz"))
    assert not data.sets_apart(photographs)


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


def blank(*sizes: tuple[int, int]) -> list[torch.Tensor]:
    return [torch.zeros(3, *size, dtype=torch.uint8) for size in sizes]


def test_crops_larger_than_all_pictures_are_refused():
    with pytest.raises(DataError, match="20 px"):
        Crops.of(Pictures(blank((20, 300)), blank((10, 10))), 64)


def test_pictures_smaller_than_a_crop_are_left_out_and_said(capsys: pytest.CaptureFixture):
    view = Crops.of(Pictures(blank((20, 40), (16, 16), (15, 90)), blank((9, 9), (35, 17))), 16)
    assert "left out 2 pictures" in capsys.readouterr().out
    assert [tuple(p.shape[1:]) for p in view.pictures.train] == [(20, 40), (16, 16)]
    assert view.draw(8, Generator().manual_seed(0)).shape == (8, 3, 16, 16)
    assert [tuple(batch.shape) for batch in view.held_out()] == [(1, 3, 32, 16)]


def test_one_picture_moves_over_where_all_that_was_held_out_is_too_small():
    view = Crops.of(Pictures(blank((20, 20), (30, 30)), blank((9, 9))), 16)
    assert (len(view.pictures.train), len(view.pictures.held_out)) == (1, 1)
    assert next(view.held_out()).shape == (1, 3, 16, 16)


def test_the_fingerprint_tells_sets_of_the_same_shape_apart():
    dark, bright = torch.zeros(1, 4, 4, dtype=torch.uint8), torch.full((1, 4, 4), 9, dtype=torch.uint8)
    sets = [([dark, bright], [dark]), ([bright, dark], [dark]), ([dark], [bright, dark]), ([dark, bright], [bright])]
    prints = [Pictures(*one).fingerprint for one in sets]
    assert len(set(prints)) == 4
    assert Pictures([dark.clone(), bright], [dark]).fingerprint == prints[0]
    turned = Pictures([torch.zeros(1, 2, 8, dtype=torch.uint8), bright], [dark])
    assert turned.fingerprint != prints[0]


def test_a_damaged_zip_is_named(photographs: Path, tmp_path: Path):
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 nothing")
    with zipfile.ZipFile(tmp_path / "cut.ZIP", "w") as packed:
        packed.write(photographs / "a.png", "a.png")
    whole = bytearray((tmp_path / "cut.ZIP").read_bytes())
    whole[100] ^= 255
    (tmp_path / "cut.ZIP").write_bytes(bytes(whole))
    for name in ("no.zip", "cut.ZIP"):
        with pytest.raises(DataError, match=name):
            data.load(tmp_path / name)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((0, 5, 4), np.uint8), "uint8"),
        (np.zeros((2, 5, 4, 4), np.uint8), "c 1 or 3"),
        (np.zeros((2, 5, 4, 2), np.uint8), "c 1 or 3"),
        (np.array([None, "a"], dtype=object), "set.npz"),
        (None, "no array `train_images`"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(tmp_path: Path, pixels: np.ndarray | None, said: str):
    np.savez(tmp_path / "set.npz", **({"other": np.zeros(3)} if pixels is None else {"train_images": pixels}))
    with pytest.raises(DataError, match=said):
        data.load(tmp_path / "set.npz")


def test_an_npz_that_is_broken_or_lacks_what_is_asked_is_named(tmp_path: Path):
    np.save(tmp_path / "single.npy", np.zeros(3))
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "train.npz", train_images=np.zeros((2, 5, 4), np.uint8))
    for name in ("single", "broken", "empty", "train", "missing"):
        with pytest.raises(DataError, match=rf"{name}\.npz"):
            data.measured_part(tmp_path / f"{name}.npz")


def test_one_picture_in_an_idx_file_is_enough_and_none_is_an_error(tmp_path: Path):
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", count=1)
    pictures = data.load(tmp_path)
    assert (len(pictures.train), len(pictures.held_out)) == (1, 1)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", count=0)
    with pytest.raises(DataError, match="no pictures"):
        data.load(tmp_path)


def test_an_idx_file_that_can_not_be_unpacked_is_named(tmp_path: Path):
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", count=9)
    whole = (tmp_path / "train-images-idx3-ubyte.gz").read_bytes()
    for broken in (whole[:-20], b"nothing"):
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(broken)
        with pytest.raises(DataError, match="train-images"):
            data.load(tmp_path)


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


@pytest.mark.parametrize("size", [(40, 30), (7, 300), (200, 210)])
def test_framed_crops_are_nearly_all_of_a_picture_and_stay_upright(size: tuple[int, int]):
    picture = torch.zeros(3, *size, dtype=torch.uint8)
    picture[:, : size[0] // 2] = 200  # sky
    crops = Crops.framed(Pictures([picture], [picture]), 20, 22)
    assert all(short_side(p) == 22 and max(p.shape) <= 66 for p in crops.pictures.train)
    drawn = crops.draw(8, Generator().manual_seed(0))
    assert drawn.shape == (8, 3, 20, 20)
    assert (drawn[:, :, 0] > drawn[:, :, -1]).all()
    assert next(crops.held_out()).shape[2:] >= (20, 20)
