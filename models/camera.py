"""Noise as a real camera makes it: added on the sensor, then developed with the picture.

A clean picture is taken back to what a sensor sees; there noise is added; with and without it the sensor's picture is
developed the same way. So what is to be learned is to remove noise, and not to undo what a camera does beside it.

Sources: Brooks et al. 2019, "Unprocessing Images for Learned Raw Denoising" (Brooks): every step to the sensor, the
levels of noise. Guo et al. 2019, "Toward Convolutional Blind Denoising of Real Photographs" (CBDNet): noise through
demosaicking and JPEG. Zhang et al. 2022, "Practical Blind Image Denoising via Swin-Conv-UNet" (SCUNet): resizing, JPEG.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models.bayer import Phase, demosaicked, demosaicked_along_edges, mosaicked
from models.colour import luma
from models.corruptions import Spoilt, coded, judged, normal, scaled, uniform, without_colour
from models.jpeg import Jpeg, to_rgb, to_ycc
from models.types import Batch, Level, Mosaic

XYZ_TO_CAMERA = (
    ((1.0234, -0.2969, -0.2266), (-0.5625, 1.6328, -0.0469), (-0.0703, 0.2188, 0.6406)),
    ((0.4913, -0.0541, -0.0202), (-0.6130, 1.3513, 0.2906), (-0.1564, 0.2151, 0.7183)),
    ((0.8380, -0.2630, -0.0639), (-0.2887, 1.0725, 0.2496), (-0.0627, 0.1427, 0.5438)),
    ((0.6596, -0.2079, -0.0562), (-0.4782, 1.3016, 0.1933), (-0.0970, 0.1581, 0.5181)),
)
"""Google Nexus 6P, Sony A7R, Olympus E-M10, Sony RX100 IV: the cameras of the Darmstadt Noise Dataset (Plötz and Roth
2017) with the matrices that their makers and Adobe's DNG converter state, as Brooks mixes them."""
RGB_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
"""Linear sRGB, white of D65 (IEC 61966-2-1)."""
GAMMA = 2.2
LEAST, MOST = ((0.0, 0.2, 0.4, 0.5), (0.0, 0.0, 0.0, 0.1)), ((1.0, 1.0, 1.0, 1.0), (0.3, 0.4, 0.6, 0.8))
"""Of the noise that a camera's own denoising leaves where nothing stands out of it, of luma and of colours, from the
finest octave to the coarsest."""
MILDEST, STRICTEST = 0.5, 8.0
"""How much must stand out for half of it to stay, in times the noise."""
BLUNTEST, SHARPEST = -0.5, 2.0
"""How much of the finest detail a camera adds; less than nothing softens."""
COARSEST = 3
"""The number of the octave that is all that is left without those before."""
SOFTEST = 2.8
"""A picture is enlarged by so much at most."""
DARKEST = 1e-8
"""Of linear light, where the gamma curve is still computed (Brooks, gamma compression)."""


