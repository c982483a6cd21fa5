"""Models that pictures are drawn from: what they say of pictures in nats, and how their own pictures look."""

from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from models import inference
from models.checkpoints import Model
from models.corruptions import Binarized, normal
from models.data import as_floats
from models.evaluation.evidence import SEED, evidence
from models.evaluation.likeness import Sets, compared
from models.evaluation.pixels import CHUNK, chunks, contact, whole
from models.evaluation.protocol import Report, Row, Trial
from models.posterior import Posterior, active, joined, told_by_each
from models.recipes import RECIPES
from models.sessions import Session

NUMBERS = "What each number of the code tells, of the divergence from the normal nearest to all its values"
LISTED = 256
"""Codes of so many numbers at most are told of number by number."""


@torch.inference_mode()
def as_sampler(model: Model, session: Session, trial: Trial) -> Report:
    """The evidence lower bound in nats a picture; the likelihood by importance sampling, where samples are asked for;
    how like real pictures those drawn are, and how near they come to what was learned from. All of seed 0."""
    clean = whole(model, trial.pictures)
    targets, told = targets_of(model, clean)
    figures, table, posterior = bounded(session, targets)
    more = {NUMBERS: numbers(posterior)} if figures["latent"] <= LISTED else {}
    if trial.samples and not taught_grey(model):
        rows, found = evidence(model, session, targets, trial)
        figures, more = figures | found, {"Likelihood by samples of each picture's code": rows} | more
    more |= compared(model, session, Sets.of(model, clean, trial.path))
    sheet = contact(list(inference.decode_codes(session, session.draw(0, 0, 64))), columns=8)
    return Report(table, figures | {"targets": told}, sheet, more)


def targets_of(model: Model, clean: Tensor) -> tuple[Tensor, str]:
    """What the likelihood is of, `n c h w` in [0, 1], and in words: black and white drawn by the grey values once for
    all, where that is what the model speaks of; else the values themselves."""
    values = as_floats(clean)
    if model.network.config.likelihood != "bernoulli":
        return values, "values of 8 bits"
    if taught_grey(model):
        return values, "grey values as it was taught, of which the bound is no likelihood"
    chances = np.random.default_rng(SEED).random(values.shape, np.float32)
    return (torch.from_numpy(chances) < values).float(), f"black and white, drawn by the grey values with seed {SEED}"


def taught_grey(model: Model) -> bool:
    """Whether a model of black and white was taught grey values as chances, of which nothing is a likelihood."""
    recipe = RECIPES.get(model.description.recipe)
    binary = model.network.config.likelihood == "bernoulli"
    return binary and recipe is not None and not isinstance(recipe.corruption, Binarized)


def bounded(session: Session, targets: Tensor) -> tuple[dict[str, Any], list[Row], Posterior]:
    """The parts of the negative evidence lower bound, one draw of each picture's code; what each part of the code
    costs; and what the encoder says of all pictures."""
    network = session.network
    distortion, rates, posteriors = 0.0, torch.zeros(len(network.groups)), []
    for at in chunks(targets):
        x = targets[at : at + CHUNK].to(session.device)
        generator = Generator(x.device).manual_seed(SEED + at)
        inferred = network(x, normal(generator, torch.Size((len(x), network.needs.latent))))
        distortion += float(network.observation.nats(inferred.output, inferred.log_deviation, x).sum()) / len(targets)
        rates += inferred.rate.sum(0).cpu() / len(targets)
        posteriors.append(Posterior(*(told.cpu() for told in network.posterior(x))))
    rate, posterior = float(rates.sum()), joined(posteriors, 0)
    figures = {"distortion": distortion, "rate": rate, "negative_elbo": distortion + rate}
    units = {"active_units": active(posterior), "latent": network.needs.latent}
    rows = zip(network.groups, rates, strict=True)
    return figures | units, [{"latents": name, "KL": float(nats)} for name, nats in rows], posterior


def numbers(posterior: Posterior) -> list[Row]:
    """For each number of the code how far its mean moves from picture to picture, and the nats that it tells."""
    moved, told = posterior.mean.var(0, correction=0), told_by_each(posterior)
    return [
        {"number": str(number), "variance of its mean": float(variance), "nats, by itself": float(nats)}
        for number, (variance, nats) in enumerate(zip(moved, told, strict=True))
    ]
