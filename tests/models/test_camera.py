from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Generator, Tensor

from models.camera import (
    Camera,
    darkened,
    drawn,
    focused,
    inverse_smoothstep,
    matrices,
    noise_levels,
    octaves,
    processed,
    retouched,
    scaled,
    sensed,
    smoothstep,
    unprocessed,
)
from models.corruptions import Gaussian
from models.jpeg import Jpeg, to_ycc

SENSOR = Camera(resized=0.0, retouched=0.0, compressed=0.0)
"""Nothing but noise on the sensor, and its development."""
NOISELESS = replace(SENSOR, low=1e-12, high=1e-12)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def scene(count: int = 2, height: int = 64, width: int = 64, channels: int = 3) -> Tensor:
    """Smooth coloured pictures of middle tones, `b c h w`."""
    y, x = torch.arange(height)[:, None] / 9, torch.arange(width) / 7
    tones = [0.5 + 0.12 * torch.sin(x * (k + 1) + y * (3 - k)) for k in range(channels)]
    return torch.stack(tones).repeat(count, 1, 1, 1)


def flat(level: float, count: int = 8, side: int = 64) -> Tensor:
    """Of one colour, nearly grey."""
    picture = torch.full((count, 3, side, side), level)
    picture[:, 0] += 0.01
    return picture


def rms(pixels: Tensor) -> Tensor:
    """Of each picture, in grey levels."""
    return 255 * pixels.square().flatten(1).mean(1).sqrt()


def beside(noise: Tensor) -> Tensor:
    """The correlation of neighbours left and right, of each channel."""
    noise = noise - noise.mean((2, 3), keepdim=True)
    return (noise[..., 1:] * noise[..., :-1]).mean((0, 2, 3)) / noise.square().mean((0, 2, 3))


def finest(noise: Tensor) -> Tensor:
    """What of it changes sign from each pixel to the next, down and across."""
    return noise.diff(dim=2).diff(dim=3)


@given(
    some.integers(1, 3), some.sampled_from([1, 3]), some.integers(8, 40), some.integers(8, 40), some.integers(0, 999)
)
@settings(max_examples=40, deadline=None)
def test_any_size_comes_back_in_whole_levels_with_what_is_to_be_restored(count, channels, height, width, seed):
    clean = torch.rand(count, channels, height, width, generator=seeded(seed))
    spoilt = replace(Camera(), resized=0.5, retouched=0.5)(clean, seeded(seed))
    target = spoilt.target(clean)
    assert spoilt.pixels.shape == target.shape == clean.shape
    assert torch.allclose(spoilt.pixels * 255, torch.round(spoilt.pixels * 255), atol=1e-3)
    for one in (spoilt.pixels, target):
        assert one.min() >= 0
        assert one.max() <= 1
    assert torch.isfinite(spoilt.level).all()
    assert (spoilt.level >= 0).all()


