"""How well `photo` restores, beside filters that need no weights: `python -m benchmarks.quality --data FOLDER`.

With `--data`, of the clean photographs in it: white noise, the level told and estimated; a camera's noise, nothing
told; and the harm done where there is little or nothing to remove. With `--real PAIRS`, a folder of `NAME_real.*`
beside `NAME_mean.*`: a real camera's noise, or what `benchmarks.developed` makes. The filters are scikit-image's; their
settings were chosen on 8 of the photographs that `photo` was trained on. PSNR in dB, in 8 bits, the mean over pictures.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import restoration
from torch import Generator
from tqdm import tqdm

from models import checkpoints, data, denoisers, images, inference
from models.camera import Camera
from models.catalog import SHIPPED, Catalog
from models.corruptions import Gaussian
from models.data import as_floats
from models.evaluation import as_markdown, floats_of, photographed, to_pixels
from models.scores import losses, psnr
from models.sessions import Session
from models.types import Pixels
from service.settings import cores_given

Filter = Callable[[Pixels, float], Pixels]
"""(picture `h w 3`, level of its noise in grey levels) -> the picture without it."""


class Pair(NamedTuple):
    """A picture with noise, and what it would be without."""

    noisy: Pixels
    clean: Pixels


def photo(folder: Path) -> Filter:
    """The checkpoint in `folder`, as it is served."""
    session = Session(checkpoints.load(folder).network, torch.device("cpu"))
    tiling = inference.tiling_for(session.needs)
    return lambda noisy, level: inference.restored(session, noisy, level, tiling)


def unaided(run: Filter, noisy: Pixels) -> Pixels:
    """What a filter makes of a picture of whose noise nothing is told."""
    return run(noisy, denoisers.found(noisy).level)


def on_floats(run: Callable[[np.ndarray, float], np.ndarray], noisy: Pixels, level: float) -> Pixels:
    """A filter of pictures in [0, 1] on one in 8 bits; without noise nothing is to be done."""
    if level <= 0:
        return noisy
    return np.rint(255 * np.clip(run(noisy / np.float32(255), level / 255), 0, 1)).astype(np.uint8)


def non_local_means(noisy: np.ndarray, level: float) -> np.ndarray:
    return restoration.denoise_nl_means(noisy, 5, 6, h=0.6 * level, sigma=level, fast_mode=True, channel_axis=-1)


def wavelet(noisy: np.ndarray, level: float) -> np.ndarray:
    return restoration.denoise_wavelet(noisy, sigma=level, convert2ycbcr=True, channel_axis=-1, rescale_sigma=True)


def total_variation(noisy: np.ndarray, level: float) -> np.ndarray:
    return restoration.denoise_tv_chambolle(noisy, weight=level, channel_axis=-1)


def bilateral(noisy: np.ndarray, level: float) -> np.ndarray:
    return restoration.denoise_bilateral(noisy, win_size=13, sigma_color=level, sigma_spatial=3, channel_axis=-1)


FILTERS: dict[str, Filter] = {
    run.__name__.replace("_", " "): partial(on_floats, run)
    for run in (non_local_means, wavelet, total_variation, bilateral)
}


def decibels(answer: Pixels, clean: Pixels) -> float:
    """Infinite where they are equal."""
    return float(psnr(floats_of(answer), floats_of(clean)))


def white(pictures: list[Pixels], filters: dict[str, Filter], levels: Iterable[float]) -> list[dict[str, float | str]]:
    """White noise, clipped and rounded: what each filter makes of it, told the level and estimating it."""
    rows: list[dict[str, float | str]] = []
    pairs = {level: [noised(picture, level, seed) for seed, picture in enumerate(pictures)] for level in levels}
    for name, run in filters.items():
        row: dict[str, float | str] = {"filter": name}
        began, pixels = time.perf_counter(), 0
        for level, noisy in pairs.items():
            told = [decibels(run(pair.noisy, level), pair.clean) for pair in tqdm(noisy, desc=name, leave=False)]
            found = [decibels(unaided(run, pair.noisy), pair.clean) for pair in noisy]
            row |= {f"{level:g}, told": np.mean(told), f"{level:g}, estimated": np.mean(found)}
            pixels += 2 * sum(pair.noisy[..., 0].size for pair in noisy)
        rows.append(row | {"s/MP": (time.perf_counter() - began) / pixels * 1e6})
    return rows


def noised(picture: Pixels, level: float, seed: int) -> Pair:
    """White noise of one level."""
    spoilt = Gaussian(level, level)(floats_of(picture), Generator().manual_seed(seed))
    return Pair(to_pixels(spoilt.pixels)[0], picture)


def taken(picture: Pixels, seed: int) -> Pair:
    """A camera's noise, and what that camera would have shown without it."""
    return Pair(*photographed(torch.from_numpy(picture).permute(2, 0, 1), Camera(), seed))


