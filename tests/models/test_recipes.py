from dataclasses import fields

import pytest
import torch
from torch import Generator

from models.autoencoder import Autoencoder, AutoencoderConfig
from models.objectives import Elbo
from models.recipes import ARCHITECTURES, RECIPES, SETTINGS, aimed, asks_of, built, configured
from models.unet import UNet, UNetConfig


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_makes_a_network_that_its_objective_can_ask(name: str):
    recipe = RECIPES[name]
    known = {field.name for field in fields(ARCHITECTURES[recipe.architecture].config)}
    size = {"height": 16, "width": 16} if "height" in known else {}
    network = built(recipe.architecture, configured(recipe.architecture, recipe.config | size | {"widths": [4, 8]}))
    clean = torch.rand(2, network.needs.channels, 16, 16)
    spoilt = recipe.corruption(clean, Generator().manual_seed(0))
    parts = recipe.objective(network, clean, spoilt, Generator().manual_seed(0))
    assert all(torch.isfinite(part) for part in parts.values())
    assert recipe.asks


def test_a_setting_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="bogus"):
        configured("vae", {"bogus": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("widths", 5),
        ("widths", []),
        ("widths", ["a"]),
        ("widths", [8, []]),
        ("widths", [8] * 40),
        ("latent", 0),
        ("latent", 2.5),
        ("latent", True),
        ("height", 10**12),
        ("likelihood", "foo"),
        ("likelihood", []),
    ],
)
def test_a_value_that_a_setting_can_not_take_is_refused(name: str, value: object):
    with pytest.raises(ValueError, match=f"{name} can't be"):
        configured("vae", {name: value})


def test_what_a_network_can_be_asked_depends_on_its_code():
    networks = [Autoencoder(AutoencoderConfig(widths=(4, 8), code=code, mixture=code and 3)) for code in (0, 8)]
    asked = [asks_of(RECIPES["dropout"], network) for network in networks]
    assert asked == [("reconstruct", "encode"), ("sample", "reconstruct", "encode", "decode")]
    assert asks_of(RECIPES["photo"], UNet(UNetConfig(widths=(4, 8), blocks=1))) == ("denoise",)


def test_an_objective_is_told_of_its_own_settings_alone():
    assert aimed(Elbo(), {"beta": 2.5}) == Elbo(beta=2.5)
    for values, said in [
        ({"gamma": 1}, "beta, draws, free_bits"),
        ({"beta": "x"}, "number"),
        ({"free_bits": -1}, "free_bits"),
    ]:
        with pytest.raises(ValueError, match=said):
            aimed(Elbo(), values)


def test_a_share_may_be_a_whole_number_but_not_a_number_of_blocks_below_nothing():
    assert configured("autoencoder", {"dropout": 0}).dropout == 0
    with pytest.raises(ValueError, match="blocks can't be -1"):
        configured("unet", {"blocks": -1})


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_setting_of_every_architecture_has_its_bounds_and_starts_within_them(architecture: str):
    config = ARCHITECTURES[architecture].config()
    assert all(getattr(config, field.name) in SETTINGS[field.name] for field in fields(config))
