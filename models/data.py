"""Pictures to learn from: a folder or a packed set -> pictures -> crops or whole pictures -> batches.

Everything drawn is drawn from a generator that is given, so step t of a seed is the same wherever it runs.
"""

import gzip
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models import images
from models.colour import LUMA
from models.types import Batch, Picture8

HELD_OUT = 0.05
"""Share of a set without a test part of its own that is never trained on, to choose and to report by."""
SUFFIXES = {suffix for known in images.FORMATS.values() for suffix in known.suffixes}
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What unpacking damaged files ends in; RuntimeError for a zip with a password, or packed in an unknown way."""


class DataError(Exception):
    """The pictures to train on can't be had: nothing there, too small, or not pictures."""


@dataclass(frozen=True)
class Pictures:
    """Training and held-out pictures, each `c h w` uint8, all with the same channels, in the order of their names."""

    train: list[Picture8]
    held_out: list[Picture8]

    @property
    def channels(self) -> int:
        return len(self.train[0])

    @property
    def common_size(self) -> tuple[int, int] | None:
        """(height, width) that all pictures share, or None."""
        sizes = {(picture.shape[1], picture.shape[2]) for picture in self.train + self.held_out}
        return sizes.pop() if len(sizes) == 1 else None

    @property
    def fingerprint(self) -> str:
        """How many there are, and a sum over their pixels: another set, order or parting has another."""
        total = 0
        for picture in self.train + self.held_out:
            total = zlib.crc32(f"{tuple(picture.shape)}".encode(), total)
            total = zlib.crc32(picture.cpu().numpy().tobytes(), total)
        return f"{len(self.train)} + {len(self.held_out)} ({total:08x})"

    def to(self, device: torch.device) -> "Pictures":
        """The same pictures on a device, so that crops are cut there."""
        return Pictures([p.to(device) for p in self.train], [p.to(device) for p in self.held_out])


def load(path: Path, transparent: bool = False) -> Pictures:
    """Reads a folder of pictures (with those below it), a zip of them, a MNIST-like folder of idx files, or an .npz.

    What is transparent shows white, as on a page; where it is to stay `transparent` and is so in any picture, all have
    four channels: RGB multiplied by alpha, and alpha. Raises DataError where there is nothing to train on.
    """
    if path.is_dir() and (packed := sorted(path.glob("train-images*idx3*"))):
        return from_idx(packed[0])
    if path.suffix.lower() == ".npz":
        return from_npz(path)
    return from_files(files_of(path), str(path), transparent)


def from_files(files: Iterator[tuple[str, bytes]], where: str, transparent: bool = False) -> Pictures:
    """Pictures out of named files; those that can't be read are left out, and said at the end."""
    train: list[Picture8] = []
    held_out: list[Picture8] = []
    unread: list[str] = []
    for name, data in files:
        try:
            picture = as_tensor(images.read(data), transparent)
        except images.PictureError:
            unread.append(name)
            continue
        (held_out if is_held_out(name) else train).append(picture)
    if not train and not held_out:
        raise DataError(f"no picture could be read in {where}" + (f"; tried {', '.join(unread[:5])}" if unread else ""))
    if unread:
        print(f"left out {len(unread)} files that could not be read: {', '.join(unread[:5])}")
    return same_channels(*at_least_one(train, held_out))


def is_held_out(name: str) -> bool:
    """Whether a picture is held out: told by its file name alone, so that adding pictures moves none."""
    return zlib.crc32(Path(name).name.encode()) % 1000 < 1000 * HELD_OUT


def at_least_one(train: list[Picture8], held_out: list[Picture8]) -> tuple[list[Picture8], list[Picture8]]:
    """Small sets may leave one side empty: then one picture moves over, or serves on both sides if it is the only."""
    pictures = train + held_out
    if len(pictures) == 1:
        return pictures, pictures
    if not held_out:
        return pictures[:-1], pictures[-1:]
    return (train, held_out) if train else (held_out[:-1], held_out[-1:])


def same_channels(train: list[Picture8], held_out: list[Picture8]) -> Pictures:
    """All in four channels if any picture has them, all in one if none has colour, all in three otherwise."""
    everything = train + held_out
    channels = 4 if any(len(p) == 4 for p in everything) else 1 if all(map(without_colour, everything)) else 3
    return Pictures([in_channels(p, channels) for p in train], [in_channels(p, channels) for p in held_out])


