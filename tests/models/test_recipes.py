from dataclasses import fields

import pytest
import torch
from torch import Generator

from models.recipes import ARCHITECTURES, RECIPES, built, configured


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
