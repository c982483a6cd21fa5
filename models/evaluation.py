"""What a checkpoint is worth: measured on pictures, written into `metrics.json`, the model card and a contact sheet.

Restorers told the level: PSNR and SSIM by noise level, the level told and estimated. Other restorers: mean squared
error and PSNR by corruption. Variational autoencoders: the evidence lower bound in its parts. Other autoencoders: the
error of what is rebuilt, of whole codes and of codes with gaps. Colorizers: the error of chroma. All in 8 bits, as a
user gets it.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torchmetrics.functional.image import structural_similarity_index_measure
from tqdm import tqdm

from models import checkpoints, data, images, inference, letterbox, noise, sampling
from models.catalog import SHIPPED
from models.checkpoints import Model
from models.colorizer import Colorizer
from models.colour import chroma
from models.corruptions import Corruption, Dropout, Gaussian, Nothing, SaltPepper, Spoilt
from models.data import Wholes, as_floats
from models.inference import Session
from models.objectives import Elbo, divergence
from models.recipes import RECIPES
from models.restore import Tiling
from models.scores import mean_squared_error, psnr
from models.types import GREY_LEVELS, Batch, Picture8, Pixels

LEVELS = (5.0, 15.0, 25.0, 50.0, 75.0)
"""Noise levels that a restorer of photographs is measured at, in grey levels."""

SPOILT: dict[str, Corruption] = {
    "10 % dropped": Dropout(0.10, 0.10),
    "25 % dropped": Dropout(0.25, 0.25),
    "50 % dropped": Dropout(0.50, 0.50),
    "75 % dropped": Dropout(0.75, 0.75),
    "Gaussian 25": Gaussian(25, 25),
    "Gaussian 50": Gaussian(50, 50),
    "Gaussian 100": Gaussian(100, 100),
    "salt and pepper, up to 40 %": SaltPepper(0.4),
}
"""What a restorer that is told nothing is measured on; it was trained on half dropped and on Gaussian noise alone."""

CHUNK = 500
"""Small pictures are measured so many at a time."""

Row = dict[str, float | str]


@dataclass(frozen=True)
class Report:
    """What was measured on one set: a table, single figures, and a contact sheet `h w c`."""

    table: list[Row]
    figures: dict[str, Any]
    sheet: Pixels


def evaluate(folder: Path, path: Path, device: str = "auto", tile: int = 512, limit: int = 0) -> Report:
    """Measures the checkpoint in `folder` on the test pictures in `path`, and writes its metrics, card and sheet.

    `limit` takes the first so many pictures alone. Raises CheckpointError, DataError.
    """
    pictures = data.test_part(path)[: limit or None]
    checkpoints.metrics(folder)  # what can't be added to is told now and not after the measuring
    model = checkpoints.load(folder)
    session = Session(model.network, inference.chosen_device(device), model.description.title)
    report = protocol_of(model)(model, session, pictures, tile)
    keep(folder, path.name, len(pictures), report)
    return report


def protocol_of(model: Model) -> Callable[[Model, Session, list[Picture8], int], Report]:
    """How a model is measured, told by what it can be asked and what it needs."""
    if "denoise" in model.description.asks:
        return by_level if model.network.needs.level else by_corruption
    return PROTOCOLS[model.description.architecture]


def by_level(model: Model, session: Session, pictures: list[Picture8], tile: int) -> Report:
    """PSNR and SSIM at each level of Gaussian noise, clipped and rounded to 8 bits; noise of picture i from seed i."""
    tiling = inference.tiling_for(session.needs, tile)
    table: list[Row] = []
    seconds = megapixels = 0.0
    shown: list[Pixels] = []
    for sigma in LEVELS:
        scores: dict[str, list[float]] = {}
        for number, picture in enumerate(tqdm(pictures, desc=f"noise {sigma:g}", leave=False)):
            noisy = spoilt_pixels(picture, Gaussian(sigma, sigma), number)
            began = time.monotonic()
            told = inference.restored(session, noisy, sigma, tiling)
            seconds, megapixels = seconds + time.monotonic() - began, megapixels + noisy[..., 0].size / 1e6
            level = noise.estimate(noisy)
            estimated = inference.restored(session, noisy, level, tiling)
            compared = {"noisy": noisy, "told": told, "estimated": estimated}
            for name, value in compare(picture, compared).items():
                scores.setdefault(name, []).append(value)
            scores.setdefault("level estimated", []).append(level)
            if sigma == 25.0 and len(shown) < 6:
                shown += [part[:256, :256] for part in (noisy, told)]
        row: Row = {"sigma": sigma}
        table.append(row | {name: float(np.mean(values)) for name, values in scores.items()})
    figures = {"seconds_per_megapixel": seconds / megapixels, "threads": torch.get_num_threads()}
    return Report(table, figures | {"device": str(session.device)}, contact(shown))


def compare(clean: Picture8, restored: dict[str, Pixels]) -> dict[str, float]:
    """PSNR in dB and SSIM of each picture against the clean one."""
    scores = {}
    reference = as_floats(clean[None])
    for name, pixels in restored.items():
        batch = floats_of(pixels)
        scores[f"{name} PSNR"] = float(psnr(batch, reference))
        scores[f"{name} SSIM"] = float(
            torch.as_tensor(structural_similarity_index_measure(batch, reference, data_range=1.0))
        )
    return scores


def by_corruption(model: Model, session: Session, pictures: list[Picture8], tile: int) -> Report:
    """Mean squared error (of pixels in [0, 1]) and PSNR, before and after, for each kind of damage; seed 0."""
    clean = whole(model, pictures)
    table: list[Row] = []
    shown: list[Pixels] = []
    for name, corruption in (SPOILT | {"nothing": Nothing()}).items():
        noisy = batched(
            clean, lambda part, at, how=corruption: how(as_floats(part), Generator().manual_seed(at)).pixels
        )
        pixels = to_pixels(noisy)
        restored = np.concatenate([restore_chunk(session, pixels[at : at + CHUNK]) for at in chunks(pixels)])
        before, after = (mean_squared_error(batch, as_floats(clean)) for batch in (noisy, floats_of_many(restored)))
        row: Row = {"damage": name, "MSE in": float(before.mean()), "MSE out": float(after.mean())}
        table.append(row | {"PSNR in": decibels(before), "PSNR out": decibels(after)})
        shown += [*pixels[:5], *restored[:5]]
    return Report(table, {"score": "PSNR of the mean squared error over the set"}, contact(shown, columns=10))


def restore_chunk(session: Session, pixels: Pixels) -> Pixels:
    """Small whole pictures `b h w c` through a network that is told no level."""
    return inference.restore_tiles(session, pixels, np.zeros(len(pixels)))


def decibels(errors: Tensor) -> float:
    """PSNR of the mean of the errors: pictures that come back exactly would make the mean of PSNRs infinite."""
    return float(-10 * torch.log10(errors.mean().clamp(min=1e-10)))


@torch.inference_mode()
def as_sampler(model: Model, session: Session, pictures: list[Picture8], tile: int) -> Report:
    """The evidence lower bound in nats a picture, one draw of the code each (seed 0), and samples of seed 0."""
    network = session.network
    clean = whole(model, pictures)
    likelihood = model.description.config["likelihood"]
    sums: dict[str, float] = {}
    means: list[Tensor] = []
    rates = torch.zeros(network.needs.latent)
    for at in chunks(clean):
        batch = as_floats(clean[at : at + CHUNK]).to(session.device)
        generator = Generator(batch.device).manual_seed(at)
        parts = Elbo(likelihood)(network, batch, Spoilt(batch, batch.new_zeros(len(batch))), generator)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(batch) / len(clean)
        posterior = network.encode(batch)
        means.append(posterior.mean.cpu())
        rates += divergence(posterior).sum(0).cpu() / len(clean)
    figures = {name: sums[name] for name in sums} | {"negative_elbo": sum(sums.values())}
    figures["active_units"] = int((torch.cat(means).var(0) > 0.01).sum())
    figures["latent"] = network.needs.latent
    drawn = inference.decode_codes(session, session.draw(0, 0, 64))
    table: list[Row] = [
        {"dimension": str(k), "KL": float(rate)} for k, rate in enumerate(rates.sort(descending=True)[0])
    ]
    return Report(table, figures | {"targets": "grey values"}, contact(list(drawn), columns=8))


ZEROED = (0.0, 0.1, 0.3, 0.5)
"""Shares of a code set to zero, to see how much each part of it depends on the others."""


def by_code(model: Model, session: Session, pictures: list[Picture8], tile: int) -> Report:
    """Mean squared error (of pixels in [0, 1]) and PSNR of pictures rebuilt from their codes, whole and with shares of
    them zeroed (seed 0), the rest as it is or scaled up as while training with dropout; what of the codes is zero, and
    which units are on every picture."""
    pixels = to_pixels(as_floats(whole(model, pictures)))
    codes = np.concatenate([inference.all_finite(*session.encode(pixels[at : at + CHUNK])) for at in chunks(pixels)])
    rebuilt = np.concatenate(
        [inference.all_finite(*session.reconstruct(pixels[at : at + CHUNK])) for at in chunks(pixels)]
    )
    table = [rebuilding(pixels, "none", rebuilt, rebuilt)]
    shown = [*pixels[:8], *rebuilt[:8]]
    for share in ZEROED[1:] if session.needs.latent else ():
        kept = np.random.default_rng(0).random(codes.shape) >= share
        decoded = inference.decode_codes(session, codes * kept)
        scaled = inference.decode_codes(session, codes * kept / np.float32(1 - share))
        table.append(rebuilding(pixels, f"{share:.0%}", decoded, scaled))
        shown += [*decoded[:8]]
    if session.needs.latent and session.network.prior:
        shown += [*inference.decode_codes(session, session.draw(0, 0, 24))]
    dead = int((codes == 0).all(0).sum())
    figures = {"zeros": float((codes == 0).mean()), "dead_units": dead, "code": codes.shape[1]}
    return Report(table, figures | {"MSE": table[0]["MSE"]}, contact(shown, columns=min(8, len(pixels))))


def rebuilding(pixels: Pixels, zeroed: str, rebuilt: Pixels, scaled: Pixels) -> Row:
    """One row of that table."""
    clean = floats_of_many(pixels)
    errors = mean_squared_error(floats_of_many(rebuilt), clean)
    others = mean_squared_error(floats_of_many(scaled), clean)
    row: Row = {"code zeroed": zeroed, "MSE": float(errors.mean()), "PSNR": decibels(errors)}
    return row | {"MSE, rest scaled": float(others.mean()), "PSNR, rest scaled": decibels(others)}


def by_chroma(model: Model, session: Session, pictures: list[Picture8], tile: int) -> Report:
    """Root of the mean squared error of chroma, in grey levels, over all pixels: of the answer; of the mean over the
    colours held likely, which is duller and nearer; of no colour; and of the one tint that is best for all of them."""
    dull = Session(colorizer_at(session.network, 1.0), session.device)
    squares = {"no colour": 0.0, "expected colour": 0.0, "as answered": 0.0}
    total, count = np.zeros(2), 0
    shown: list[Pixels] = []
    for picture in tqdm(pictures, desc="colour", leave=False):
        colours = data.as_colour(picture)
        grey, clean = to_pixels(as_floats(data.greyed(colours)[None, :1]))[0], to_pixels(as_floats(colours[None]))[0]
        answers = {"no colour": np.repeat(grey, 3, 2), "as answered": inference.colorized(session, grey)}
        answers["expected colour"] = inference.colorized(dull, grey)
        true = chroma(floats_of(clean))
        for name, answer in answers.items():
            squares[name] += float(((chroma(floats_of(answer)) - true) ** 2).sum())
        total, count = total + true.sum((0, 2, 3)).double().numpy(), count + true[0, 0].numel()
        if len(shown) < 24:
            shown += [thumbnail(one) for one in (answers["no colour"], answers["as answered"], clean)]
    squares["best constant tint"] = squares["no colour"] - float((total**2).sum()) / count
    names = ("no colour", "best constant tint", "expected colour", "as answered")
    table: list[Row] = [
        {"colours": name, "chroma RMS": GREY_LEVELS * max(0.0, squares[name] / (2 * count)) ** 0.5} for name in names
    ]
    return Report(table, {"unit": "grey levels of Cb and Cr"}, contact(shown, columns=6))


def colorizer_at(network: Any, temperature: float) -> Any:
    """The same colorizer at another temperature."""
    other = Colorizer(replace(network.config, temperature=temperature))
    other.load_state_dict(network.state_dict())
    return other


def thumbnail(pixels: Pixels, side: int = 160) -> Pixels:
    """The picture in a square."""
    return letterbox.fitted(pixels, (side, side))[0]


PROTOCOLS: dict[str, Callable[[Model, Session, list[Picture8], int], Report]] = {
    "autoencoder": by_code,
    "sparse": by_code,
    "vae": as_sampler,
    "colorizer": by_chroma,
}
"""How models are measured that don't denoise."""