def in_channels(picture: Picture8, channels: int) -> Picture8:
    """One picture in one, three or four channels: without its colour, grey repeated, opaque. Of those in four no other
    can be had."""
    if len(picture) == channels:
        return picture
    if channels == 1:
        return greyed(picture)[:1]
    return as_colour(picture) if channels == 3 else torch.cat([as_colour(picture), torch.full_like(picture[:1], 255)])


def without_colour(picture: Picture8) -> bool:
    """Whether all channels are equal."""
    return len(picture) == 1 or bool((picture[0] == picture[1]).all() and (picture[0] == picture[2]).all())


def as_colour(picture: Picture8) -> Picture8:
    """Three channels, a grey one repeated."""
    return picture.expand(3, -1, -1) if len(picture) == 1 else picture


def as_tensor(picture: images.Picture, transparent: bool = False) -> Picture8:
    """8 bits, `c h w`: on white, or with a channel of alpha where it is to stay transparent and is."""
    seen = images.eight(picture.seen(4 if transparent and picture.alpha is not None else 3))
    return torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1)))


def files_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the pictures in a folder or a zip, or of a single one. Raises DataError where nothing is."""
    if not path.exists():
        raise DataError(f"there is no {path}")
    if path.is_dir():
        return files_of_folder(path)
    return files_of_zip(path) if path.suffix.lower() == ".zip" else iter([(path.name, path.read_bytes())])


def files_of_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of a folder's picture files, those in folders below it too, in the order of their paths."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def files_of_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of a zip's picture files, in the order of their names. Raises DataError for a damaged zip."""
    try:
        with zipfile.ZipFile(path) as packed:
            for name in sorted(packed.namelist()):
                if Path(name).suffix.lower() in SUFFIXES:
                    yield name, packed.read(name)
    except DAMAGED as error:
        raise DataError(f"{path.name} can't be unpacked: {error}") from error


def from_idx(train: Path) -> Pictures:
    """The training part of MNIST and its like; its last twelfth is held out, to choose by in the test part's stead."""
    pictures = list(read_idx(train))
    cut = len(pictures) - max(1, len(pictures) // 12)
    return Pictures(*at_least_one(pictures[:cut], pictures[cut:]))


def read_idx(path: Path) -> Tensor:
    """`n 1 h w` uint8 out of one idx file of pictures, gzipped or not."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (*DAMAGED, gzip.BadGzipFile) as error:
        raise DataError(f"{path.name} can't be unpacked: {error}") from error
    if len(data) < 16 or data[:4] != b"\x00\x00\x08\x03":
        raise DataError(f"{path.name} is no idx file of 8-bit pictures")
    count, height, width = struct.unpack(">3I", data[4:16])
    if len(data) != 16 + count * height * width:
        raise DataError(f"{path.name} is shorter or longer than it says")
    if len(data) == 16:
        raise DataError(f"{path.name} has no pictures in it")
    pixels = np.frombuffer(data, np.uint8, offset=16).reshape(count, 1, height, width)
    return torch.from_numpy(pixels.copy())


def from_npz(path: Path) -> Pictures:
    """Arrays `train_images` and, if there, `val_images`: `n h w` or `n h w c`, uint8 (as MedMNIST packs them); or
    `train` and `valid`, square pictures in black and white, eight pixels a byte (as binarized MNIST is packed)."""
    arrays = arrays_of(path, "train_images", "val_images")
    return same_channels(*at_least_one(list(arrays["train_images"]), list(arrays.get("val_images", []))))


def arrays_of(path: Path, needed: str, *others: str) -> dict[str, Tensor]:
    """Arrays of an .npz as pictures `n c h w`: the one that is needed, and those of the others that are there.

    Raises DataError.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as packed:
            arrays = {name: packed[name] for name in (needed, *others) if name in packed}
            arrays |= {name: bits(packed[BITS[name]]) for name in (needed, *others) if BITS[name] in packed}
    except FileNotFoundError as error:
        raise DataError(f"there is no {path}") from error
    except TypeError as error:
        raise DataError(f"{path.name} holds a single array without a name; an .npz was expected") from error
    except (*DAMAGED, ValueError) as error:
        raise DataError(f"{path.name} can't be read as packed arrays: {error}") from error
    if needed not in arrays:
        raise DataError(f"{path.name} has no array `{needed}`")
    return {name: stacked(pixels) for name, pixels in arrays.items()}


BITS = {"train_images": "train", "val_images": "valid", "test_images": "test"}
"""What arrays are called where each pixel is one bit."""


def bits(packed: np.ndarray) -> np.ndarray:
    """`n b` uint8, the pixels of a square picture one bit each (`np.packbits`) -> `n h w` uint8, 0 or 255.

    Raises DataError.
    """
    side = math.isqrt(8 * packed.shape[1]) if packed.ndim == 2 else 0
    if packed.dtype != np.uint8 or not side or side * side != 8 * packed.shape[1]:
        raise DataError("packed bits must be uint8, `n b`, each row those of one square picture")
    return np.unpackbits(packed, axis=1).reshape(-1, side, side) * np.uint8(255)


def name_of(path: Path) -> str:
    """What a set is called in configs and on cards, however its path is written."""
    return path.resolve().name


def sets_apart(path: Path) -> bool:
    """Whether a set has test pictures of its own."""
    return path.suffix.lower() == ".npz" or (path.is_dir() and any(path.glob("t10k-images*idx3*")))


def measured_part(path: Path, transparent: bool = False, learned: bool = False) -> list[Picture8]:
    """The test pictures of a set that sets them apart (idx files, .npz); of any other folder or zip all pictures, or
    those that were held out if it was `learned` from. As `load` has them."""
    if path.is_dir() and (packed := sorted(path.glob("t10k-images*idx3*"))):
        return list(read_idx(packed[0]))
    if path.suffix.lower() == ".npz":
        return list(arrays_of(path, "test_images")["test_images"])
    pictures = from_files(files_of(path), str(path), transparent)
    return pictures.held_out if learned else pictures.train + pictures.held_out


def pictures_in(files: Sequence[Path]) -> list[Picture8]:
    """Pictures out of those files, `3 h w`, in their order. Raises DataError for one that is none."""
    try:
        return [as_colour(as_tensor(images.read(file.read_bytes()))) for file in files]
    except (OSError, images.PictureError) as error:
        raise DataError(f"a picture can't be read: {error}") from error


def stacked(pixels: np.ndarray) -> Tensor:
    """`n h w` or `n h w c` uint8, c 1 or 3 -> `n c h w`. Raises DataError."""
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] not in (1, 3) or not pixels.size:
        raise DataError("packed pictures must be uint8, `n h w` or `n h w c`, with c 1 or 3, and at least one")
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


