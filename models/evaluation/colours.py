"""Colorizers: how far their colours are from the true ones."""

from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from models import data, inference
from models.checkpoints import Model
from models.colorizer import Colorizer
from models.colour import chroma
from models.data import as_floats
from models.evaluation.pixels import contact, floats_of, thumbnail, to_pixels
from models.evaluation.protocol import Report, Row, Trial
from models.sessions import Session
from models.types import GREY_LEVELS, Picture8, Pixels


def by_chroma(model: Model, session: Session, trial: Trial) -> Report:
    """Root of the mean squared error of chroma, in grey levels, over all pixels: of the answer; of the mean over the
    colours held likely, which is duller and nearer; of no colour; and of the one tint that is best for all of them."""
    dull = Session(colorizer_at(session.network, 1.0), session.device)
    squares = {"no colour": 0.0, "expected colour": 0.0, "as answered": 0.0}
    total, count = np.zeros(2), 0
    for picture in tqdm(trial.pictures, desc="colour", leave=False):
        grey, clean = greyed(picture)
        answers = {"no colour": np.repeat(grey, 3, 2), "as answered": inference.colorized(session, grey)}
        answers["expected colour"] = inference.colorized(dull, grey)
        true = chroma(floats_of(clean))
        for name, answer in answers.items():
            squares[name] += float(((chroma(floats_of(answer)) - true) ** 2).sum())
        total, count = total + true.sum((0, 2, 3)).double().numpy(), count + true[0, 0].numel()
    squares["best constant tint"] = squares["no colour"] - float((total**2).sum()) / count
    names = ("no colour", "best constant tint", "expected colour", "as answered")
    table: list[Row] = [
        {"colours": name, "chroma RMS": GREY_LEVELS * max(0.0, squares[name] / (2 * count)) ** 0.5} for name in names
    ]
    return Report(table, {"unit": "grey levels of Cb and Cr"}, in_colour(session, (trial.sheet or trial.pictures)[:8]))


def in_colour(session: Session, pictures: list[Picture8]) -> Pixels:
    """A sheet of each picture without its colours, with those it is given, and with its own."""
    shown: list[Pixels] = []
    for picture in pictures:
        grey, clean = greyed(picture)
        shown += [thumbnail(one) for one in (np.repeat(grey, 3, 2), inference.colorized(session, grey), clean)]
    return contact(shown, columns=6)


def greyed(picture: Picture8) -> tuple[Pixels, Pixels]:
    """A picture without its colours, `h w 1`, and with them, `h w 3`."""
    colours = data.as_colour(picture)
    grey, clean = (to_pixels(as_floats(one[None]))[0] for one in (data.greyed(colours)[:1], colours))
    return grey, clean


def colorizer_at(network: Any, temperature: float) -> Any:
    """The same colorizer at another temperature."""
    other = Colorizer(replace(network.config, temperature=temperature))
    other.load_state_dict(network.state_dict())
    return other
