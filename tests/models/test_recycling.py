from functools import partial

import pytest
import torch
from torch import nn

from models.layers import Residual, residuals
from models.training.recycling import DEVIATION, listening, recycle

SILENT = [1, 4]


@pytest.fixture
def network() -> nn.Sequential:
    """Two blocks, the first with two units that never answer."""
    torch.manual_seed(0)
    network = residuals(6, 2)
    _, bias = first(network).first.parameters()
    bias.data[SILENT] = -100.0
    return network


def first(network: nn.Sequential) -> Residual:
    block = network[0]
    assert isinstance(block, Residual)
    return block


def test_silent_units_answer_again_and_the_network_says_what_it_said(network: nn.Sequential):
    x, twin = torch.randn(4, 6, 16, 16), residuals(6, 2)
    twin.load_state_dict(network.state_dict())
    before, others = network(x), first(network).first.weight[0].clone()
    assert recycle(network, twin, [torch.optim.AdamW(network.parameters())], partial(network, x)) == len(SILENT)
    torch.testing.assert_close(network(x), before)
    assert torch.equal(first(network).first.weight[0], others)
    assert all(torch.equal(mine, its) for mine, its in zip(network.parameters(), twin.parameters(), strict=True))
    given = first(network).first(x)[:, SILENT]
    assert given.std((0, 2, 3)).tolist() == pytest.approx([DEVIATION] * 2, rel=1e-3)
    assert 0.2 < float((given > 0).float().mean()) < 0.4


def test_new_units_learn(network: nn.Sequential):
    x, wanted = torch.randn(4, 6, 16, 16), torch.randn(4, 6, 16, 16)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    recycle(network, network, [optimiser], partial(network, x))
    start = first(network).first.weight.detach().clone()
    for _ in range(2):  # the first step is that of the weights out of them
        optimiser.zero_grad()
        (network(x) - wanted).square().mean().backward()
        optimiser.step()
    assert (first(network).second.weight[:, SILENT] != 0).any()
    assert (first(network).first.weight[SILENT] != start[SILENT]).any()


def test_the_optimiser_forgets_them_and_no_others(network: nn.Sequential):
    x, optimiser = torch.randn(4, 6, 16, 16), torch.optim.AdamW(network.parameters())
    network(x).square().mean().backward()
    optimiser.step()
    for known in optimiser.state.values():
        known["exp_avg_sq"].fill_(2.0)
    known = optimiser.state[first(network).first.weight]["exp_avg_sq"]
    known[SILENT] = 0.0
    recycle(network, network, [optimiser], partial(network, x))
    layers = first(network)
    parameters = [(parameter, 0) for parameter in layers.first.parameters()] + [(layers.second.weight, 1)]
    for parameter, axis in parameters:
        mean, squares = (optimiser.state[parameter][name].movedim(axis, 0) for name in ("exp_avg", "exp_avg_sq"))
        assert mean[SILENT].eq(0).all()
        assert mean.ne(0).any()
        assert squares[SILENT].eq(2.0).all(), "steps as large as those of the others"


def test_what_answers_once_is_let_be(network: nn.Sequential):
    optimiser = torch.optim.AdamW(network.parameters())

    def ask() -> None:
        network(torch.randn(1, 6, 8, 8))
        network(100 * torch.randn(1, 6, 8, 8))  # loud enough for all

    assert recycle(network, network, [optimiser], ask) == 0


def test_units_that_cannot_fall_silent_are_not_listened_to():
    with listening(residuals(6, 2, activation=nn.SiLU)) as heard:
        assert not heard
