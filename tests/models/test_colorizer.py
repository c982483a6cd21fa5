import pytest
import torch

from models.colorizer import REACH, Colorizer, ColorizerConfig, mean_chroma, soft_bins

SMALL = ColorizerConfig(side=32, widths=(4, 8, 8), bins=5)


@pytest.mark.parametrize("size", [(8, 8), (16, 40)])
def test_lightness_of_any_size_on_its_grid_gets_a_tint_half_as_fine(size: tuple[int, int]):
    network = Colorizer(SMALL)
    assert network.needs.multiple == 8
    assert network.needs.size is None
    grey = torch.rand(2, 1, *size)
    assert network(grey).shape == (2, 25, size[0] // 2, size[1] // 2)
    tint = network.tint(grey)
    assert tint.shape == (2, 2, size[0] // 2, size[1] // 2)
    assert tint.abs().max() <= REACH


def test_a_place_is_told_of_the_whole_picture():
    torch.manual_seed(0)
    network = Colorizer(SMALL).eval()
    one, other = torch.zeros(1, 1, 256, 8), torch.zeros(1, 1, 256, 8)
    other[:, :, 200:] = 1
    assert (network(one)[:, :, 0] - network(other)[:, :, 0]).abs().max() > 1e-6


def test_the_mean_over_the_bins_around_a_colour_is_that_colour():
    colour = (torch.rand(2, 2, 6, 7) - 0.5) * 2 * REACH
    numbers, shares = soft_bins(colour, 5)
    assert torch.allclose(shares.sum(1), torch.ones(2, 6, 7))
    chances = torch.zeros(2, 25, 6, 7).scatter_add(1, numbers, shares)
    assert torch.allclose(mean_chroma(chances.clamp(min=1e-30).log(), 5), colour, atol=1e-5)


def test_what_lies_beyond_the_bins_is_taken_for_their_edge():
    numbers, shares = soft_bins(torch.tensor([0.5, -0.5]).view(1, 2, 1, 1), 5)
    assert int(numbers[0, shares[0].argmax()]) == 4 * 5 + 0
    assert float(shares.max()) == 1


def test_low_temperatures_take_the_likeliest_colour():
    logits = torch.zeros(1, 25, 1, 1)
    logits[0, 24] = 1.0
    dull, vivid = (mean_chroma(logits / temperature, 5).norm() for temperature in (1.0, 0.1))
    assert vivid > 3 * dull


def test_pictures_without_colour_teach_no_colours():
    with pytest.raises(ValueError, match="none"):
        ColorizerConfig(channels=1)
