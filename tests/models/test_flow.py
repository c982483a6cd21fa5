import math

import pytest
import torch

from models.flow import Flow, checkerboard


def bent(size: int, couplings: int) -> Flow:
    """A flow that is no longer the identity that it begins as."""
    torch.manual_seed(0)
    flow = Flow(size, couplings, 16)
    for parameter in flow.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return flow.requires_grad_(False)


def test_it_begins_as_the_identity():
    z = torch.randn(4, 5)
    base, log_determinant = Flow(5, 4, 8)(z)
    assert torch.equal(base, z)
    assert not log_determinant.any()


@pytest.mark.parametrize(("size", "couplings"), [(2, 2), (5, 8), (40, 8)])
def test_it_can_be_undone(size: int, couplings: int):
    flow, z = bent(size, couplings), torch.randn(64, size)
    base, _ = flow(z)
    assert (base - z).abs().max() > 0.1
    assert (flow.inverse(base) - z).abs().max() < 1e-5
    assert (flow(flow.inverse(z))[0] - z).abs().max() < 1e-5


def test_the_log_determinant_is_that_of_its_derivatives():
    flow, z = bent(6, 8), torch.randn(3, 6)
    _, told = flow(z)
    for row, expected in zip(z, told, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda one: flow(one[None])[0][0], row)
        assert float(torch.linalg.slogdet(jacobian)[1]) == pytest.approx(float(expected), abs=1e-4)


def test_the_density_that_it_gives_sums_to_one():
    flow = bent(2, 6)
    places = torch.linspace(-12, 12, 601)
    z = torch.cartesian_prod(places, places)
    base, log_determinant = flow(z)
    log_density = -0.5 * (base**2).sum(1) - math.log(2 * math.pi) + log_determinant
    assert float(log_density.exp().sum() * 0.04**2) == pytest.approx(1, abs=0.01)


def test_any_two_dimensions_part_somewhere_and_each_moves_and_stays():
    boards = torch.tensor([checkerboard(40, number) for number in range(12)])
    apart = (boards[:, :, None] != boards[:, None, :]).any(0)
    assert (apart | torch.eye(40, dtype=torch.bool)).all()
    assert boards.amin(0).max() == 0
    assert boards.amax(0).min() == 1
