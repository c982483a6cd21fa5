import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import checkpoints, data, training
from models.training import Plan, Stopped, Trainer


def plan(recipe: str, photographs: Path, tmp_path: Path, **values: Any) -> Plan:
    config = {"widths": [4, 8]} | ({"blocks": 1} if recipe == "photo" else {})
    settings = {"steps": 6, "batch": 2, "size": 16, "config": config, "compile": "off", "quiet": True}
    settings |= {"data": photographs, "name": "mine", "state": tmp_path / "state"}
    return training.plan_for(recipe, **(settings | values))


@pytest.mark.parametrize("recipe", ["photo", "denoise", "dropout", "vae"])
def test_every_recipe_learns_from_a_folder_of_any_pictures(recipe: str, photographs: Path, tmp_path: Path):
    described = training.train(plan(recipe, photographs, tmp_path), tmp_path / "mine")
    assert described.training["steps"] == 6
    assert checkpoints.load(tmp_path / "mine").network.needs.channels == 3


@pytest.mark.parametrize("recipe", ["vae", "dropout", "photo"])
def test_a_resumed_run_is_the_run_that_was_not_interrupted(recipe: str, photographs: Path, tmp_path: Path):
    whole = plan(recipe, photographs, tmp_path)
    training.train(whole, tmp_path / "whole")

    first = replace(whole, state=tmp_path / "cut")
    half = Trainer(first, data.load(photographs))
    for _ in range(3):
        half.step()
    half.save()
    training.train(first, tmp_path / "resumed")

    weights = [checkpoints.load(tmp_path / name).network.state_dict() for name in ("whole", "resumed")]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_how_a_picture_is_spoilt_has_nothing_to_do_with_which_it_is(tmp_path: Path):
    dark, bright = np.zeros((8, 8), np.uint8), np.full((8, 8), 200, np.uint8)
    np.savez(tmp_path / "set.npz", train_images=np.stack([dark, bright] * 50))
    asked = plan("denoise", tmp_path / "set.npz", tmp_path, size=None, batch=64)
    trainer = Trainer(asked, data.load(tmp_path / "set.npz"))
    kinds = set()
    for trainer.progress.step in range(3):
        clean, generator = trainer.drawn()
        noisy = trainer.recipe.corruption(clean, generator)
        kinds |= {(bool(c.max() > 0), bool(level > 0)) for c, level in zip(clean, noisy.level, strict=True)}
    assert len(kinds) == 4


def test_grey_photographs_are_learned_as_grey(tmp_path: Path):
    np.savez(tmp_path / "set.npz", train_images=np.zeros((3, 32, 32), np.uint8))
    training.train(plan("photo", tmp_path / "set.npz", tmp_path), tmp_path / "mine")
    assert checkpoints.load(tmp_path / "mine").network.needs.channels == 1


def test_a_signal_saves_the_state_and_the_run_goes_on_from_there(photographs: Path, tmp_path: Path, monkeypatch):
    asked = plan("vae", photographs, tmp_path)
    step = Trainer.step

    def interrupted(self: Trainer) -> Any:
        if self.progress.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self)

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(Stopped, match="step 3"):
        training.train(asked, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    monkeypatch.setattr(Trainer, "step", step)
    assert training.train(asked, tmp_path / "mine").training["steps"] == 6


def test_training_makes_the_loss_smaller(photographs: Path, tmp_path: Path):
    trainer = Trainer(plan("denoise", photographs, tmp_path, steps=60, batch=8, rate=3e-3), data.load(photographs))
    losses = [float(trainer.step()["distortion"].detach()) for _ in range(60)]
    assert sum(losses[-10:]) < 0.95 * sum(losses[:10])


def test_a_limit_in_minutes_ends_the_run(photographs: Path, tmp_path: Path):
    described = training.train(plan("vae", photographs, tmp_path, steps=None, minutes=0.02), tmp_path / "mine")
    assert described.training["steps"] > 0
    assert described.training["minutes"] < 1


def test_a_step_that_is_not_finite_is_skipped_and_counted(photographs: Path, tmp_path: Path, monkeypatch):
    trainer = Trainer(plan("vae", photographs, tmp_path), data.load(photographs))
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    real = trainer.parts
    monkeypatch.setattr(trainer, "parts", lambda *args: {n: part * float("nan") for n, part in real(*args).items()})
    trainer.step()
    assert trainer.progress.skipped == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.network.state_dict().items())


def test_the_rate_warms_up_and_falls_to_nothing(photographs: Path, tmp_path: Path):
    trainer = Trainer(plan("vae", photographs, tmp_path, steps=1000), data.load(photographs))
    rates = []
    for trainer.progress.step in (0, 499, 999):
        trainer.set_rate()
        rates.append(trainer.optimiser.param_groups[0]["lr"])
    assert rates[0] < rates[1] / 100
    assert rates[2] < rates[1] / 100


def test_averaged_weights_lie_between_the_first_and_the_last(photographs: Path, tmp_path: Path):
    trainer = Trainer(plan("vae", photographs, tmp_path), data.load(photographs))
    first = trainer.network.encoder.linear.bias.detach().clone()
    for _ in range(5):
        trainer.step()
    moved = (trainer.network.encoder.linear.bias - first).abs().mean()
    lagging = (trainer.averaged.module.encoder.linear.bias - first).abs().mean()
    assert 0 < float(lagging.detach()) < float(moved.detach())


def test_a_run_can_begin_with_shipped_weights(photographs: Path, tmp_path: Path):
    training.train(plan("vae", photographs, tmp_path), tmp_path / "first")
    again = plan("vae", photographs, tmp_path, start_from=tmp_path / "first", state=tmp_path / "again")
    trainer = Trainer(again, data.load(photographs))
    expected = checkpoints.load(tmp_path / "first").network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in trainer.network.state_dict().items())


def test_the_state_of_another_network_is_refused(photographs: Path, tmp_path: Path):
    training.train(plan("vae", photographs, tmp_path), tmp_path / "mine")
    with pytest.raises(ValueError, match="another network"):
        training.train(plan("vae", photographs, tmp_path, config={"widths": [8, 8]}), tmp_path / "mine")


def test_the_log_has_what_was_held_out(photographs: Path, tmp_path: Path):
    training.train(plan("vae", photographs, tmp_path), tmp_path / "mine")
    last = json.loads((tmp_path / "state" / "log.jsonl").read_text().splitlines()[-1])
    assert {"step", "held_out_rate", "held_out_distortion"} <= set(last)


def test_small_pictures_of_one_size_are_learned_as_they_are(tmp_path: Path):
    from models.data import Pictures
    from models.recipes import RECIPES

    pictures = Pictures([torch.zeros(1, 30, 20, dtype=torch.uint8)] * 2, [torch.zeros(1, 30, 20, dtype=torch.uint8)])
    view = training.view_of(RECIPES["vae"], pictures, 0)
    assert training.settings_for(RECIPES["vae"], view)["height"] == 30
