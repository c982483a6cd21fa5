import json
import os
import signal
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import write_shots
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors

from models import checkpoints, data, training
from models.data import DataError
from models.training import Plan, Stopped, Trainer
from models.training import plan as plans
from models.training import trainer as steps


def plan(recipe: str, photographs: Path, tmp_path: Path, **values: Any) -> Plan:
    config = {"widths": [4, 8]} | ({"blocks": 1} if recipe.startswith("photo") else {})
    settings = {"steps": 6, "batch": 2, "size": 16, "config": config, "compile": "off", "quiet": True}
    settings |= {"data": photographs, "name": "mine", "state": tmp_path / "state"}
    return training.plan_for(recipe, **(settings | values))


@pytest.mark.parametrize("recipe", ["photo", "denoise", "dropout", "sparse", "colorize", "vae"])
def test_every_recipe_learns_from_a_folder_of_any_pictures(recipe: str, photographs: Path, tmp_path: Path):
    described = training.train(plan(recipe, photographs, tmp_path), tmp_path / "mine")
    assert described.training["steps"] == 6
    assert checkpoints.load(tmp_path / "mine").network.needs.channels == 3


@pytest.mark.parametrize("recipe", ["vae", "dropout", "sparse", "colorize", "photo"])
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


def two_shots(folder: Path) -> Path:
    """A scene of which they are."""
    seeds = (np.random.default_rng(number) for number in range(2))
    write_shots(folder / "bench", (seed.integers(90, 110, (32, 32, 3), np.uint8) for seed in seeds))
    return folder


def test_shots_of_scenes_are_learned_from_and_resumed_with(photographs: Path, tmp_path: Path):
    asked = plan("photo", photographs, tmp_path, scenes=two_shots(tmp_path / "shots"), scenes_share=1.0)
    trainer = Trainer(asked, data.load(photographs))
    spoilt = trainer.spoilt(*trainer.drawn())
    assert float(spoilt.pixels.min()) >= 90 / 255
    assert float(spoilt.pixels.max()) < 110 / 255
    trainer.step()
    trainer.save()
    with pytest.raises(ValueError, match="another run: scenes was"):
        training.train(replace(asked, scenes_share=0.5), tmp_path / "mine")
    assert training.train(asked, tmp_path / "mine").training["scenes"] == "shots, 1 of a batch"


def test_what_learns_from_no_scenes_says_so(photographs: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="vae can't learn from scenes; those that can: photo, photo-real"):
        Trainer(plan("vae", photographs, tmp_path, scenes=two_shots(tmp_path / "shots")), data.load(photographs))


def test_half_stores_in_8_bits_what_a_cpu_computes_with_in_8(photographs: Path, tmp_path: Path):
    training.train(plan("photo", photographs, tmp_path, half=True), tmp_path / "mine")
    network = checkpoints.load(tmp_path / "mine").network
    stored = load_file(tmp_path / "mine" / checkpoints.WEIGHTS)
    eight = {name for name, tensor in stored.items() if tensor.dtype == torch.int8}
    assert eight == {f"{name}.weight" for name, _ in network.needs.eight_bits}


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


def test_units_that_fell_silent_are_given_new_weights_until_half_of_the_run_is_done(photographs: Path, tmp_path: Path):
    training.train(plan("photo", photographs, tmp_path), tmp_path / "mine")
    model = checkpoints.load(tmp_path / "mine")
    weights = model.network.state_dict()
    weights["middle.0.first.bias"][:5] = -100.0
    checkpoints.save(tmp_path / "silent", model.description, weights)
    start = plan("photo", photographs, tmp_path, start_from=tmp_path / "silent", state=tmp_path / "second")
    trainer = Trainer(start, data.load(photographs))
    trainer.progress.step = 3
    trainer.recycle()
    trainer.plan = replace(start, schedule=replace(start.schedule, recycle=1))
    trainer.recycle()
    assert trainer.progress.recycled == 0
    assert training.train(start, tmp_path / "again").training["recycled_units"] == 5


def test_how_far_values_reach_is_measured_at_the_end(photographs: Path, tmp_path: Path):
    training.train(plan("photo", photographs, tmp_path), tmp_path / "mine")
    network = checkpoints.load(tmp_path / "mine").network
    assert [name for name, reach in network.needs.eight_bits if reach > 0] == network.roundable


def test_how_far_it_sees_is_measured_at_the_end(photographs: Path, tmp_path: Path):
    training.train(plan("photo", photographs, tmp_path, rate=0.1), tmp_path / "mine")
    needs = checkpoints.load(tmp_path / "mine").network.needs
    assert 0 < needs.halos[0][1] <= needs.halos[-1][1] <= needs.halo <= 24