def blind(pairs: list[Pair], filters: dict[str, Filter]) -> list[dict[str, float | str]]:
    """What each filter makes of pictures of whose noise nothing is told; and how many it makes worse."""
    before = np.array([decibels(*pair) for pair in pairs])
    rows: list[dict[str, float | str]] = [{"filter": "none", "PSNR": before.mean(), "worse": 0, "most lost, dB": 0.0}]
    for name, run in filters.items():
        answers = [unaided(run, pair.noisy) for pair in tqdm(pairs, desc=name, leave=False)]
        after = np.array([decibels(answer, pair.clean) for answer, pair in zip(answers, pairs, strict=True)])
        worse, lost = losses(before, after)
        rows.append({"filter": name, "PSNR": after.mean(), "worse": worse, "most lost, dB": lost})
    return rows


def harm(pictures: list[Pixels], run: Filter) -> list[dict[str, float | str]]:
    """What the filter does to what should stay: nothing is told of any of these but the levels of the third."""
    clean = [decibels(unaided(run, picture), picture) for picture in pictures]
    shifts = [
        np.abs(run(noised(picture, level, seed).noisy, level).mean((0, 1)) - picture.mean((0, 1))).max()
        for level in (5.0, 15.0, 25.0)
        for seed, picture in enumerate(pictures)
    ]
    slope, page = ramp(), text()
    levels = [len(np.unique(one)) for one in (slope, unaided(run, slope))]
    noisy = noised(page, 10.0, 0)
    return [
        {"measure": "clean photographs, least PSNR of what comes back", "value": min(clean)},
        {"measure": "clean photographs that come back under 45 dB", "value": sum(one < 45 for one in clean)},
        {"measure": "largest shift of a channel's mean, noise up to 25", "value": float(max(shifts))},
        {"measure": "distinct levels of a ramp, before", "value": levels[0]},
        {"measure": "distinct levels of a ramp, after", "value": levels[1]},
        {
            "measure": "page of small text, PSNR of what comes back",
            "value": decibels(unaided(run, page), page),
        },
        {"measure": "the page with noise of level 10, PSNR before", "value": decibels(*noisy)},
        {"measure": "and after", "value": decibels(unaided(run, noisy.noisy), page)},
    ]


def ramp() -> Pixels:
    """From black to white, all grey levels, `256 1024 3`."""
    return np.broadcast_to(np.rint(np.linspace(0, 255, 1024))[None, :, None], (256, 1024, 3)).astype(np.uint8)


def text() -> Pixels:
    """A page of small text, dark grey on nearly white."""
    page = Image.new("RGB", (600, 400), (250, 249, 246))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for line in range(26):
        words = " ".join(f"{line * 7 + k}. the quick brown fox" for k in range(5))
        draw.text((8, 8 + 15 * line), words, fill=(40, 40, 48), font=font)
    return np.array(page)


def real(folder: Path, limit: int) -> list[Pair]:
    """Pairs of pictures, by name."""
    noisy = sorted(path for path in folder.iterdir() if path.stem.endswith("_real"))[: limit or None]
    return [Pair(*(images.read(one.read_bytes()).pixels for one in (path, mean_of(path)))) for path in noisy]


def mean_of(path: Path) -> Path:
    return path.with_name(path.name.replace("_real", "_mean"))


def pictures_in(folder: Path, limit: int) -> list[Pixels]:
    """Photographs in colour, `h w 3`."""
    return [to_pixels(as_floats(data.as_colour(one)[None]))[0] for one in data.measured_part(folder)[: limit or None]]


def main() -> None:
    """Prints the tables."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, help="clean photographs")
    asked.add_argument("--real", type=Path, help="pairs of photographs, NAME_real.* and NAME_mean.*")
    asked.add_argument("--model", type=Path, default=Catalog.of(SHIPPED).find("photo").folder, help="a checkpoint")
    asked.add_argument("--limit", type=int, default=0, help="of the first so many pictures alone")
    asked.add_argument("--alone", action="store_true", help="without the other filters")
    told = asked.parse_args()
    torch.set_num_threads(cores_given())
    model = photo(told.model)
    filters = {"photo": model} | ({} if told.alone else FILTERS)
    if told.data:
        pictures = pictures_in(told.data, told.limit)
        print_table("White noise", told.data, white(pictures, filters, (15.0, 25.0, 50.0)))
        pairs = [taken(picture, seed) for seed, picture in enumerate(pictures)]
        print_table("A camera's noise, made", told.data, blind(pairs, filters))
        print_table("Harm", told.data, harm(pictures, model))
    if told.real:
        print_table("A camera's noise, real", told.real, blind(real(told.real, told.limit), filters))


def print_table(title: str, folder: Path, rows: list[dict[str, float | str]]) -> None:
    print(f"\n### {title}, {folder.name}\n\n{as_markdown(rows)}")


if __name__ == "__main__":
    main()
