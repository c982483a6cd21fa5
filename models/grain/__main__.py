"""Trains the estimator of a camera's noise: `python -m models.grain photos scenes developed`.

What comes with the program was made by this, on a CPU, with the seed and the counts below, from the photographs that
`photo` learned from, and from the same as another's raw converter develops them: shots of scenes (`python -m
benchmarks.developed photos scenes --count 331 --shots 4`) and pictures without noise (`... photos developed --count 331
--clean`). It prints how well photographs that were held out are judged.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from tqdm import trange

from models import data, grain, scenes
from models.camera import Camera
from models.colour import luma
from models.corruptions import Corruption, Gaussian, Nothing, coded, scaled
from models.data import Crops, Pictures
from models.grain.statistics import statistics
from models.jpeg import Jpeg
from models.scenes import Scenes
from models.types import GREY_LEVELS, Batch, Picture8

COUNT, CHECKED, SEED = 13_000, 1_000, 0
SIDES = (128, 384)
"""Of the pictures made here, in pixels; what others developed is cut at the first at least."""
DRAWN, RESIZED, GREY, COMPRESSED = 0.12, 0.6, 0.1, 0.6
"""Shares of them that are no photographs, that are brought to another size first, that have no colour, that go through
JPEG at last."""
SCALES = (0.5, 2.8)
"""A picture enlarged is soft, as many a camera draws it."""
WIDTH, DROPOUT, JITTER, REACH = 64, 0.1, 0.05, 0.1
EPOCHS, BATCH, RATE, WEIGHT_DECAY = 100, 64, 2e-3, 0.03


class Kind(NamedTuple):
    """A share of the pictures, and what spoils them; developed alone, where that is not noise."""

    share: float
    corruption: Corruption
    noisy: bool = True


KINDS = {
    "a camera's noise": Kind(0.25, Camera(compressed=0.0)),
    "a camera's, calmed in it": Kind(0.40, Camera(calmed=1.0, retouched=0.8, compressed=0.0)),
    "white noise up to 8": Kind(0.05, Gaussian(0, 8)),
    "none": Kind(0.22, Nothing()),
    "none, developed by a camera": Kind(0.08, Camera(compressed=0.0), noisy=False),
}
"""Of what is made here."""
SHOT, DEVELOPED = 0.2, 0.1
"""Shares of all that are another's: shots of scenes, and pictures without noise."""


class Source(NamedTuple):
    """Where a share of the pictures is from: each `1 3 h w` in 8 bits, and the root mean square of its noise in grey
    levels."""

    name: str
    share: float
    draw: Callable[[np.random.Generator], tuple[Batch, float]]


class Examples(NamedTuple):
    """Statistics `n f`, levels of the noise in grey levels `n`, and numbers of their sources `n`."""

    statistics: np.ndarray
    levels: np.ndarray
    sources: np.ndarray


def main() -> None:
    asked = argparse.ArgumentParser("python -m models.grain", description=__doc__)
    asked.add_argument("photos", type=Path, help="folder of photographs without noise")
    asked.add_argument("scenes", type=Path, help="folder of scenes, as `denoir train --scenes` takes them")
    asked.add_argument("developed", type=Path, help="folder of photographs without noise as they were developed")
    given = asked.parse_args()
    pictures, random = data.load(given.photos), np.random.default_rng(SEED)
    shots = scenes.load(given.scenes, 3, SIDES[0], 1.0, torch.device("cpu"))
    others = [Source("shots", SHOT, partial(shot, shots))]
    others += [Source("developed", DEVELOPED, partial(developed, data.load(given.developed)))]
    train = examples([*made_of(pictures.train, 1 - SHOT - DEVELOPED), *others], COUNT, random)
    checked = examples(made_of(pictures.held_out), CHECKED, random)
    mean, deviation = train.statistics.mean(0), train.statistics.std(0) + 1e-3
    network = learned(torch.from_numpy((train.statistics - mean) / deviation), torch.from_numpy(train.levels))
    layers = enumerate(layer for layer in network if isinstance(layer, nn.Linear))
    arrays = {f"{name}{number}": value for number, layer in layers for name, value in layer.state_dict().items()}
    kept = {name: value.half().numpy() for name, value in arrays.items()}
    np.savez_compressed(grain.WEIGHTS, mean=mean, deviation=deviation, **kept)
    tell(checked)