@runtime_checkable
class View(Protocol):
    """A way of looking at pictures: batches drawn for training, and all that is held out, in order."""

    def draw(self, batch: int, generator: Generator) -> Batch: ...

    def held_out(self) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Crops:
    """Square crops at random places, turned and mirrored; held out, the middle of each picture: as many whole crops as
    fit, up to two by two. Pictures that no crop fits into are left out.

    Each pixel of the set is about equally likely: pictures are drawn by their area. `grey` is the share of crops whose
    colour is taken away, so that a network for colour pictures learns grey ones as well. Crops that stay `upright` are
    mirrored alone, left to right.
    """

    pictures: Pictures
    side: int
    grey: float = 0.0
    upright: bool = False

    @classmethod
    def of(cls, pictures: Pictures, side: int, grey: float = 0.0) -> "Crops":
        """Crops of the pictures that are large enough; how many are left out is said. Raises DataError if all are."""
        train, held_out = ([p for p in part if short_side(p) >= side] for part in (pictures.train, pictures.held_out))
        everything = pictures.train + pictures.held_out
        if not train + held_out:
            largest = max(map(short_side, everything))
            raise DataError(
                f"crops of {side} px fit into no picture: the largest has {largest} px on its short side; "
                "ask for smaller ones with --size"
            )
        if left_out := len(everything) - len(train) - len(held_out):
            print(f"left out {left_out} pictures that are smaller than a crop of {side} px")
        return cls(Pictures(*at_least_one(train, held_out)), side, grey)

    @classmethod
    def framed(cls, pictures: Pictures, side: int, short: int) -> "Crops":
        """Upright crops out of pictures brought to a short side of `short` pixels; very long ones lose their ends."""
        train, held_out = ([shortened(p, short) for p in part] for part in (pictures.train, pictures.held_out))
        return cls(Pictures(train, held_out), side, upright=True)

    def draw(self, batch: int, generator: Generator) -> Batch:
        return as_floats(torch.stack(self.cut(batch, generator)))

    def cut(self, count: int, generator: Generator) -> list[Picture8]:
        """So many crops, `c side side`."""
        areas = torch.tensor([float(p.shape[1] * p.shape[2]) for p in self.pictures.train])
        chosen = torch.multinomial(areas, count, replacement=True, generator=generator)
        return [self.turned(self.crop(self.pictures.train[i], generator), generator) for i in chosen.tolist()]

    def crop(self, picture: Picture8, generator: Generator) -> Picture8:
        y, x = (int(torch.randint(s - self.side + 1, (), generator=generator)) for s in picture.shape[1:])
        crop = picture[:, y : y + self.side, x : x + self.side]
        if self.grey and torch.rand((), generator=generator) < self.grey:
            return greyed(crop)
        return crop

    def turned(self, crop: Picture8, generator: Generator) -> Picture8:
        turns, mirrored = divmod(int(torch.randint(8, (), generator=generator)), 2)
        crop = crop if self.upright else torch.rot90(crop, turns, (1, 2))
        return crop.flip(2) if mirrored else crop

    def held_out(self) -> Iterator[Batch]:
        for picture in self.pictures.held_out:
            height, width = (min(size // self.side, 2) * self.side for size in picture.shape[1:])
            y, x = (picture.shape[1] - height) // 2, (picture.shape[2] - width) // 2
            yield as_floats(picture[None, :, y : y + height, x : x + width])


@dataclass(frozen=True)
class Wholes:
    """Whole pictures of one size; `mirrored` where half of those drawn are, left to right, so that few show more."""

    train: Tensor
    rest: Tensor
    mirrored: bool = False

    @classmethod
    def of(cls, pictures: Pictures, size: tuple[int, int], mirrored: bool = False) -> "Wholes":
        """Each picture scaled to cover `size` and cut to its middle."""
        train, rest = (torch.stack([covering(p, size) for p in part]) for part in (pictures.train, pictures.held_out))
        return cls(train, rest, mirrored)

    def draw(self, batch: int, generator: Generator) -> Batch:
        chosen = torch.randint(len(self.train), (batch,), generator=generator)
        drawn = as_floats(self.train[chosen.to(self.train.device)])
        if self.mirrored:
            turned = torch.randint(2, (batch,), generator=generator).bool()
            drawn[turned] = drawn[turned].flip(3)
        return drawn

    def held_out(self) -> Iterator[Batch]:
        for start in range(0, len(self.rest), 500):
            yield as_floats(self.rest[start : start + 500])


def short_side(picture: Picture8) -> int:
    """In pixels."""
    return min(picture.shape[1:])


LONGEST = 3
"""Pictures longer than so many of their short sides are cut to their middle before they are scaled."""


def shortened(picture: Picture8, short: int) -> Picture8:
    """The picture scaled to a short side of so many pixels."""
    height, width = (min(side, LONGEST * short_side(picture)) for side in picture.shape[1:])
    y, x = (picture.shape[1] - height) // 2, (picture.shape[2] - width) // 2
    scale = short / min(height, width)
    return covering(picture[:, y : y + height, x : x + width], (round(height * scale), round(width * scale)))


def covering(picture: Picture8, size: tuple[int, int]) -> Picture8:
    """The picture scaled so that it just covers (height, width), and its middle cut out; as it is if it fits."""
    height, width = size
    if tuple(picture.shape[1:]) == size:
        return picture
    scale = max(height / picture.shape[1], width / picture.shape[2])
    covered = [max(height, round(picture.shape[1] * scale)), max(width, round(picture.shape[2] * scale))]
    scaled = F.interpolate(picture[None].float(), covered, mode="bicubic", antialias=True)[0]
    y, x = (covered[0] - height) // 2, (covered[1] - width) // 2
    return scaled[:, y : y + height, x : x + width].round().clamp(0, 255).to(torch.uint8)


def greyed(picture: Picture8) -> Picture8:
    """The picture without colour, in as many channels (Rec. 601 luma, as JPEG has it)."""
    if len(picture) == 1:
        return picture
    weights = torch.tensor(LUMA, device=picture.device).view(3, 1, 1)
    luma = (picture * weights).sum(0, keepdim=True).round().to(torch.uint8)
    return luma.expand(len(picture), -1, -1)


def as_floats(pictures: Tensor) -> Batch:
    """uint8 -> [0, 1]."""
    return pictures.float() / 255
