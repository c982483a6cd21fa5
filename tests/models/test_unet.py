from typing import Any

import pytest
import torch

from models.unet import UNet, UNetConfig, receptive_radius


def test_it_starts_as_the_identity():
    noisy = torch.rand(2, 3, 16, 24)
    assert torch.equal(UNet(UNetConfig(widths=(8, 16)))(noisy, torch.tensor([0.1, 0.0])), noisy)


def test_it_says_what_it_needs():
    needs = UNet(UNetConfig(widths=(8, 16, 16), unshuffle=2)).needs
    assert (needs.multiple, needs.level, needs.size, needs.latent) == (8, True, None, None)
    assert needs.halo % needs.multiple == 0


def test_the_level_matters():
    network = shaken(UNet(UNetConfig(widths=(8, 16), blocks=1)))
    noisy = torch.rand(1, 3, 16, 16)
    assert not torch.equal(network(noisy, torch.tensor([0.0])), network(noisy, torch.tensor([0.2])))


def test_nothing_reaches_further_than_the_receptive_radius():
    config = UNetConfig(widths=(4, 4), blocks=1)
    network = shaken(UNet(config))
    radius = receptive_radius(config)
    picture = torch.rand(1, 3, 4 * radius, 8)
    changed = picture.clone()
    changed[:, :, 0] += 1
    level = torch.tensor([0.1])
    difference = (network(picture, level) - network(changed, level)).abs().amax((0, 1, 3))
    assert difference[:radius].max() > 0
    assert difference[radius + 1 :].max() == 0


def test_low_precision_keeps_the_picture_itself_exact():
    network = UNet(UNetConfig(widths=(8, 16), blocks=1)).to(torch.bfloat16)
    noisy = torch.rand(1, 3, 8, 8)
    assert torch.equal(network(noisy, torch.tensor([0.1])), noisy)


def shaken(network: UNet) -> UNet:
    torch.manual_seed(3)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval()


def test_what_may_be_quantized_are_residual_blocks_below_the_finest_level():
    assert UNet(UNetConfig(widths=(4, 8), blocks=1)).roundable == ["middle.0.first", "middle.0.second"]


def test_it_tells_how_far_the_values_reach_that_may_be_quantized():
    assert UNet(UNetConfig(widths=(4, 8), blocks=1)).needs.eight_bits == ()
    needs = UNet(UNetConfig(widths=(4, 8), blocks=1, reaches=(1.0, 2.0))).needs
    assert needs.eight_bits == (("middle.0.first", 1.0), ("middle.0.second", 2.0))


def test_reaches_of_another_network_are_refused():
    with pytest.raises(ValueError, match="reaches are 3, and of 2 convolutions"):
        UNet(UNetConfig(widths=(4, 8), blocks=1, reaches=(1.0, 2.0, 3.0)))


def test_halos_go_by_the_level_of_the_noise():
    assert UNet(UNetConfig(widths=(4, 8), halo=16)).needs.halos == ()
    needs = UNet(UNetConfig(widths=(4, 8), halo=16, halos=(4, 4, 8, 12))).needs
    assert (needs.halo, needs.halos) == (16, ((5.0, 4), (10.0, 4), (25.0, 8), (50.0, 12)))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"halo": 3}, "halo of 3 px is no multiple of 4"),
        ({"halos": (4, 4, 6, 8)}, "halo of 6 px is no multiple of 4"),
        ({"halos": (4, 8)}, "halos are 2, and for 4 levels"),
    ],
)
def test_a_halo_that_no_tile_can_have_is_refused(config: Any, says: str):
    with pytest.raises(ValueError, match=says):
        UNet(UNetConfig(widths=(4, 8), blocks=1, **config))
