"""The loop: pictures -> crops -> corruption -> network -> objective -> step; averaged weights; saved, resumed.
At the end what only a trained network tells is measured: the mixture of its codes, how far its values reach.

Step t draws from generators seeded by (seed, t) alone, so a run of so many steps that was resumed is the run that was
not. The state (weights, averaged weights, optimiser, step, seconds) is one safetensors file, replaced whole.
"""

import contextlib
import json
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from models import checkpoints, data
from models.checkpoints import Description
from models.objectives import Parts
from models.recipes import RECIPES
from models.training.plan import Plan, plan_for, settings_for, view_of
from models.training.state import held, read_state
from models.training.trainer import Trainer

__all__ = ["Plan", "Stopped", "Trainer", "forget", "plan_for", "read_state", "settings_for", "train", "view_of"]


class Stopped(Exception):
    """The run was asked to stop before its end; its state is saved and the same command goes on from there."""


def train(plan: Plan, folder: Path) -> Description:
    """Trains (or goes on training) until a limit, then writes the averaged weights to `folder` as a checkpoint.

    Raises DataError, ValueError for a plan that can't be or whose state another training holds, OSError where nothing
    can be written, all before the first step; Stopped when told to stop before the end.
    """
    with held(plan.state):
        trainer = Trainer(plan, data.load(plan.data, RECIPES[plan.recipe].transparent))
        resumed = trainer.resume()
        checkpoints.check_writable(folder.parent)
        trainer.save()  # so that a state that can't be written is told now and not after hours
        if not plan.quiet:
            print(opening(trainer, resumed), flush=True)
        with asked_to_stop() as stop:
            run_to_the_end(trainer, stop)
        if stop:
            raise Stopped(f"stopped at step {trainer.progress.step}; the same command goes on from there")
        trainer.fit_prior()
        trainer.fit_reaches()
        trainer.fit_halo()
        weights, rounded = trainer.averaged.module.state_dict(), trainer.rounded
        return checkpoints.save(folder, trainer.description(), weights, plan.half, rounded)


def forget(state: Path) -> None:
    """Removes a run's state: its checkpoint is written."""
    shutil.rmtree(state, ignore_errors=True)


def run_to_the_end(trainer: Trainer, stop: list[int]) -> None:
    """Steps until a limit is met or a signal came; saves and validates now and then, and at the end.

    Always in this order, so that a validation that fails loses no step.
    """
    saved = time.monotonic()
    with tqdm(total=100.0, unit="%", disable=trainer.plan.quiet, bar_format=BAR) as bar:
        while trainer.fraction < 1 and not stop:
            parts = trainer.step()
            bar.update(min(100.0, 100 * trainer.fraction) - bar.n)
            if trainer.progress.step % 20 == 0:
                bar.set_postfix_str(told(trainer, parts), refresh=False)
            if time.monotonic() - saved > trainer.plan.save_every:
                trainer.save()
                record(trainer, parts)
                saved = time.monotonic()
    trainer.save()
    if not stop and trainer.progress.step:
        record(trainer, {})


BAR = "{percentage:5.1f}% |{bar}| {elapsed} gone, {remaining} left{postfix}"


def told(trainer: Trainer, parts: Parts) -> str:
    """The bar's last words."""
    losses = " ".join(f"{name} {float(value.detach()):.4g}" for name, value in parts.items())
    return f" step {trainer.progress.step} {losses}"


def opening(trainer: Trainer, resumed: bool) -> str:
    """What a run says first."""
    weights = sum(p.numel() for p in trainer.network.parameters()) / 1e6
    start = f"going on at step {trainer.progress.step}" if resumed else "starting"
    how = "bf16" if trainer.low_precision else "fp32"
    return f"{trainer.plan.name}: {start}, {weights:.2f} M weights, {trainer.device.type}, {how}"


def record(trainer: Trainer, parts: Parts) -> None:
    """One line of the run's log: where it stands on the last batch and on what is held out."""
    line = asdict(trainer.progress) | {name: float(value.detach()) for name, value in parts.items()}
    line |= {f"held_out_{name}": value for name, value in trainer.validate().items()}
    trainer.plan.state.mkdir(parents=True, exist_ok=True)
    with (trainer.plan.state / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


@contextlib.contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """A list that is empty until SIGINT or SIGTERM comes; a second signal acts as it would have."""
    received: list[int] = []
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
