import pytest
import torch

from models.hierarchy import Hierarchy, HierarchyConfig
from models.posterior import divergence, drawn

SMALL = HierarchyConfig(height=10, width=9, widths=(4, 8), layers=(1, 2), planes=(2, 3), top=5, blocks=1)


def network(config: HierarchyConfig = SMALL) -> Hierarchy:
    torch.manual_seed(0)
    return Hierarchy(config).eval().requires_grad_(False)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        HierarchyConfig(channels=3, height=28, width=20, widths=(4, 4, 8), layers=(1, 0, 2), planes=(1, 2, 3)),
        HierarchyConfig(height=7, width=8, widths=(4,), layers=(3,), planes=(2,), unshuffle=1, likelihood="logistic"),
    ],
)
def test_shapes_for_any_size_and_number_of_levels(config: HierarchyConfig):
    one = network(config)
    x = torch.rand(2, config.channels, config.height, config.width)
    inference = one(x, torch.randn(2, one.needs.latent))
    assert inference.rate.shape == (2, len(one.groups)) == (2, 1 + sum(config.layers))
    assert inference.log_ratio.shape == (2,)
    assert one.reconstruct(x).shape == one.decode(one.code(x)).shape == x.shape


def test_a_code_is_the_vector_and_the_latents_of_all_layers():
    assert network().sizes == [5, 3 * 3 * 3, 3 * 3 * 3, 2 * 6 * 6]
    assert network().needs.latent == 5 + 27 + 27 + 72


def test_a_picture_comes_back_from_its_code():
    one, x = network(), torch.rand(3, 1, 10, 9)
    assert torch.allclose(one.decode(one.code(x)), one.reconstruct(x), atol=1e-6)
    assert not torch.allclose(one.decode(torch.zeros_like(one.code(x))), one.reconstruct(x), atol=1e-3)


def test_every_part_of_a_code_changes_the_picture():
    one = network()
    code = torch.randn(1, one.needs.latent)
    start = 0
    for size in one.sizes:
        other = code.clone()
        other[:, start : start + size] += 1
        assert (one.decode(other) - one.decode(code)).abs().max() > 1e-6
        start += size


def test_the_rate_is_what_log_ratios_are_on_average():
    one, x = network(), torch.rand(1, 1, 10, 9)
    noise = torch.randn(4000, one.needs.latent)
    inference = one.infer(one.observe(x), noise)
    assert float(inference.rate.sum(1).mean()) == pytest.approx(-float(inference.log_ratio.mean()), abs=0.1)


def test_several_draws_of_each_picture_are_those_draws_one_by_one():
    one, x = network(), torch.rand(2, 1, 10, 9)
    noise = torch.randn(3, 2, one.needs.latent)
    together = one(x, noise.flatten(0, 1))
    alone = [one(x, part) for part in noise]
    assert torch.allclose(together.output, torch.cat([each.output for each in alone]), atol=1e-5)
    assert torch.allclose(together.log_ratio, torch.cat([each.log_ratio for each in alone]), atol=1e-3)


def test_the_rate_of_the_vector_is_its_divergence_and_the_layers_below_depend_on_what_was_drawn():
    one, x = network(), torch.rand(1, 1, 10, 9)
    seen = one.observe(x)
    inference = one.infer(seen, torch.randn(3, one.needs.latent))
    assert torch.allclose(inference.rate[:, 0], divergence(one.summary(seen[-1], torch.zeros(1, 1))).sum(1).expand(3))
    assert inference.rate[:, 1].std() > 0


def test_the_likelihood_of_the_code_drawn_is_that_of_its_picture():
    one, x = network(), torch.rand(2, 1, 10, 9)
    noise = torch.randn(2, one.needs.latent)
    output, posteriors = one.descend(noise, one.observe(x))
    parts = noise.split(one.sizes, 1)
    code = torch.cat([drawn(posterior, part) for posterior, part in zip(posteriors, parts, strict=True)], 1)
    assert torch.allclose(one.decode(code), torch.sigmoid(output), atol=1e-6)


def test_levels_that_are_not_all_told_are_refused():
    with pytest.raises(ValueError, match="2, 3 and 2"):
        HierarchyConfig(layers=(1, 2, 3))
