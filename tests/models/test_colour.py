import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.colour import BAND, LUMA, chroma, joined, luma, offsets_of, painted, painting

share = st.floats(0, 1, width=32)
tint = st.floats(-0.5, 0.5, width=32)


def test_they_are_those_of_jpeg():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("YCbCr")).astype(np.float32)
    batch = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    found = torch.cat([luma(batch), chroma(batch) + 128 / 255], 1)[0].permute(1, 2, 0) * 255
    assert np.abs(found.numpy() - expected).max() <= 1.01


def test_parted_and_joined_a_picture_is_itself():
    pixels = torch.rand(2, 3, 5, 6)
    assert np.allclose(planes(luma(pixels), chroma(pixels)), pixels, atol=1e-5)


def planes(lightness: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Lightness `b 1 h w` and chroma `b 2 h w`, joined."""
    return torch.from_numpy(joined(lightness.numpy(), offsets_of(colour).numpy()))


@given(share, tint, tint)
def test_lightness_stays_and_colours_are_in_range(y: float, cb: float, cr: float):
    lightness, colour = torch.full((1, 1, 1, 1), y), torch.tensor([cb, cr]).view(1, 2, 1, 1)
    pixels = planes(lightness, colour)
    assert pixels.min() >= -1e-6
    assert pixels.max() <= 1 + 1e-6
    assert float(luma(pixels)) == pytest.approx(y, abs=1e-6)


def test_rounded_to_grey_levels_lightness_is_the_same_number():
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(256, (1, 1, 200, 200), generator=generator)
    colour = torch.rand(1, 2, 200, 200, generator=generator) - 0.5
    pixels = (planes(levels / 255, colour) * 255).round()
    assert torch.equal(luma(pixels).round().long(), levels)


def test_a_grey_picture_is_its_own_lightness_and_no_chroma_leaves_it_grey():
    grey = torch.rand(1, 1, 3, 4)
    assert luma(grey) is grey
    assert torch.equal(planes(grey, torch.zeros(1, 2, 3, 4)), grey.expand(1, 3, 3, 4))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_painted_picture_has_its_own_lightness_and_the_tint_spread_over_it(dtype: type, channels: int):
    peak = np.iinfo(dtype).max
    given = np.random.default_rng(0).integers(0, peak, (600, 21, channels)).astype(dtype)
    tint = np.random.default_rng(1).uniform(-0.4, 0.4, (4, 6, 2)).astype(np.float32)
    answer = painted(given, tint)
    assert (answer.shape, answer.dtype) == ((600, 21, 3), dtype)
    before, after = (one @ np.array(LUMA) if one.shape[2] == 3 else one[..., 0] for one in (given, answer))
    assert np.abs(before - after).max() <= 0.51
    assert np.array_equal(painted(given[:9, :, :1], 0 * tint), np.repeat(given[:9, :, :1], 3, 2))


@pytest.mark.parametrize("width", [1000, 2 * BAND])
def test_it_is_painted_in_bands_of_rows_the_same_however_wide_it_is(width: int):
    given = np.random.default_rng(0).integers(0, 256, (200, width, 3) if width < BAND else (3, width, 3), np.uint8)
    tint = np.random.default_rng(1).uniform(-0.4, 0.4, (4, 6, 2)).astype(np.float32)
    canvas = np.empty_like(given)
    assert list(painting(canvas, given, tint)) == ([65, 130, 195, 200] if width < BAND else [1, 2, 3])
    assert np.array_equal(canvas, painted(given, tint))
