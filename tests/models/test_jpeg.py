import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image
from torch import Generator, Tensor

from models.jpeg import Jpeg, basis, blocks, compressed, tables, to_rgb, to_ycc, unblocked

BRIDGE = Path(__file__).parents[2] / "samples" / "bridge.jpg"
SUBSAMPLING = {False: "4:4:4", True: "4:2:0"}


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def photograph(height: int, width: int) -> Tensor:
    """A part of a photograph, `1 3 h w` in [0, 1]."""
    with Image.open(BRIDGE) as picture:
        pixels = np.array(picture.convert("RGB"))[60 : 60 + height, 100 : 100 + width]
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255


def by_pillow(pixels: Tensor, quality: int, halved: bool) -> Tensor:
    """The one picture `1 c h w` through libjpeg."""
    levels = (pixels[0] * 255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    picture = Image.fromarray(levels if len(pixels[0]) == 3 else levels[..., 0])
    picture.save(file, "jpeg", quality=quality, subsampling=SUBSAMPLING[halved])
    with Image.open(file) as read:
        return torch.from_numpy(np.array(read)).view(*levels.shape).permute(2, 0, 1)[None] / 255


def ours(pixels: Tensor, quality: int, halved: bool) -> Tensor:
    return compressed(pixels, torch.tensor([float(quality)]), torch.tensor([halved]))


def distance(a: Tensor, b: Tensor) -> float:
    """Root mean square, in grey levels."""
    return 255 * float((a - b).square().mean().sqrt())


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("quality", [10, 45, 60, 80, 90, 98])
@pytest.mark.parametrize("size", [(128, 160), (101, 87)])
def test_it_is_what_libjpeg_makes(size, quality: int, halved: bool):
    pixels = photograph(*size)
    expected = by_pillow(pixels, quality, halved)
    assert distance(ours(pixels, quality, halved), expected) < 1.0
    assert distance(pixels, expected) > 1.2  # so the quality and the colours were as asked


@given(some.integers(8, 40), some.integers(8, 40), some.integers(60, 98), some.booleans())
@settings(max_examples=30, deadline=None)
def test_sides_that_are_no_whole_blocks_are_as_libjpeg_has_them(height, width, quality, halved):
    pixels = photograph(height, width)
    # Of a few blocks, one count that rounds the other way weighs more.
    assert distance(ours(pixels, quality, halved), by_pillow(pixels, quality, halved)) < 2.5


def test_a_picture_without_colour_is_compressed_as_such():
    grey = photograph(40, 56)[:, :1]
    assert distance(ours(grey, 70, True), by_pillow(grey, 70, True)) < 1.0
    assert torch.equal(ours(grey.expand(-1, 3, -1, -1), 70, True)[:, 2:], ours(grey, 70, True))


def test_each_picture_has_its_own_quality_and_colours():
    pixels = photograph(48, 48)
    both = compressed(pixels.repeat(2, 1, 1, 1), torch.tensor([60.0, 95.0]), torch.tensor([True, False]))
    assert torch.equal(both[:1], ours(pixels, 60, True))
    assert torch.equal(both[1:], ours(pixels, 95, False))


@pytest.mark.parametrize("quality", [1, 25, 50, 75, 98, 100])
def test_the_tables_are_those_of_libjpeg(quality: int):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "jpeg", quality=quality)
    with Image.open(file) as read:
        expected = read.quantization
    for number, table in enumerate(tables(torch.tensor([float(quality)]))):
        assert table[0].int().tolist() == list(expected[number])


def test_blocks_and_colours_go_there_and_back():
    pixels = torch.rand(2, 3, 24, 16)
    assert torch.equal(unblocked(blocks(pixels)), pixels)
    assert blocks(pixels)[1, 2, 1, 0].tolist() == pixels[1, 2, 8:16, :8].flatten().tolist()
    assert torch.allclose(to_rgb(to_ycc(pixels)), pixels, atol=1e-6)


def test_the_transform_is_orthonormal():
    both = basis(torch.device("cpu"))
    assert torch.allclose(both @ both.T, torch.eye(64), atol=1e-5)
    assert torch.allclose(both[0], torch.full((64,), 1 / 8))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_corruption_keeps_shape_and_whole_levels_and_follows_its_seed(channels: int):
    clean = photograph(50, 61).repeat(3, 1, 1, 1)[:, :channels]
    before = clean.clone()
    first, second, other = (Jpeg()(clean, seeded(seed)) for seed in (0, 0, 1))
    assert first.pixels.shape == clean.shape
    assert first.level.tolist() == [0, 0, 0]
    assert torch.allclose(first.pixels * 255, torch.round(first.pixels * 255), atol=1e-3)
    assert torch.equal(first.pixels, second.pixels)
    assert not torch.equal(first.pixels, other.pixels)
    assert torch.equal(clean, before)


def test_less_quality_leaves_less():
    clean = photograph(128, 128)
    errors = [distance(Jpeg(q, q, halved=0.0)(clean, seeded()).pixels, clean) for q in (30, 60, 90, 98)]
    assert errors == sorted(errors, reverse=True)


def test_blocks_begin_anywhere():
    clean = photograph(64, 64)
    places = {float(Jpeg(60, 60, halved=0.0)(clean, seeded(seed)).pixels.mean()) for seed in range(6)}
    assert len(places) > 3