def test_the_same_seed_spoils_the_same_way_and_leaves_the_clean_picture():
    clean = scene(4)
    before = clean.clone()
    first, second, other = (Camera()(clean, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first.pixels, second.pixels)
    assert torch.equal(first.target(clean), second.target(clean))
    assert torch.equal(first.level, second.level)
    assert not torch.equal(first.pixels, other.pixels)
    assert torch.equal(clean, before)


@pytest.mark.parametrize("camera", [NOISELESS, replace(NOISELESS, resized=1.0, calmed=1.0, retouched=1.0)])
def test_without_noise_there_is_nothing_to_remove(camera: Camera):
    clean = torch.rand(4, 3, 33, 40, generator=seeded())
    spoilt = camera(clean, seeded())
    assert (spoilt.pixels - spoilt.target(clean)).abs().max() <= 0.5 / 255 + 1e-4


def test_a_sensor_without_noise_sees_what_is_there():
    mosaic = torch.rand(2, 1, 8, 8)
    assert torch.equal(sensed(mosaic, torch.zeros(2), torch.zeros(2), seeded()), mosaic)


def test_the_target_of_smooth_pictures_is_the_picture():
    clean = scene(6, 64, 64)
    target = NOISELESS(clean, seeded()).target(clean)
    assert rms((target - clean)[..., 4:-4, 4:-4]).max() < 6
    assert rms(target - clean).median() < 3


def test_the_target_is_not_compressed():
    clean = scene(3)
    plain = SENSOR(clean, seeded())
    compressed = replace(SENSOR, compressed=1.0, jpeg=Jpeg(20, 20))(clean, seeded())
    assert torch.equal(plain.target(clean), compressed.target(clean))
    assert not torch.equal(plain.pixels, compressed.pixels)


@pytest.mark.parametrize("curved", [0.0, 1.0])
@given(some.integers(0, 9999))
@settings(max_examples=20, deadline=None)
def test_developing_undoes_what_was_undone(curved: float, seed: int):
    clean = 0.3 + 0.3 * torch.rand(2, 3, 8, 8, generator=seeded(seed))
    how = drawn(seeded(seed), 2, curved)
    seen = unprocessed(clean, how)
    assert seen.min() > 0
    assert torch.allclose(processed(seen * how.gains, how), clean, atol=1e-3)


@given(some.floats(0, 1, width=32))
def test_the_tone_curve_and_its_inverse(y: float):
    tone = torch.tensor(y)
    assert float(smoothstep(inverse_smoothstep(tone))) == pytest.approx(y, abs=1e-5)


def test_white_stays_white_and_full():
    light = torch.ones(1, 3, 1, 1)
    assert torch.allclose(matrices(seeded(), 5).sum(2), torch.ones(5, 3), atol=1e-5)
    gains = torch.tensor([2.4, 1.2, 1.9]).view(1, 3, 1, 1)
    assert torch.allclose(darkened(light, gains), light, atol=1e-4)
    assert torch.allclose(darkened(0.5 * light, gains), 0.5 / gains)


def test_the_noise_on_the_sensor_grows_with_light():
    shot, read = torch.full((3,), 4e-3), torch.full((3,), 1e-4)
    mosaic = torch.tensor([0.0, 0.2, 0.8]).view(3, 1, 1, 1).expand(-1, -1, 128, 128)
    variance = (sensed(mosaic, shot, read, seeded()) - mosaic).flatten(1).var(1)
    assert variance.tolist() == pytest.approx([1e-4, 9e-4, 3.3e-3], rel=0.05)


def test_in_linear_light_bright_pictures_are_noisier():
    camera = replace(SENSOR, low=1e-3, high=1e-3, curved=0.0)
    how = drawn(seeded(), 8, 0.0)
    variances = []
    for level in (0.2, 0.5, 0.75):
        spoilt = camera(flat(level), seeded())
        linear = unprocessed(spoilt.pixels, how) - unprocessed(spoilt.target(flat(level)), how)
        variances.append(float(linear.var()))
    assert variances[0] < 0.5 * variances[1]
    assert variances[1] < 0.8 * variances[2]


def test_after_the_gamma_curve_shadows_are_noisier():
    camera = replace(SENSOR, low=2e-3, high=2e-3, curved=0.0)
    dark, bright = (camera(flat(level), seeded()) for level in (0.25, 0.75))
    assert rms(dark.pixels - dark.target(flat(0.25))).mean() > rms(bright.pixels - bright.target(flat(0.75))).mean()


def test_demosaicking_correlates_neighbours_where_white_noise_has_none():
    clean = flat(0.5)
    spoilt = replace(SENSOR, low=1e-3, high=1e-3)(clean, seeded())
    assert (beside(spoilt.pixels - spoilt.target(clean)) > 0.2).all()
    assert beside(Gaussian(10, 10)(clean, seeded()).pixels - clean).abs().max() < 0.03


def test_noise_spans_what_is_said():
    for shot, low, high in ((2e-5, 0.7, 2.5), (2e-2, 25.0, 60.0)):
        clean = scene(16)
        spoilt = replace(SENSOR, low=shot, high=shot)(clean, seeded())
        strengths = rms(spoilt.pixels - spoilt.target(clean))
        assert low < strengths.min()
        assert strengths.max() < high


def test_shot_noise_lies_between_the_bounds_and_read_noise_on_its_line():
    shot, read = noise_levels(seeded(), 2000, 1e-4, 1e-2)
    assert shot.min() >= 1e-4 * 0.999
    assert shot.max() <= 1e-2 * 1.001
    assert float((shot < 1e-3).float().mean()) == pytest.approx(0.5, abs=0.05)
    distance = read.log() - (2.18 * shot.log() + 1.2)
    assert float(distance.mean()) == pytest.approx(0, abs=0.03)
    assert float(distance.std()) == pytest.approx(0.26, abs=0.02)


def test_the_level_told_is_that_of_the_noise_misjudged():
    clean = scene(2)
    sure = replace(Camera(), misjudged=0.0)(clean, seeded())
    assert (255 * sure.level).tolist() == pytest.approx(rms(sure.pixels - sure.target(clean)).tolist(), rel=1e-4)
    many = scene(400, 8, 8)
    spoilt = SENSOR(many, seeded())
    told = (255 * spoilt.level / rms(spoilt.pixels - spoilt.target(many))).log()
    assert float(told.mean()) == pytest.approx(0, abs=0.06)
    assert float(told.std()) == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize("camera", [SENSOR, Camera(resized=0.5, retouched=1.0, compressed=1.0)])
def test_pictures_without_colour_get_noise_without_colour(camera: Camera):
    clean = torch.cat([scene(1)[:, :1].expand(-1, 3, -1, -1), scene(1)])
    spoilt = camera(clean, seeded())
    for pixels in (spoilt.pixels, spoilt.target(clean)):
        assert torch.allclose(pixels[0, 0], pixels[0, 2], atol=1e-6)
        assert not torch.allclose(pixels[1, 0], pixels[1, 2], atol=1e-3)
    single = scene(2, channels=1)
    assert camera(single, seeded()).target(single).shape == (2, 1, 64, 64)


def test_softness_blurs_and_none_leaves():
    light = torch.rand(2, 3, 12, 12)
    soft = focused(light, torch.tensor([0.0, 1.0]))
    assert torch.equal(soft[0], light[0])
    assert soft[1].std() < 0.6 * light[1].std()
    one = torch.full((1, 3, 8, 8), 0.3)
    assert torch.allclose(focused(one, torch.ones(1)), one)


def test_retouching_changes_detail_by_what_is_asked():
    pixels = 0.4 + 0.2 * torch.rand(1, 3, 32, 32, generator=seeded())
    none, more, less = torch.zeros(1), torch.full((1,), 0.7), torch.full((1,), -0.7)
    assert torch.allclose(retouched(pixels, none, none), pixels, atol=1e-5)
    before = to_ycc(pixels).std((2, 3))[0]
    sharp, soft = (to_ycc(retouched(pixels, amount, more)).std((2, 3))[0] for amount in (more, less))
    assert sharp[0] > 1.3 * before[0]
    assert soft[0] < 0.7 * before[0]
    assert (sharp[1:] < 0.5 * before[1:]).all()


def noise_of(camera: Camera, clean: Tensor, seed: int = 3) -> Tensor:
    """What is to be removed, `b 3 h w`."""
    spoilt = camera(clean, seeded(seed))
    return spoilt.pixels - spoilt.target(clean)


LOUD = replace(SENSOR, low=1e-2, high=1e-2)
CALMED = replace(LOUD, calmed=1.0)


def test_noise_that_was_calmed_is_fainter_and_a_plain_picture_as_it_was():
    clean = flat(0.4, 16)
    before, after = noise_of(LOUD, clean), noise_of(CALMED, clean)
    assert torch.allclose(LOUD(clean, seeded(3)).target(clean), CALMED(clean, seeded(3)).target(clean), atol=1e-5)
    assert 0.2 * rms(before).mean() < rms(after).mean() < 0.9 * rms(before).mean()
    assert (rms(finest(after)) < 0.9 * rms(finest(before))).all()
    assert rms(finest(after)).mean() < 0.6 * rms(finest(before)).mean()


def test_calming_takes_more_of_the_colours():
    clean = flat(0.4, 16)
    before, after = (to_ycc(noise_of(camera, clean)).std((0, 2, 3)) for camera in (LOUD, CALMED))
    assert (after[1:] / before[1:] < 0.9 * after[0] / before[0]).all()


def test_some_are_calmed():
    clean = flat(0.4, 16)
    changed = (rms(noise_of(replace(CALMED, calmed=0.5), clean)) < 0.95 * rms(noise_of(LOUD, clean))).sum()
    assert 3 < changed < 13


def test_more_noise_stays_beside_detail():
    clean = flat(0.4, 16)
    clean[..., 32:] += 0.6 * (torch.arange(32) % 4 < 2) - 0.3
    before, after = noise_of(LOUD, clean), noise_of(CALMED, clean)
    plain, detailed = ((after[half].std() / before[half].std()) for half in (np.s_[..., :24], np.s_[..., 40:]))
    assert detailed > 1.1 * plain


def test_faint_detail_is_lost_with_the_noise_and_is_not_to_be_brought_back():
    clean = flat(0.4, 16)
    clean[..., 32:] += 0.06 * (torch.arange(32) % 4 < 2) - 0.03
    sharp, soft = (camera(clean, seeded(3)).target(clean)[..., 36:-4].std(3).mean() for camera in (LOUD, CALMED))
    assert soft < 0.9 * sharp


def test_octaves_add_up():
    planes = torch.rand(2, 3, 40, 30, generator=seeded())
    parts = list(octaves(planes))
    assert torch.allclose(sum(parts, torch.zeros(())), planes, atol=1e-5)
    assert [round(float(finest(part).std()), 1) for part in parts[1:]] == [0.0] * 3


def test_some_pictures_are_brought_nearer():
    clean = torch.rand(40, 3, 32, 32, generator=seeded())
    nearer = replace(NOISELESS, enlarged=0.5).softened(clean, seeded(2))
    changed = [not torch.equal(one, other) for one, other in zip(nearer, clean, strict=True)]
    assert 10 < sum(changed) < 30
    assert nearer[changed].diff(dim=3).abs().mean() < 0.7 * clean[changed].diff(dim=3).abs().mean()
    assert NOISELESS.softened(clean, seeded()) is clean


def test_what_fits_is_not_scaled():
    pixels = torch.rand(1, 3, 8, 9)
    assert scaled(pixels, [8, 9]) is pixels
    assert scaled(pixels, [4, 5]).shape == (1, 3, 4, 5)


def test_a_sensor_of_fewer_pixels_makes_coarser_noise():
    clean = flat(0.5, 4)
    camera = replace(SENSOR, low=1e-3, high=1e-3, resized=1.0)
    noises = [spoilt.pixels - spoilt.target(clean) for spoilt in (camera(clean, seeded(seed)) for seed in range(12))]
    correlations = [float(beside(noise).mean()) for noise in noises]
    assert min(correlations) < 0.45
    assert max(correlations) > 0.8