@pytest.mark.parametrize("config", [{"halo": 32}, {"widths": [4, 8, 16], "blocks": 2}])
def test_how_far_it_sees_is_as_told_or_all_that_it_can(config: dict[str, Any], photographs: Path, tmp_path: Path):
    """Where no picture is large enough to be measured on."""
    training.train(plan("photo", photographs, tmp_path, config={"widths": [4, 8], **config}), tmp_path / "mine")
    needs = checkpoints.load(tmp_path / "mine").network.needs
    assert (needs.halo, needs.halos) == (config.get("halo", 96), ())


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


def test_a_step_that_is_skipped_leaves_no_trace_in_running_means_and_prices(
    photographs: Path, tmp_path: Path, monkeypatch
):
    trainer = Trainer(plan("sparse", photographs, tmp_path), data.load(photographs))
    trainer.step()
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    real = trainer.parts
    monkeypatch.setattr(trainer, "parts", lambda *args: {n: part * float("nan") for n, part in real(*args).items()})
    trainer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.network.state_dict().items())


def test_the_price_of_a_sparse_code_moves_and_holds_the_target(tmp_path: Path):
    pictures = tmp_path / "set.npz"
    np.savez(pictures, train_images=np.random.default_rng(0).integers(0, 256, (80, 8, 8), np.uint8))
    asked = plan("sparse", pictures, tmp_path, size=None, steps=80, batch=64, rate=3e-3)
    trainer = Trainer(asked, data.load(pictures))
    first = float(trainer.network.price)
    for _ in range(80):
        parts = trainer.step()
    assert set(parts) == {"distortion", "sparsity"}
    assert float(trainer.network.price) != first
    code = trainer.network.code(trainer.drawn()[0])
    assert 0.7 < float((code == 0).float().mean()) < 0.9


def test_a_mixture_is_fitted_to_the_codes_when_training_ends(photographs: Path, tmp_path: Path):
    described = training.train(plan("dropout", photographs, tmp_path), tmp_path / "mine")
    assert described.asks == ("sample", "reconstruct", "encode", "decode")
    prior = checkpoints.load(tmp_path / "mine").network.prior
    assert prior.means.shape == (10, 128)
    assert prior.weights.sum() == pytest.approx(1, abs=1e-4)
    without = plan("dropout", photographs, tmp_path, state=tmp_path / "other", config={"widths": [4, 8], "mixture": 0})
    assert "sample" not in training.train(without, tmp_path / "without").asks
    assert checkpoints.load(tmp_path / "without").network.prior is None


def test_the_objective_can_be_told_and_is_noted(photographs: Path, tmp_path: Path):
    asked = plan("vae", photographs, tmp_path, aims={"beta": 4, "free_bits": 0.5})
    trainer = Trainer(asked, data.load(photographs))
    assert (trainer.objective.beta, trainer.objective.free_bits) == (4, 0.5)
    assert "beta=4" in training.train(asked, tmp_path / "mine").training["objective"]
    with pytest.raises(ValueError, match=r"objective was .*beta=4, free_bits=0\.5.* and is .*beta=1\.0"):
        training.train(replace(asked, aims={}), tmp_path / "mine")


@pytest.mark.parametrize(("recipe", "setting"), [("vae", "hidden"), ("photo", "reaches")])
def test_a_state_from_before_a_setting_was_there_is_gone_on_with(
    recipe: str, setting: str, photographs: Path, tmp_path: Path, monkeypatch
):
    trainer = Trainer(plan(recipe, photographs, tmp_path), data.load(photographs))
    monkeypatch.setattr(steps, "asdict", lambda one: {k: v for k, v in asdict(one).items() if k != setting})
    trainer.save()
    monkeypatch.undo()
    assert Trainer(plan(recipe, photographs, tmp_path), data.load(photographs)).resume()


def test_the_rate_warms_up_and_falls_to_nothing(photographs: Path, tmp_path: Path):
    trainer = Trainer(plan("vae", photographs, tmp_path, steps=1000), data.load(photographs))
    rates = []
    for trainer.progress.step in (0, 499, 999):
        trainer.set_rate()
        rates.append(trainer.optimisers[0].param_groups[0]["lr"])
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
    with pytest.raises(ValueError, match=r"widths was \[4, 8\] and is \[8, 8\].*name another --state"):
        training.train(plan("vae", photographs, tmp_path, config={"widths": [8, 8]}), tmp_path / "mine")


