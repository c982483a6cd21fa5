"""What a checkpoint is worth: measured on pictures, written into `metrics.json`, the model card and a contact sheet.

Restorers told the level: PSNR and SSIM by noise level, the level told and estimated, and PSNR of a camera's noise.
Other restorers: mean squared error and PSNR by corruption. Variational autoencoders: the evidence lower bound in its
parts, the likelihood, and how like real pictures those drawn are. Other autoencoders: the error of what is rebuilt, of
whole codes and of codes with gaps. Colorizers: the error of chroma. All pictures in 8 bits, as a user gets them.
"""

from collections.abc import Sequence
from pathlib import Path

from models import checkpoints, data, sessions
from models.checkpoints import Model
from models.evaluation.cards import as_markdown, card, keep, shown
from models.evaluation.codes import by_code
from models.evaluation.colours import by_chroma
from models.evaluation.drawing import as_sampler
from models.evaluation.pixels import floats_of, photographed, spoilt_pixels, to_pixels, transparent
from models.evaluation.protocol import Protocol, Report, Trial
from models.evaluation.restoring import by_corruption, by_level, seam
from models.restore import TILE
from models.sessions import Session

__all__ = [
    "Report",
    "as_markdown",
    "card",
    "evaluate",
    "floats_of",
    "photographed",
    "seam",
    "shown",
    "spoilt_pixels",
    "to_pixels",
]


def evaluate(
    folder: Path,
    path: Path,
    device: str = "auto",
    tile: int = TILE,
    limit: int = 0,
    samples: int = 0,
    sheet: Sequence[Path] = (),
) -> Report:
    """Measures the checkpoint in `folder` on the test pictures in `path`, and writes its metrics, card and sheet.

    Of a folder or zip that it learned from, told by the name, those pictures are measured on that were held out.
    `limit` takes the first so many pictures alone; `samples` are those of each picture's code that its likelihood is
    estimated with, 0 for none; `sheet` are photographs that the sheet shows in place of those that are measured, as of
    some sets none may be passed on. Raises CheckpointError, DataError, OSError where nothing can be written; ValueError
    where a sheet is of no photographs: all of it before the measuring.
    """
    checkpoints.metrics(folder)  # what can't be added to is told now and not after the measuring
    model = checkpoints.load(folder)
    checkpoints.check_writable(folder)  # nor written to
    learned = model.description.training.get("data") == data.name_of(path) and not data.sets_apart(path)
    pictures = data.measured_part(path, transparent(model), learned)[: limit or None]
    session = Session(model.network, sessions.chosen_device(device), model.description.title)
    measure, shown = protocol_of(model), data.pictures_in(sheet)
    if shown and measure not in (by_level, by_chroma):
        raise ValueError(f"the sheet of {model.description.title} shows what it is measured on")
    report = measure(model, session, Trial(pictures, path, folder, tile, samples, shown))
    keep(folder, data.name_of(path), len(pictures), report, learned)
    return report


def protocol_of(model: Model) -> Protocol:
    """How a model is measured, told by what it can be asked and what it needs."""
    if "denoise" in model.description.asks:
        return by_level if model.network.needs.level else by_corruption
    return PROTOCOLS[model.description.architecture]


PROTOCOLS: dict[str, Protocol] = {
    "autoencoder": by_code,
    "sparse": by_code,
    "vae": as_sampler,
    "hierarchy": as_sampler,
    "colorizer": by_chroma,
}
"""How models are measured that don't denoise."""
