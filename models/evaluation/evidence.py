"""The likelihood of a set, picture by picture; what is done is kept, so that hours of it can be interrupted."""

import hashlib
import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from models import checkpoints
from models.checkpoints import Model
from models.evaluation.protocol import Row, Trial
from models.likelihood import bound, sizes_of, standard_error
from models.sessions import Session

KEEP_EVERY = 60.0
"""Seconds between writings of what is done."""
SEED = 0
"""Of the codes that are drawn, and of the binarization of the pictures."""


def evidence(model: Model, session: Session, targets: Tensor, trial: Trial) -> tuple[list[Row], dict[str, Any]]:
    """Bounds on -log p(x) by samples, and what was sampled how; targets `n c h w` in [0, 1].

    Begun again with the same weights, targets and samples, it goes on where it was.
    """
    sizes = sizes_of(trial.samples)
    kept = Kept(trial.folder / f".likelihood-{trial.path.name}.npz", run_of(model, targets, trial.samples))
    rows = kept.begun(len(targets), len(sizes) + 2)
    network = session.network.to(memory_format=torch.channels_last)
    try:
        for number in tqdm(np.flatnonzero(np.isnan(rows[:, 0])), desc=f"{trial.samples} samples", leave=False):
            x = targets[number : number + 1].to(session.device)
            rows[number] = np.hstack(bound(network, x, trial.samples, SEED, int(number)))
            kept.now_and_then(rows)
    finally:
        kept.write(rows)
    kept.forget()
    values = None if session.network.config.likelihood == "gaussian" else targets[0].numel()
    return table_of(sizes, rows), figures_of(rows, trial.samples, values)


def table_of(sizes: list[int], rows: np.ndarray) -> list[Row]:
    """The mean over pictures for each number of samples."""
    return [
        {"samples": str(size), "-log p(x), at most": -float(nats.mean()), "standard error": standard_error(nats)}
        for size, nats in zip(sizes, rows.T, strict=False)
    ]


def figures_of(rows: np.ndarray, samples: int, values: int | None) -> dict[str, Any]:
    """What the mean picture costs, in nats and in bits for each value of it, none where what is told is a density of
    numbers in [0, 1] and no chance; how it was found."""
    nats = -float(rows[:, -3].mean())
    bits = {"bits_per_value": nats / np.log(2) / values} if values else {}
    figures = {"nll": nats} | bits | {"samples": samples, "seed": SEED}
    parts = {"nll_distortion": float(rows[:, -2].mean()), "effective_samples": float(np.median(rows[:, -1]))}
    return figures | {"nll_standard_error": standard_error(rows[:, -3])} | parts


def run_of(model: Model, targets: Tensor, samples: int) -> str:
    """What makes these figures these and no others."""
    pixels = hashlib.sha256(targets.numpy().tobytes()).hexdigest()
    return f"{model.description.sha256} {pixels} {samples} {SEED}"


class Kept:
    """Rows of figures on disk, one a picture, not numbers where they are still to be made."""

    def __init__(self, path: Path, run: str):
        self.path, self.run, self.written = path, run, time.monotonic()

    def begun(self, count: int, columns: int) -> np.ndarray:
        """What is kept of this run, or nothing yet; of other runs nothing is taken."""
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                if str(kept["run"]) == self.run:
                    return kept["rows"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # none, or half a file
            pass
        return np.full((count, columns), np.nan)

    def now_and_then(self, rows: np.ndarray) -> None:
        if time.monotonic() - self.written > KEEP_EVERY:
            self.write(rows)

    def write(self, rows: np.ndarray) -> None:
        """Whole or not at all."""
        data = io.BytesIO()
        np.savez(data, rows=rows, run=self.run)
        checkpoints.replace_file(self.path, data.getvalue())
        self.written = time.monotonic()

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