@pytest.mark.parametrize(
    ("recipe", "change", "said"),
    [
        ("photo", {"seed": 1}, "seed was 0 and is 1"),
        ("photo", {"batch": 3}, "batch was 2 and is 3"),
        ("photo", {"rate": 1e-5}, "rate was 0.001 and is 1e-05"),
        ("photo", {"size": 24}, "size was 16 and is 24"),
        ("photo", {"aims": {"distance": "l1"}}, "distance='relative'.* and is .*distance='l1'"),
        ("dropout", {}, 'recipe was "photo" and is "dropout"'),
    ],
)
def test_the_state_of_another_run_is_refused(recipe: str, change: dict, said: str, photographs: Path, tmp_path: Path):
    Trainer(plan("photo", photographs, tmp_path), data.load(photographs)).save()
    with pytest.raises(ValueError, match=said):
        training.train(plan(recipe, photographs, tmp_path, **change), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_state_from_before_muon_is_refused(photographs: Path, tmp_path: Path):
    now = plan("photo", photographs, tmp_path)
    Trainer(replace(now, schedule=replace(now.schedule, muon=False)), data.load(photographs)).save()
    with pytest.raises(ValueError, match="muon was null and is true"):
        training.train(now, tmp_path / "mine")


def test_the_state_of_a_run_on_other_pictures_is_refused(photographs: Path, tmp_path: Path):
    Trainer(plan("photo", photographs, tmp_path), data.load(photographs)).save()
    (photographs / "a.png").unlink()
    with pytest.raises(ValueError, match=r'pictures was "2 \+ 1 \(\w+\)" and is "1 \+ 1'):
        training.train(plan("photo", photographs, tmp_path), tmp_path / "mine")


def test_the_state_of_a_run_that_began_elsewhere_is_refused(photographs: Path, tmp_path: Path):
    training.train(plan("photo", photographs, tmp_path, state=tmp_path / "first"), tmp_path / "mine")
    Trainer(plan("photo", photographs, tmp_path), data.load(photographs)).save()
    with pytest.raises(ValueError, match=r'start_from was null and is "mine@1'):
        training.train(plan("photo", photographs, tmp_path, start_from=tmp_path / "mine"), tmp_path / "other")


def test_limits_may_change_on_the_way(photographs: Path, tmp_path: Path):
    training.train(plan("photo", photographs, tmp_path, steps=2), tmp_path / "mine")
    assert training.train(plan("photo", photographs, tmp_path, steps=4), tmp_path / "mine").training["steps"] == 4


def test_a_state_that_does_not_say_its_run_is_gone_on_with(photographs: Path, tmp_path: Path):
    trainer = Trainer(plan("photo", photographs, tmp_path), data.load(photographs))
    trainer.step()
    path = trainer.plan.state / "state.safetensors"
    path.parent.mkdir()
    told = {"progress": json.dumps(asdict(trainer.progress)), "config": json.dumps(asdict(trainer.config))}
    path.write_bytes(save_tensors({name: t.contiguous() for name, t in trainer.tensors().items()}, told))
    again = Trainer(plan("photo", photographs, tmp_path), data.load(photographs))
    assert again.resume()
    assert again.progress.step == 1
    with pytest.raises(ValueError, match="widths"):
        Trainer(plan("photo", photographs, tmp_path, config={"widths": [8]}), data.load(photographs)).resume()


@pytest.mark.parametrize("broken", [b"", b"no state", save_tensors({"a": torch.zeros(1)})])
def test_a_state_that_is_none_is_named(broken: bytes, photographs: Path, tmp_path: Path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.safetensors").write_bytes(broken)
    with pytest.raises(ValueError, match=r"state\.safetensors .*name another --state"):
        training.train(plan("photo", photographs, tmp_path), tmp_path / "mine")


def test_the_last_step_is_saved_before_what_is_held_out_is_looked_at(photographs: Path, tmp_path: Path, monkeypatch):
    def failing(self: Trainer) -> Any:
        raise MemoryError

    monkeypatch.setattr(Trainer, "validate", failing)
    with pytest.raises(MemoryError):
        training.train(plan("photo", photographs, tmp_path), tmp_path / "mine")
    told, _ = training.read_state(tmp_path / "state" / "state.safetensors")
    assert told["progress"]["step"] == 6


@pytest.mark.parametrize("name", ["state", "shelf"])
def test_what_can_not_be_written_is_told_before_the_first_step(
    name: str, photographs: Path, tmp_path: Path, monkeypatch
):
    (tmp_path / name).write_bytes(b"a file, and no folder")
    monkeypatch.setattr(Trainer, "step", lambda self: pytest.fail("a step was made"))
    with pytest.raises(OSError, match=name):
        training.train(plan("photo", photographs, tmp_path), tmp_path / "shelf" / "mine")


def test_pictures_too_small_for_a_crop_do_not_stop_a_run(photographs: Path, tmp_path: Path, capsys):
    described = training.train(plan("photo", photographs, tmp_path, size=36), tmp_path / "mine")
    assert described.training["steps"] == 6
    assert "left out 2 pictures" in capsys.readouterr().out


def test_a_folder_of_pictures_too_small_is_told_before_the_first_step(photographs: Path, tmp_path: Path):
    with pytest.raises(DataError, match="48 px"):
        Trainer(plan("photo", photographs, tmp_path, size=64), data.load(photographs))


@pytest.mark.parametrize(
    ("recipe", "change", "said"),
    [
        ("photo", {"size": 18}, "divides by 4"),
        ("photo", {"config": {"channels": 1}}, "told by the pictures"),
        ("vae", {"config": {"height": 5}}, "told by the pictures"),
        ("vae", {"config": {"likelihood": "bernoulli"}}, "told by the recipe"),
        ("vae", {"config": {"widths": 5}}, "widths can't be 5"),
        ("vae", {"aims": {"beta": -1}}, "beta can't be -1"),
        ("vae", {"aims": {"likelihood": "bernoulli"}}, "Elbo has no setting 'likelihood'"),
        ("photo", {"aims": {"beta": 1}}, "Restoration has no setting 'beta'; it has: .*distance"),
        ("dropout", {"config": {"code": 0}}, "a mixture is of codes"),
        ("sparse", {"config": {"code": 0}}, "needs a code"),
        ("colorize", {"config": {"side": 32}}, "told by --size"),
    ],
)
def test_a_plan_that_can_not_be_is_told(recipe: str, change: dict, said: str, photographs: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=said):
        Trainer(plan(recipe, photographs, tmp_path, **change), data.load(photographs))


def test_a_network_that_memory_does_not_hold_is_told(photographs: Path, tmp_path: Path, monkeypatch):
    def too_large(architecture: str, config: Any) -> Any:
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr(plans, "built", too_large)
    with pytest.raises(ValueError, match=r"a network with .* can't be made: can't allocate"):
        Trainer(plan("vae", photographs, tmp_path), data.load(photographs))


@pytest.mark.parametrize("change", [{"recipe": "vae"}, {"config": {"widths": [4, 16], "blocks": 1}}])
def test_weights_of_another_network_are_nothing_to_begin_with(change: dict, photographs: Path, tmp_path: Path):
    training.train(plan("photo", photographs, tmp_path), tmp_path / "first")
    asked = plan(**({"recipe": "photo", "photographs": photographs, "tmp_path": tmp_path} | change))
    with pytest.raises(ValueError, match="can't start from mine@1"):
        Trainer(replace(asked, start_from=tmp_path / "first"), data.load(photographs))


def test_pictures_without_colour_teach_no_colours(tmp_path: Path):
    np.savez(tmp_path / "set.npz", train_images=np.zeros((3, 32, 32), np.uint8))
    with pytest.raises(ValueError, match="these have none"):
        Trainer(plan("colorize", tmp_path / "set.npz", tmp_path), data.load(tmp_path / "set.npz"))


def test_the_highest_seed_can_be_drawn_from(photographs: Path, tmp_path: Path):
    described = training.train(plan("vae", photographs, tmp_path, steps=2, seed=2**63 - 1), tmp_path / "mine")
    assert described.training["steps"] == 2


def test_the_log_has_what_was_held_out(photographs: Path, tmp_path: Path):
    training.train(plan("vae", photographs, tmp_path), tmp_path / "mine")
    last = json.loads((tmp_path / "state" / "log.jsonl").read_text().splitlines()[-1])
    assert {"step", "held_out_rate", "held_out_distortion"} <= set(last)
    assert 0 <= last["held_out_active_units"] <= len(last["held_out_nats_by_number"])


def test_small_pictures_of_one_size_are_learned_as_they_are(tmp_path: Path):
    from models.data import Pictures
    from models.recipes import RECIPES

    pictures = Pictures([torch.zeros(1, 30, 20, dtype=torch.uint8)] * 2, [torch.zeros(1, 30, 20, dtype=torch.uint8)])
    view = training.view_of(RECIPES["vae"], pictures, 0)
    assert training.settings_for(RECIPES["vae"], view)["height"] == 30
