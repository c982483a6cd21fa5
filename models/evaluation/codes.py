"""Autoencoders with a code that is not drawn from a prior of its own: what of a picture comes back from it."""

import numpy as np

from models import inference
from models.checkpoints import Model
from models.data import as_floats
from models.evaluation.pixels import CHUNK, chunks, contact, decibels, floats_of_many, to_pixels, whole
from models.evaluation.protocol import Report, Row, Trial
from models.scores import mean_squared_error
from models.sessions import Session
from models.types import Pixels

ZEROED = (0.0, 0.1, 0.3, 0.5)
"""Shares of a code set to zero, to see how much each part of it depends on the others."""


def by_code(model: Model, session: Session, trial: Trial) -> Report:
    """Mean squared error (of pixels in [0, 1]) and PSNR of pictures rebuilt from their codes, whole and with shares of
    them zeroed (seed 0), the rest as it is or scaled up as while training with dropout; what of the codes is zero, and
    which units are on every picture."""
    pixels = to_pixels(as_floats(whole(model, trial.pictures)))
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