def examples(sources: list[Source], count: int, random: np.random.Generator) -> Examples:
    """So many pictures, each from one of the sources."""
    found = []
    for _ in trange(count):
        chosen = int(random.choice(len(sources), p=[one.share for one in sources]))
        picture, level = sources[chosen].draw(random)
        numbers = statistics((picture[0] * GREY_LEVELS).round().byte().permute(1, 2, 0).numpy())
        if numbers is not None:
            found.append((numbers, level, chosen))
    numbers, levels, chosen = zip(*found, strict=True)
    return Examples(np.stack(numbers), np.array(levels, np.float32), np.array(chosen))


def shot(shots: Scenes, random: np.random.Generator) -> tuple[Batch, float]:
    """A cut out of a shot of a scene; of some it has no colour."""
    generator = seeded(random)
    sized = replace(shots, crops=replace(shots.crops, side=a_side(shots.crops.pictures, random)))
    one, mean, level = sized.drawn(1, generator)
    if random.random() >= GREY:
        return one, GREY_LEVELS * float(level)
    share = float(level) / float((one - mean).square().mean().sqrt())
    grey, meant = luma(one), luma(mean)
    return coded(grey).expand(-1, 3, -1, -1), GREY_LEVELS * share * float((grey - meant).square().mean().sqrt())


def developed(pictures: Pictures, random: np.random.Generator) -> tuple[Batch, float]:
    """A cut out of a picture without noise; of some it has no colour."""
    some = Pictures(pictures.train + pictures.held_out, [])
    crops = Crops(some, a_side(some, random), grey=GREY)
    return crops.draw(1, seeded(random)), 0.0


def a_side(pictures: Pictures, random: np.random.Generator) -> int:
    """In pixels, of a cut that fits into all. Raises DataError where one is too small for any."""
    if (least := min(map(data.short_side, pictures.train))) < SIDES[0]:
        raise data.DataError(f"a picture of {least} pixels is too small; {SIDES[0]} are needed along each side")
    return int(random.integers(SIDES[0], least + 1))


def made_of(pictures: list[Picture8], share: float = 1.0) -> list[Source]:
    """Sources of what is made here out of pictures, a share of all."""
    return [Source(name, share * kind.share, partial(made, pictures, kind)) for name, kind in KINDS.items()]


def made(pictures: list[Picture8], kind: Kind, random: np.random.Generator) -> tuple[Batch, float]:
    """A picture that is spoilt, or is none; some went through JPEG at last."""
    generator = seeded(random)
    noisy, level = spoilt(clean(pictures, random), kind, generator)
    return Jpeg()(noisy, generator).pixels if random.random() < COMPRESSED else noisy, level


def seeded(random: np.random.Generator) -> Generator:
    return Generator().manual_seed(int(random.integers(2**62)))


def clean(pictures: list[Picture8], random: np.random.Generator) -> Batch:
    """A picture without noise, `1 3 h w` in [0, 1]; of some it has no colour."""
    made = drawn(random) if random.random() < DRAWN else cut(pictures[random.integers(len(pictures))], random)
    return luma(made).expand(-1, 3, -1, -1).contiguous() if random.random() < GREY else made