@dataclass(frozen=True)
class Camera:
    """Each picture taken by a camera of its own. The level told is what the noise came to, misjudged.

    low, high: bounds of the shot noise, its variance at white on the sensor, drawn log-uniformly; the read noise
    follows. These bounds make noise of 1 to 40 grey levels root mean square (first and last hundredth; the median is
    6.2), measured in 8 bits after all else on crops of 128 px out of photographs. curved: chance of a tone curve.
    enlarged: of a picture enlarged first, for what a camera draws is soft where it is seen pixel by pixel. resized: of
    a sensor with other pixels than the picture's. calmed: of noise reduction in the camera. retouched: of sharpening
    and smoothing. compressed: of `jpeg`, which the noisy picture goes through alone.
    misjudged: deviation of the logarithm of the level that is told, around that of the root mean square difference.
    """

    low: float = 2e-5
    high: float = 2e-2
    curved: float = 0.5
    enlarged: float = 0.0
    resized: float = 0.4
    calmed: float = 0.0
    retouched: float = 0.5
    compressed: float = 0.6
    jpeg: Jpeg = field(default_factory=Jpeg)
    misjudged: float = 0.25

    def __call__(self, clean: Batch, generator: Generator) -> Spoilt:
        """Three channels, or one; of pictures without colour the result has none."""
        colours = self.softened(clean.expand(-1, 3, -1, -1).contiguous(), generator)
        pair = self.finished(*self.taken(colours, generator), generator)
        noisy, target = (as_grey_as(colours, one) for one in pair)
        noisy, target = (one[:, : clean.shape[1]] for one in (self.coded(noisy, generator), target))
        return Spoilt(noisy, self.told(noisy, target, generator), target)

    def softened(self, clean: Batch, generator: Generator) -> Batch:
        """Some of the pictures' middles, as large as the pictures; by the same factor where it is done."""
        if not self.enlarged:
            return clean
        mine = uniform(generator, len(clean)) < self.enlarged
        scale = float(SOFTEST ** uniform(generator, 1))
        if not mine.any():
            return clean
        sides = [max(4, round(side / scale)) for side in clean.shape[2:]]
        top, left = ((side - inner) // 2 for side, inner in zip(clean.shape[2:], sides, strict=True))
        middles = clean[mine, :, top : top + sides[0], left : left + sides[1]]
        softened = clean.clone()
        softened[mine] = scaled(middles, list(clean.shape[2:]))
        return softened

    def taken(self, clean: Batch, generator: Generator) -> tuple[Batch, Batch]:
        """With noise and without, at the sensor's own resolution where that is another one; it is so for all of the
        batch that are resized, between half and twice the picture's in log-uniform steps."""
        resized = uniform(generator, len(clean)) < self.resized
        scale = float(2 ** (2 * uniform(generator, 1) - 1))
        noisy, target = torch.empty_like(clean), torch.empty_like(clean)
        for mine, resolution in ((~resized, 1.0), (resized, scale)):
            if mine.any():
                sides = [max(4, round(side * resolution)) for side in clean.shape[2:]]
                pair = self.exposed(scaled(clean[mine], sides), generator)
                noisy[mine], target[mine] = (scaled(one, list(clean.shape[2:])) for one in pair)
        return noisy, target

    def exposed(self, clean: Batch, generator: Generator) -> tuple[Batch, Batch]:
        """With noise and without, one pixel of the sensor to one of the picture."""
        how = drawn(generator, len(clean), self.curved)
        shot, read = noise_levels(generator, len(clean), self.low, self.high)
        soft = focused(clean, 0.3 + 0.7 * uniform(generator, len(clean)))
        seen = mosaicked(unprocessed(soft, how), how.phase)
        return developed(sensed(seen, shot, read, generator), how), developed(seen, how)

    def finished(self, noisy: Batch, target: Batch, generator: Generator) -> tuple[Batch, Batch]:
        """Some of the pictures with less noise; some sharpened or softened, their colours smoothed, both of each pair
        alike."""
        if self.calmed:
            mine = uniform(generator, len(noisy)) < self.calmed
            mine = mine.view(-1, 1, 1, 1)
            quieter, softer = calmed(noisy, target, generator)
            noisy, target = torch.where(mine, quieter, noisy), torch.where(mine, softer, target)
        mine = uniform(generator, len(noisy)) < self.retouched
        sharpening = BLUNTEST + (SHARPEST - BLUNTEST) * uniform(generator, len(noisy))
        smoothing = uniform(generator, len(noisy))
        if mine.any():
            for one in (noisy, target):
                one[mine] = retouched(one[mine], sharpening[mine], smoothing[mine])
        return noisy, target

    def coded(self, noisy: Batch, generator: Generator) -> Batch:
        """In 8 bits, some of the pictures by way of JPEG."""
        mine = uniform(generator, len(noisy)) < self.compressed
        noisy = coded(noisy)
        if mine.any():
            noisy[mine] = self.jpeg(noisy[mine], generator).pixels
        return noisy

    def told(self, noisy: Batch, target: Batch, generator: Generator) -> Level:
        """The root mean square difference, misjudged, as a user or an estimator tells it."""
        level = (noisy - target).square().flatten(1).mean(1).sqrt()
        return judged(level, generator, self.misjudged)


def as_grey_as(clean: Batch, pixels: Batch) -> Batch:
    """The pictures, with their luma in all channels where the clean one has no colour."""
    return torch.where(without_colour(clean), luma(pixels).clamp(0, 1), pixels)


class Development(NamedTuple):
    """How each picture of a batch is developed.

    matrix: `b 3 3`, linear sRGB to the camera's colours, white to white. gains: `b 3 1 1`, of white balance and
    brightness. curved: `b 1 1 1`, whether a tone curve follows. phase: of the mosaic, along_edges: how it is
    demosaicked, both the same for the batch.
    """

    matrix: Tensor
    gains: Tensor
    curved: Tensor
    phase: Phase
    along_edges: bool


def drawn(generator: Generator, count: int, curved: float) -> Development:
    """A development for each of `count` pictures; `curved` is a chance."""
    return Development(
        matrices(generator, count),
        gains(generator, count),
        (uniform(generator, count) < curved).view(-1, 1, 1, 1),
        phase(generator),
        bool(uniform(generator, 1) < 0.5),
    )


def matrices(generator: Generator, count: int) -> Tensor:
    """Convex mixes of cameras' matrices, `b 3 3` from linear sRGB, each row brought to a sum of 1 (Brooks, colour
    correction)."""
    shares = uniform(generator, count, len(XYZ_TO_CAMERA))
    cameras, rgb = (torch.tensor(table, device=generator.device) for table in (XYZ_TO_CAMERA, RGB_TO_XYZ))
    mixes = torch.einsum("bk,kij->bij", shares, cameras) @ rgb
    return mixes / mixes.sum(2, keepdim=True)


def gains(generator: Generator, count: int) -> Tensor:
    """Of red, green and blue, `b 3 1 1`: daylight's balance, and a brightness of 1 / N(0.8, 0.1) (Brooks, white balance
    and digital gain)."""
    low, high = torch.tensor([[1.9, 1.0, 1.5], [2.4, 1.0, 1.9]], device=generator.device)
    balance = low + (high - low) * uniform(generator, count, 3)
    darkness = (0.8 + 0.1 * normal(generator, torch.Size((count, 1)))).clamp(0.5, 1.1)
    return (balance / darkness)[..., None, None]


def phase(generator: Generator) -> Phase:
    """Where the mosaic begins."""
    y, x = torch.randint(2, (2,), generator=generator, device=generator.device).tolist()
    return y, x


def noise_levels(generator: Generator, count: int, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Variances `b` on the sensor's scale of [0, 1]: of shot noise at white, and of read noise.

    log shot ~ U(log low, log high); log read ~ N(2.18 log shot + 1.2, 0.26), the line through what the Darmstadt
    dataset's cameras measure (Brooks, shot and read noise).
    """
    log_shot = math.log(low) + (math.log(high) - math.log(low)) * uniform(generator, count)
    return log_shot.exp(), log_read_noise(log_shot, normal(generator, log_shot.shape)).exp()


def log_read_noise(log_shot: Any, deviation: Any) -> Any:
    """By the line of `noise_levels`, `deviation` in standard deviations off it; of tensors, arrays or numbers."""
    return 2.18 * log_shot + 1.2 + 0.26 * deviation


def focused(clean: Batch, softness: Tensor) -> Batch:
    """As a lens and the filter before the sensor draw it: mixed with its blur, by `softness`, `b`, from 0 to 1.

    Pictures that were reduced are sharper than any lens draws; a mosaic of them comes back with specks of colour, and
    these would be taught as what is clean (in 72 crops of reduced photographs, chroma off by 8.1 grey levels rms at a
    softness of 0, by 3.7 at 0.65). Before all else, because blurred beside full pixels of the sensor, light turns
    magenta.
    """
    return torch.lerp(clean, blurred(clean, 1), softness.view(-1, 1, 1, 1))


def sensed(mosaic: Mosaic, shot: Tensor, read: Tensor, generator: Generator) -> Mosaic:
    """With noise whose variance is `shot` times the light, plus `read` (Brooks, shot and read noise)."""
    variance = shot.view(-1, 1, 1, 1) * mosaic + read.view(-1, 1, 1, 1)
    return mosaic + variance.sqrt() * normal(generator, mosaic.shape)


def unprocessed(pixels: Batch, how: Development) -> Batch:
    """sRGB, `b 3 h w` -> the light that the sensor would see in each colour, up to 1, where it is full."""
    toned = torch.where(how.curved, inverse_smoothstep(pixels), pixels)
    return darkened(mixed(how.matrix, toned.clamp(min=DARKEST) ** GAMMA), how.gains).clamp(0, 1)


def darkened(light: Batch, gains: Tensor) -> Batch:
    """Divided by the gains, but the brightest less and less, so that what was white is full on the sensor too.

    Source: Brooks, white balance and digital gain: the inverse that keeps highlights.
    """
    above = ((light.mean(1, keepdim=True) - 0.9).clamp(min=0) / 0.1) ** 2
    return light * torch.maximum(above + (1 - above) / gains, 1 / gains)


def mixed(matrix: Tensor, pixels: Batch) -> Batch:
    """Colours `b 3 h w` by a matrix for each picture, `b 3 3`."""
    return (matrix @ pixels.flatten(2)).unflatten(2, pixels.shape[2:])


def developed(mosaic: Mosaic, how: Development) -> Batch:
    """What the sensor saw -> sRGB in [0, 1], `b 3 h w`; balanced before it is demosaicked, as raw converters do."""
    balance = mosaicked(how.gains.expand(-1, -1, *mosaic.shape[2:]), how.phase)
    balanced = (mosaic * balance).clamp(0, 1)
    return processed((demosaicked_along_edges if how.along_edges else demosaicked)(balanced, how.phase), how)


def processed(light: Batch, how: Development) -> Batch:
    """The camera's colours, balanced, `b 3 h w` -> sRGB in [0, 1]."""
    linear = mixed(torch.linalg.inv(how.matrix), light).clamp(DARKEST, 1)
    encoded = linear ** (1 / GAMMA)
    return torch.where(how.curved, smoothstep(encoded), encoded)


def smoothstep(pixels: Tensor) -> Tensor:
    """The tone curve 3 x^2 - 2 x^3 (Brooks, tone mapping)."""
    return pixels * pixels * (3 - 2 * pixels)


def inverse_smoothstep(pixels: Tensor) -> Tensor:
    """1/2 - sin(asin(1 - 2 y) / 3), for y in [0, 1]."""
    return 0.5 - torch.sin(torch.asin(1 - 2 * pixels) / 3)


def calmed(noisy: Batch, target: Batch, generator: Generator) -> tuple[Batch, Batch]:
    """As cameras' own denoising leaves both.

    Of each octave of the noise a share between LEAST and MOST stays, each picture's own, and more where the noisy
    picture stands out of the noise, as such denoising takes care not to smear. Of the picture's finer octaves as
    much is lost, or a part of that; with noise and without it is the same, and not to be undone.
    """
    planes = to_ycc(target)
    noise = to_ycc(noisy) - planes
    least, most = (noise.new_tensor(of_planes)[..., None, None] for of_planes in (LEAST, MOST))
    shares = least + (most - least) * uniform(generator, len(noise), *least.shape)
    strictness = MILDEST * (STRICTEST / MILDEST) ** uniform(generator, len(noise), 2, 1, 1)
    shares, strictness = (torch.cat([of_planes, of_planes[:, 1:]], 1) for of_planes in (shares, strictness))
    smeared = uniform(generator, len(noise), 1, 1, 1)
    *finer, (coarsest_noise, coarsest) = zip(octaves(noise), octaves(planes), strict=True)
    left, kept = shares[:, :, COARSEST] * coarsest_noise, coarsest
    for number, (of_noise, of_planes) in enumerate(finer):
        sure = standing_out(of_noise, of_planes, strictness, 2**number)
        gain = sure + (1 - sure) * shares[:, :, number]
        left, kept = left + gain * of_noise, kept + torch.lerp(of_planes, gain * of_planes, smeared)
    return to_rgb(kept + left).clamp(0, 1), to_rgb(kept).clamp(0, 1)


def standing_out(noise: Tensor, planes: Tensor, strictness: Tensor, step: int) -> Tensor:
    """How surely there is more than noise about a pixel, from 0 to 1 (Wiener's gain, of local energy)."""
    usual = noise.square().mean((2, 3), keepdim=True)
    energy = blurred((noise + planes).square(), step)
    return energy / (energy + strictness.square() * usual + DARKEST)


def octaves(planes: Batch) -> Iterator[Batch]:
    """Parts that add up to the planes, from the finest detail to what is left without it."""
    for number in range(COARSEST):
        coarser = blurred(planes, 2**number)
        yield planes - coarser
        planes = coarser
    yield planes


def retouched(pixels: Batch, sharpening: Tensor, smoothing: Tensor) -> Batch:
    """The luma's detail multiplied by 1 + `sharpening`, that of the colours, which is coarser, by 1 - `smoothing`; each
    `b`."""
    planes = to_ycc(pixels)
    once = blurred(planes, 1)
    soft = torch.cat([once[:, :1], blurred(once[:, 1:], 2)], 1)
    amounts = torch.stack([sharpening, -smoothing, -smoothing], 1)[..., None, None]
    return to_rgb(planes + amounts * (planes - soft)).clamp(0, 1)


def blurred(planes: Tensor, step: int) -> Tensor:
    """By a binomial of 5x5 whose taps are `step` pixels apart, the edge repeated."""
    wider = F.pad(planes, (2 * step,) * 4, "replicate")
    return binomial(binomial(wider, 3, step), 2, step)


def binomial(planes: Tensor, axis: int, step: int) -> Tensor:
    """1 4 6 4 1 in sixteenths along an axis, without the edge; sums of shifted planes, faster than convolutions of one
    channel each."""
    size = planes.shape[axis] - 4 * step
    a, b, c, d, e = (planes.narrow(axis, tap * step, size) for tap in range(5))
    return (a + e).add_(b + d, alpha=4).add_(c, alpha=6).div_(16)