def whole(model: Model, pictures: list[Picture8]) -> Tensor:
    """Pictures brought to the size and channels that the model takes, `n c h w` uint8."""
    needs = model.network.needs
    fitted = [data.as_colour(p) if needs.channels == 3 else data.greyed(p)[:1] for p in pictures]
    return Wholes.of(data.Pictures(fitted, fitted[:1]), needs.size).train


def spoilt_pixels(picture: Picture8, corruption: Corruption, seed: int) -> Pixels:
    """One picture spoilt, as an upload has it: `h w c` uint8."""
    spoilt = corruption(as_floats(picture[None]), Generator().manual_seed(seed)).pixels
    return to_pixels(spoilt)[0]


def batched(pictures: Tensor, change: Callable[[Tensor, int], Tensor]) -> Tensor:
    """`change(part, where it starts)` over parts of CHUNK pictures."""
    return torch.cat([change(pictures[at : at + CHUNK], at) for at in chunks(pictures)])


def chunks(pictures: Any) -> Iterator[int]:
    """Where the parts of CHUNK pictures start."""
    return iter(range(0, len(pictures), CHUNK))


def to_pixels(batch: Batch) -> Pixels:
    """`b c h w` in [0, 1] -> `b h w c` uint8."""
    return batch.clamp(0, 1).mul(GREY_LEVELS).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def floats_of(pixels: Pixels) -> Batch:
    """`h w c` uint8 -> `1 c h w` in [0, 1]."""
    return floats_of_many(pixels[None])


