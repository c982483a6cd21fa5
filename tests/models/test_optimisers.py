from dataclasses import replace

import pytest
import torch
from torch import nn

from models.layers import residuals
from models.recipes import RECIPES, Schedule
from models.training.optimisers import Muon, inner_matrices, made_for, orthogonal, parameters_of, states, take
from models.training.recycling import recycle
from models.unet import UNet, UNetConfig
from models.vae import VAE, VAEConfig

MUON = Schedule(muon=True)


@pytest.fixture
def network() -> UNet:
    torch.manual_seed(0)
    return UNet(UNetConfig(widths=(4, 8)))


def learn(network: nn.Module, own: list) -> None:
    """One step, on the sum of the squares of all weights."""
    network.zero_grad()
    torch.stack([(parameter + 0.1).square().sum() for parameter in network.parameters()]).sum().backward()
    for one in own:
        one.step()


@pytest.mark.parametrize("shape", [(8, 8), (4, 36), (36, 4)])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_singular_values_come_near_one(shape: tuple[int, int], size: float):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(size * torch.randn(shape)))
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.25


def test_of_no_gradient_no_direction_is_made():
    assert orthogonal(torch.zeros(3, 5)).eq(0).all()


def test_steps_are_those_of_pytorch_where_that_takes_the_weight():
    torch.manual_seed(0)
    start, gradients = torch.randn(6, 3, 3, 3), torch.randn(3, 6, 3, 3, 3)
    weight, matrix = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    ours = Muon([weight], 0.1, low_precision=True)
    theirs = torch.optim.Muon([matrix], 0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients:
        weight.grad, matrix.grad = gradient, gradient.flatten(1)
        ours.step()
        theirs.step()
    torch.testing.assert_close(weight.flatten(1), matrix, atol=0.01, rtol=0)  # their rounding is that of bf16
    assert float((weight - start).detach().abs().mean()) > 0.03


def test_a_step_is_as_long_whatever_the_gradient():
    long = []
    for size in (1e-3, 1e3):
        torch.manual_seed(0)
        weight = nn.Parameter(torch.zeros(16, 16, 3, 3))
        weight.grad = size * torch.randn(16, 16, 3, 3)
        Muon([weight], 1.0, low_precision=False).step()
        long.append(float(weight.detach().square().mean().sqrt()))
    assert long[0] == pytest.approx(long[1], rel=1e-3)
    assert long[0] == pytest.approx(0.2, rel=0.25)


def test_each_weight_has_one_optimiser(network: UNet):
    adam, muon = made_for(network, MUON, low_precision=False)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    by_adam, by_muon = ([names[id(parameter)] for parameter in parameters_of([one])] for one in (adam, muon))
    assert sorted(by_adam + by_muon) == sorted(names.values())
    assert {"head.weight", "tail.weight", "middle.0.first.bias"} <= set(by_adam)
    assert {"middle.0.first.weight", "reduce.0.weight", "enlarge.0.weight"} <= set(by_muon)
    assert all(name.endswith("weight") for name in by_muon)


def test_of_a_vae_the_flow_and_what_meets_pictures_are_for_adamw():
    network = VAE(VAEConfig(widths=(4, 8), latent=6, prior="flow", couplings=2, coupling_width=8))
    adam, muon = made_for(network, MUON, low_precision=False)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    by_adam, by_muon = ({names[id(parameter)] for parameter in parameters_of([one])} for one in (adam, muon))
    assert by_adam | by_muon == set(names.values())
    assert {"encoder.linear.weight", "decoder.linear.weight"} <= by_muon
    last = f"decoder.convolutions.{len(network.decoder.convolutions) - 1}.weight"  # type: ignore[arg-type]
    assert {"encoder.convolutions.0.weight", last, "log_deviation"} <= by_adam
    assert {name for name in names.values() if name.startswith("flow.")} <= by_adam


@pytest.mark.parametrize("inside", [nn.Sequential(nn.Linear(3, 3)), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))])
def test_where_no_layer_lies_between_others_all_is_for_adamw(inside: nn.Module):
    assert not inner_matrices(inside)
    assert len(made_for(inside, MUON, low_precision=False)) == 1


def test_without_muon_all_is_for_adamw(network: UNet):
    (adam,) = made_for(network, replace(MUON, muon=False), low_precision=False)
    assert len(parameters_of([adam])) == len(list(network.parameters()))


def test_what_is_kept_can_be_given_to_others_that_go_on_alike(network: UNet):
    network.to(memory_format=torch.channels_last)
    own = made_for(network, MUON, low_precision=False)
    learn(network, own)
    twin = UNet(network.config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    twin.load_state_dict(network.state_dict())
    others = made_for(twin, MUON, low_precision=False)
    take(others, {path: tensor.clone().contiguous() for path, tensor in states(own).items()})
    learn(network, own)
    learn(twin, others)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), twin.parameters(), strict=True))


def test_those_recipes_have_it_that_it_was_measured_for():
    having = {name for name, recipe in RECIPES.items() if recipe.schedule.muon}
    assert having == {"photo", "photo-real", "fashion-fine-vae"}


def test_new_units_have_no_momentum():
    torch.manual_seed(0)
    network = residuals(6, 2)
    muon = Muon(list(network[0].parameters())[::2], 0.0, low_precision=False)
    learn(network, [muon])
    block = network[0]
    block.first.bias.data[2] = -100.0
    recycle(network, network, [muon], lambda: network(torch.randn(2, 6, 8, 8)))
    into, out = muon.state[block.first.weight]["exp_avg"], muon.state[block.second.weight]["exp_avg"]
    assert into[2].eq(0).all()
    assert out[:, 2].eq(0).all()
    assert into[[0, 1, 3, 4, 5]].ne(0).any(3).any(2).any(1).all()
