import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from models.bayer import demosaicked, demosaicked_along_edges, mosaicked

WAYS = pytest.mark.parametrize("way", [demosaicked, demosaicked_along_edges])
PHASES = [(y, x) for y in range(2) for x in range(2)]

sides = some.integers(4, 13)


@pytest.mark.parametrize("phase", PHASES)
def test_of_four_pixels_one_is_red_two_are_green_and_one_is_blue(phase):
    colours = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(-1, -1, 6, 8)
    mosaic = mosaicked(colours, phase)[0, 0]
    y, x = phase
    assert (mosaic[y::2, x::2] == 1).all()
    assert (mosaic[1 - y :: 2, 1 - x :: 2] == 3).all()
    assert (mosaic == 2).sum() == 24


@WAYS
@given(height=sides, width=sides, phase=some.sampled_from(PHASES))
def test_one_colour_comes_back_as_it_was(way, height, width, phase):
    colour = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(2, -1, height, width)
    assert torch.allclose(way(mosaicked(colour, phase), phase), colour, atol=1e-6)


@WAYS
@given(height=sides, width=sides, phase=some.sampled_from(PHASES))
def test_what_was_seen_stays(way, height, width, phase):
    pixels = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(height * width))
    mosaic = mosaicked(pixels, phase)
    assert torch.allclose(mosaicked(way(mosaic, phase), phase), mosaic, atol=1e-6)


@WAYS
def test_slopes_come_back_away_from_the_edge(way):
    slope = (torch.arange(12.0)[:, None] + 2 * torch.arange(16.0)).expand(2, 3, -1, -1)
    back = way(mosaicked(slope, (0, 1)), (0, 1))
    assert torch.allclose(back[..., 3:-3, 3:-3], slope[..., 3:-3, 3:-3], atol=1e-4)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("across", [False, True])
def test_the_way_along_edges_follows_them(phase, across):
    edge = (0.2 + 0.6 * (torch.arange(16) >= 8)).expand(1, 3, 16, -1)
    edge = edge.transpose(2, 3) if across else edge
    plain, along = (way(mosaicked(edge, phase), phase) - edge for way in (demosaicked, demosaicked_along_edges))
    assert plain.abs().max() > 0.1
    assert along.abs().max() < 1e-5
