import pytest
import torch
from torch import Generator

from models.colour import luma
from models.corruptions import (
    Binarized,
    Dropout,
    Gaussian,
    Grey,
    Mixture,
    Nothing,
    OneOf,
    Poisson,
    SaltPepper,
    Spoilt,
    judged,
)

GREY = torch.full((2, 3, 96, 96), 0.5)
ALL = [
    Nothing(),
    Binarized(),
    Gaussian(),
    Poisson(),
    Dropout(),
    SaltPepper(),
    OneOf((Dropout(), Gaussian())),
    Mixture((Dropout(), Gaussian()), (1.0, 3.0)),
]


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_a_value_is_its_chance_to_be_white_and_what_was_drawn_is_what_is_wanted():
    clean = torch.tensor([0.0, 0.3, 1.0]).view(3, 1, 1, 1).expand(-1, 1, 200, 200)
    spoilt = Binarized()(clean, seeded())
    assert set(spoilt.pixels.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(spoilt.pixels.mean((1, 2, 3)), torch.tensor([0.0, 0.3, 1.0]), atol=0.01)
    assert spoilt.target(clean) is spoilt.pixels
    assert not torch.equal(spoilt.pixels, Binarized()(clean, seeded(1)).pixels)


@pytest.mark.parametrize("corruption", ALL, ids=lambda one: type(one).__name__)
def test_the_same_seed_spoils_the_same_way_and_leaves_the_clean_picture(corruption):
    clean = torch.rand(3, 3, 8, 8)
    before = clean.clone()
    first, second = corruption(clean, seeded()), corruption(clean, seeded())
    assert torch.equal(first.pixels, second.pixels)
    assert torch.equal(clean, before)
    assert first.pixels.shape == clean.shape
    assert first.level.shape == (3,)


@pytest.mark.parametrize("sigma", [5.0, 25.0])
def test_gaussian_noise_has_the_level_it_tells(sigma: float):
    spoilt = Gaussian(sigma, sigma)(torch.stack([colourful()] * 2), seeded())
    assert spoilt.level.tolist() == pytest.approx([sigma / 255] * 2)
    assert float((spoilt.pixels - colourful()).std()) == pytest.approx(sigma / 255, rel=0.03)


def test_noise_is_clipped_and_rounded_as_an_upload_is():
    pixels = Gaussian(100, 100)(GREY, seeded()).pixels
    assert pixels.min() == 0
    assert pixels.max() == 1
    assert torch.allclose(pixels * 255, torch.round(pixels * 255), atol=1e-3)


def test_a_grey_picture_gets_grey_noise():
    pixels = Gaussian(25, 25)(torch.cat([GREY[:1], colourful()[None]]), seeded()).pixels
    assert torch.equal(pixels[0, 0], pixels[0, 2])
    assert not torch.equal(pixels[1, 0], pixels[1, 2])


def test_levels_lie_between_the_bounds_and_low_ones_come_more_often_with_power():
    many = torch.zeros(400, 1, 1, 1)
    even, low = (Gaussian(10, 60, power)(many, seeded()).level * 255 for power in (1.0, 2.0))
    assert even.min() >= 10
    assert even.max() <= 60
    assert low.mean() < even.mean() - 5


def test_half_of_the_pixels_drop_in_all_channels_at_once():
    pixels = Dropout(0.5, 0.5)(GREY, seeded()).pixels
    assert float((pixels == 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert torch.equal(pixels[:, 0] == 0, pixels[:, 1] == 0)


def test_salt_and_pepper_is_black_and_white():
    pixels = SaltPepper(0.9)(GREY, seeded()).pixels
    assert set(pixels.unique().tolist()) == {0.0, 0.5, 1.0}


def test_shot_noise_grows_with_brightness():
    dark, bright = torch.full((1, 1, 64, 64), 0.1), torch.full((1, 1, 64, 64), 0.8)
    corruption = Poisson(100, 100)
    assert corruption(dark, seeded()).pixels.std() < corruption(bright, seeded()).pixels.std()
    assert float(corruption(GREY[:1], seeded()).pixels.std()) == pytest.approx((0.5 / 100) ** 0.5, rel=0.1)


def test_what_is_left_as_it_is_may_be_told_a_level_all_the_same():
    clean = GREY.repeat(200, 1, 1, 1)
    assert not Nothing()(clean, seeded()).level.any()
    spoilt = Nothing(told=3.0)(clean, seeded())
    assert torch.equal(spoilt.pixels, clean)
    assert 0 <= spoilt.level.min() < 0.2 / 255
    assert 2.8 / 255 < spoilt.level.max() <= 3.0 / 255


def test_one_of_spoils_each_picture_one_way():
    pixels = OneOf((Nothing(), Dropout(1.0, 1.0)))(GREY.repeat(20, 1, 1, 1), seeded()).pixels
    kinds = {float(one.mean()) for one in pixels}
    assert kinds == {0.0, 0.5}


def test_a_mixture_spoils_by_chance():
    pixels = Mixture((Nothing(), Dropout(1.0, 1.0)), (3.0, 1.0))(
        GREY[:1, :, :8, :8].repeat(800, 1, 1, 1), seeded()
    ).pixels
    assert float((pixels.flatten(1).amax(1) == 0).float().mean()) == pytest.approx(0.25, abs=0.05)


def test_a_mixture_wants_a_chance_for_each():
    with pytest.raises(ValueError, match="2 corruptions can't have 1 chances"):
        Mixture((Nothing(), Dropout()), (1.0,))


def test_what_is_to_be_restored_is_the_clean_batch_unless_said_otherwise():
    def brightened(clean, generator):
        return Spoilt(clean, clean.new_zeros(len(clean)), clean + 0.25)

    spoilt = OneOf((Nothing(), brightened))(GREY.repeat(20, 1, 1, 1), seeded())
    assert {float(one.mean()) for one in spoilt.target(GREY.repeat(20, 1, 1, 1))} == {0.5, 0.75}
    assert Nothing()(GREY, seeded()).target(GREY) is GREY


def colourful() -> torch.Tensor:
    picture = GREY[0].clone()
    picture[0] -= 0.1
    return picture


def test_without_colour_lightness_is_left():
    clean = torch.rand(2, 3, 4, 5)
    spoilt = Grey()(clean, Generator())
    assert torch.equal(spoilt.pixels, luma(clean))
    assert torch.equal(spoilt.target(clean), clean)


def test_a_level_is_judged_off_by_a_share():
    level = torch.full((20_000,), 5 / 255)
    told = (judged(level, seeded(), 0.25) / level).log()
    assert float(told.mean()) == pytest.approx(0, abs=0.01)
    assert float(told.std()) == pytest.approx(0.25, abs=0.01)
    assert torch.equal(judged(level, seeded(), 0.0), level)


def test_some_are_left_as_they_are_at_half_their_size():
    clean = torch.rand(40, 3, 33, 32, generator=seeded())
    spoilt = Nothing(told=3.0, reduced=0.5)(clean, seeded())
    assert torch.equal(spoilt.pixels, spoilt.target(clean))
    same = (spoilt.pixels == clean).flatten(1).all(1)
    assert 10 < int(same.sum()) < 30
    small = spoilt.pixels[~same]
    assert torch.equal(small, small.flip(3))
    assert torch.equal(small[:, :, 1:], small[:, :, 1:].flip(2))
    half = torch.nn.functional.interpolate(clean[~same], (17, 16), mode="bicubic", antialias=True).clamp(0, 1)
    assert torch.equal(small[:, :, :17, :16], half)