def floats_of_many(pixels: Pixels) -> Batch:
    """`b h w c` uint8 -> `b c h w` in [0, 1]."""
    return as_floats(torch.from_numpy(pixels).permute(0, 3, 1, 2))


def contact(pictures: list[Pixels], columns: int = 0) -> Pixels:
    """Pictures on one sheet, each cut to the smallest among them."""
    height, width = (min(p.shape[axis] for p in pictures) for axis in (0, 1))
    return sampling.grid(np.stack([p[:height, :width] for p in pictures]), columns=columns)


def keep(folder: Path, name: str, count: int, report: Report) -> None:
    """Writes what was measured on one set beside what was measured on others, and the card anew."""
    metrics = checkpoints.metrics(folder)
    metrics.setdefault("sets", {})[name] = {"pictures": count, "figures": report.figures, "table": report.table}
    checkpoints.replace_file(folder / checkpoints.METRICS, (json.dumps(rounded(metrics), indent=1) + "\n").encode())
    checkpoints.replace_file(folder / "sheet.png", images.write(images.Picture(report.sheet), "png"))
    checkpoints.replace_file(folder / checkpoints.CARD, card(folder, metrics).encode())


def rounded(value: Any) -> Any:
    """Numbers to five digits, all the way down."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


def card(folder: Path, metrics: dict[str, Any]) -> str:
    """The model card: what it is, how it was trained, what was measured, in the hub's form.

    Only the weights that ship are known to be under a licence; what others train is theirs to license.
    """
    licence = "license: cc-by-sa-4.0\n" if folder.resolve().is_relative_to(SHIPPED.resolve()) else ""
    described = checkpoints.describe(folder)
    trained = "\n".join(f"- {name}: {value}" for name, value in described.training.items() if value is not None)
    recipe = RECIPES.get(described.recipe)
    lines = [
        f"---\n{licence}library_name: denoir\ntags: [image-restoration, autoencoder]\n---",
        f"# {described.title}\n",
        f"Recipe `{described.recipe}`, architecture `{described.architecture}`: `{json.dumps(described.config)}`.",
        f"Can be asked to: {', '.join(described.asks)}.\n",
        f"## Training\n\n{trained}",
        f"- corruption: `{recipe.corruption}`" if recipe else "",
        f"- objective: `{recipe.objective}`" if recipe and not described.training.get("objective") else "",
        "",
        "## Measured\n",
    ]
    for name, measured in metrics.get("sets", {}).items():
        lines.append(f"### {name}, {measured['pictures']} pictures\n")
        lines.append(f"`denoir evaluate {described.name} --data {name}`\n")
        lines += [f"- {key}: {shown(value)}" for key, value in measured["figures"].items()]
        lines.append("\n" + as_markdown(measured["table"]) + "\n")
    return "\n".join(lines) + "\n![contact sheet](sheet.png)\n"


def as_markdown(table: list[Row]) -> str:
    """A table for the card and the terminal."""
    names = list(table[0])
    rows = [[shown(row[name]) for name in names] for row in table]
    widths = [max(len(cell) for cell in column) for column in zip(names, *rows, strict=True)]
    lines = [names, ["-" * width for width in widths], *rows]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in padded)


def shown(value: Any) -> str:
    """Numbers as people read them."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def measured_halo(session: Session, pictures: list[Picture8], tile: int, sigmas: tuple[float, ...]) -> dict[int, float]:
    """For each halo, the largest difference in grey levels of a tiled answer to a whole one."""
    needs = session.needs
    worst: dict[int, float] = {}
    for halo in range(needs.multiple, needs.halo + 1, needs.multiple):
        for number, picture in enumerate(pictures):
            for sigma in sigmas:
                worst[halo] = max(
                    worst.get(halo, 0.0), seam(session, picture, sigma, number, Tiling(tile, halo, needs.multiple))
                )
    return worst


def seam(session: Session, picture: Picture8, sigma: float, seed: int, tiling: Tiling) -> float:
    """The largest difference, in grey levels, between a picture's tiled answer and its whole one, before rounding."""
    noisy = spoilt_pixels(picture, Gaussian(sigma, sigma), seed).astype(np.uint16) * 257
    longest = -(-max(noisy.shape[:2]) // tiling.multiple) * tiling.multiple
    together = inference.restored(session, noisy, sigma, Tiling(longest, 0, tiling.multiple))
    tiled = inference.restored(session, noisy, sigma, tiling)
    return float(np.abs(together.astype(np.int32) - tiled.astype(np.int32)).max()) / 257