def drawn(random: np.random.Generator) -> Batch:
    """As from a screen: lines of small marks and some plain boxes, on a plain ground or one that goes from one colour
    to another, some with soft edges."""
    side = int(random.integers(SIDES[0], SIDES[1] + 1))
    fine = 2 * side if random.random() < 0.5 else side
    y, x = np.mgrid[:fine, :fine] / fine
    slope = (y if random.random() < 0.5 else x)[..., None] if random.random() < 0.5 else np.zeros((1, 1, 1))
    page = colour(random) * (1 - slope) + colour(random) * slope + np.zeros((fine, fine, 3))
    for _ in range(random.integers(8)):
        top, left, height, width = (int(fine * share) for share in random.random(4) * (1, 1, 0.5, 0.5))
        page[top : top + height, left : left + width] = colour(random)
    if random.random() < 0.7:
        line, cell = int(random.integers(6, 20)), random.integers(1, 5, 2)
        marks = np.kron(random.random(fine // cell + 1) < random.uniform(0.2, 0.6), np.ones(cell, bool))
        lined = np.arange(len(marks)) % (2 * line) < line
        page[(marks & lined[:, None])[:fine, :fine]] = colour(random)
    page = page.reshape(side, fine // side, side, fine // side, 3).mean((1, 3))
    return coded(torch.from_numpy(page.transpose(2, 0, 1)[None]).float())


def colour(random: np.random.Generator) -> np.ndarray:
    """Red, green and blue; of some a grey, the very dark and bright ones more often."""
    if random.random() < 0.5:
        return random.random(3)
    return np.full(3, 0.5 - 0.5 * np.cos(np.pi * random.random()))


def cut(picture: Picture8, random: np.random.Generator) -> Batch:
    """A part of a picture, `1 3 h w` in [0, 1], brought to another size or not."""
    low, high = np.log2(SCALES)
    scale = float(2 ** random.uniform(low, high)) if random.random() < RESIZED else 1.0
    side = min(math.ceil(random.integers(SIDES[0], SIDES[1] + 1) / scale), *picture.shape[1:])
    top, left = (int(random.integers(size - side + 1)) for size in picture.shape[1:])
    part = data.as_floats(data.as_colour(picture)[None, :, top : top + side, left : left + side])
    return coded(scaled(part, [round(side * scale)] * 2))


def spoilt(clean: Batch, kind: Kind, generator: Generator) -> tuple[Batch, float]:
    """A picture in 8 bits, and the root mean square of its noise in grey levels."""
    given = kind.corruption(clean, generator)
    target = given.target(clean)
    if not kind.noisy:
        return coded(target), 0.0
    return coded(given.pixels), GREY_LEVELS * float((given.pixels - target).square().mean().sqrt())


def learned(statistics: Tensor, levels: Tensor) -> nn.Sequential:
    """A network from statistics `n f`, brought to a common size, to the logarithm of the level and OFFSET, `n 1`."""
    torch.manual_seed(SEED)
    first, second, third = nn.Linear(statistics.shape[1], WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 1)
    network = nn.Sequential(first, nn.ReLU(), nn.Dropout(DROPOUT), second, nn.ReLU(), third)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * len(statistics) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    wanted = torch.log(levels + grain.OFFSET)
    for _ in trange(steps):
        chosen = torch.randint(len(statistics), (BATCH,))
        given = statistics[chosen] + JITTER * torch.randn(BATCH, statistics.shape[1])
        optimiser.zero_grad()
        F.smooth_l1_loss(network(given.clamp(-5, 5))[:, 0], wanted[chosen], beta=REACH).backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def tell(checked: Examples) -> None:
    """Prints how well the estimator judges those."""
    found = np.array([grain.level(numbers) for numbers in checked.statistics])
    for number, name in enumerate(KINDS):
        mine = checked.sources == number
        for low, high in ((0, 0.5), (0.5, 3), (3, 8), (8, 100)):
            some = mine & (checked.levels >= low) & (checked.levels < high)
            if some.any():
                words = told(found[some], checked.levels[some])
                print(f"{name}, {low:g} to {high:g}: {some.sum()} pictures, found {words}")


def told(found: np.ndarray, levels: np.ndarray) -> str:
    """Quantiles of the levels found, as shares of the true ones where these are not nought."""
    tenth, middle, last = np.quantile(found / levels if levels.all() else found, (0.1, 0.5, 0.9))
    return f"{tenth:.2f} to {last:.2f}, the median {middle:.2f}" + (" of it" if levels.all() else "")


if __name__ == "__main__":
    main()
