import pytest
import torch

from models.layers import Decoder, Encoder, Residual, flat_decoder, flat_encoder, grid, residuals, up_to_multiple


def test_a_residual_block_adds_to_what_it_is_given():
    block = Residual(4)
    torch.nn.init.zeros_(block.second.weight)
    torch.nn.init.zeros_(block.second.bias)
    x = torch.rand(2, 4, 5, 7)
    assert torch.equal(block(x), x)


def test_residual_blocks_keep_the_shape():
    assert residuals(4, 3)(torch.rand(1, 4, 6, 8)).shape == (1, 4, 6, 8)


@pytest.mark.parametrize("size", [(28, 28), (13, 17), (1, 1), (64, 48)])
def test_any_size_comes_back_from_the_code(size: tuple[int, int]):
    encoder = Encoder(3, size, (4, 8, 8), out=6)
    decoder = Decoder(3, size, (4, 8, 8), into=6)
    code = encoder(torch.rand(2, 3, *size))
    assert code.shape == (2, 6)
    assert decoder(code).shape == (2, 3, *size)


def test_fully_connected_halves_are_two_layers_each():
    encoder, decoder = flat_encoder(3, (9, 11), 16, 5), flat_decoder(3, (9, 11), 16, 5)
    assert decoder(encoder(torch.rand(2, 3, 9, 11))).shape == (2, 3, 9, 11)
    assert [tuple(w.shape) for w in encoder.parameters()][::2] == [(16, 297), (5, 16)]


def test_dropout_falls_on_the_code_that_a_decoder_is_given():
    decoder = Decoder(1, (8, 8), (4, 8), into=6, dropout=0.5).train()
    seen: list[torch.Tensor] = []
    decoder.linear.register_forward_hook(lambda layer, given, answer: seen.append(given[0]))
    decoder(torch.ones(50, 6))
    assert set(seen[0].unique().tolist()) == {0.0, 2.0}


def test_dropout_drops_only_while_training():
    encoder = Encoder(1, (8, 8), (4, 8), out=6, dropout=0.5)
    x = torch.rand(1, 1, 8, 8)
    assert not torch.equal(encoder.train()(x), encoder(x))
    assert torch.equal(encoder.eval()(x), encoder(x))


def test_sides_round_up_to_the_grid():
    assert [up_to_multiple(side, 8) for side in (1, 8, 9)] == [8, 8, 16]
    assert grid((28, 30), 3) == (7, 8)
