import pytest
import torch

from models.sparse import FIRST_PRICE, HIGHEST_PRICE, SparseAutoencoder, SparseConfig

SMALL = SparseConfig(height=9, width=11, widths=(4, 8), code=40)


def test_from_the_start_the_target_share_of_a_code_is_exactly_zero():
    torch.manual_seed(0)
    rebuilt = SparseAutoencoder(SMALL)(torch.rand(64, 1, 9, 11))
    assert rebuilt.picture.shape == (64, 1, 9, 11)
    assert rebuilt.code.min() == 0
    assert float((rebuilt.code == 0).float().mean()) == pytest.approx(0.8, abs=0.06)


def test_shrinking_what_comes_before_the_code_does_not_make_it_smaller():
    network = SparseAutoencoder(SMALL)
    x = torch.rand(16, 1, 9, 11)
    before = network(x).code.mean()
    for parameter in network.encoder.linear.parameters():
        parameter.data *= 0.5
    assert torch.allclose(network(x).code.mean(), before, rtol=0.05)


def test_the_price_rises_while_too_few_are_zero_and_falls_while_too_many_are():
    network = SparseAutoencoder(SMALL)
    network.adapt(torch.ones(4, 40))
    assert network.price > FIRST_PRICE
    for _ in range(5):
        network.adapt(torch.zeros(4, 40))
    assert 0 < network.price < FIRST_PRICE
    for _ in range(2000):
        network.adapt(torch.ones(4, 40))
    assert float(network.price) == pytest.approx(HIGHEST_PRICE)


def test_asked_it_changes_nothing_and_answers_as_its_parts():
    network = SparseAutoencoder(SMALL)
    network(torch.rand(16, 1, 9, 11))
    before = {name: tensor.clone() for name, tensor in network.eval().state_dict().items()}
    x = torch.rand(3, 1, 9, 11)
    assert torch.equal(network.reconstruct(x), network.decode(network.code(x)))
    assert torch.equal(network(x).picture, network.reconstruct(x))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert "price" in before


def test_without_a_code_there_is_nothing_to_be_sparse():
    with pytest.raises(ValueError, match="above 0"):
        SparseConfig(code=0)
