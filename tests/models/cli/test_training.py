"""Training by verb: what lands on the shelf, under which name."""

import json
from pathlib import Path
from shutil import copy, copytree

import pytest
from verbs import run

from models import checkpoints, images
from models.training.state import held


def test_train_then_sample(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    shelf = tmp_path / "shelf"
    train = ["train", "vae", "--data", photographs, "--name", "mine", "--steps", 3, "--batch", 2, "--size", 12]
    train += ["--set", "widths=[4, 8]", "--set", "latent=3", "--compile", "off", "--quiet"]
    assert run(shelf, *train) == 0
    assert "mine@1" in capsys.readouterr().out
    assert run(shelf, *train) == 0
    assert not list((shelf / ".training").iterdir())
    capsys.readouterr()
    assert run(shelf, "models", "--json") == 0
    assert {"mine@1", "mine@2"} <= {row["title"] for row in json.loads(capsys.readouterr().out)}
    assert run(shelf, "sample", tmp_path / "grid.png", "--model", "mine", "-n", 4) == 0
    assert images.inspect((tmp_path / "grid.png").read_bytes()).width == 30


def test_the_objective_is_told_on_the_command_line(photographs: Path, tmp_path: Path, capsys):
    train = ["train", "vae", "--data", photographs, "--name", "mine", "--steps", 1, "--batch", 2, "--size", 12]
    train += ["--set", "widths=[4]", "--compile", "off", "--quiet", "--objective", "beta=0.5"]
    assert run(tmp_path, *train) == 0
    assert "beta=0.5" in checkpoints.load(tmp_path / "mine").description.training["objective"]
    assert run(tmp_path, *train, "--objective", "gamma=1") == 1
    assert "no setting 'gamma'; it has: beta, " in capsys.readouterr().err


def test_training_takes_no_other_checkpoints_place(shelf: Path, photographs: Path, tmp_path: Path, capsys):
    mine = copytree(shelf / "tiny-vae", tmp_path / "cats")  # renamed, or from a colleague
    before = (mine / "model.safetensors").read_bytes()
    train = ["train", "vae", "--data", photographs, "--name", "cats", "--steps", 1, "--batch", 2, "--size", 12]
    assert run(tmp_path, *train) == 1
    assert "holds another checkpoint" in capsys.readouterr().err
    assert (mine / "model.safetensors").read_bytes() == before


def test_a_second_training_of_a_name_is_told_of_the_first(photographs: Path, tmp_path: Path, capsys):
    with held(tmp_path / ".training" / "mine@1"):
        assert run(tmp_path, "train", "vae", "--data", photographs, "--name", "mine") == 1
    assert "another training has its state in" in capsys.readouterr().err


def test_what_can_not_be_read_on_the_shelf_keeps_no_training_from_being(photographs: Path, tmp_path: Path, capsys):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "config.json").write_text('{"hello": 1}')
    train = ["train", "vae", "--data", photographs, "--name", "mine", "--steps", 1, "--batch", 2, "--size", 12]
    assert run(tmp_path, *train, "--set", "widths=[4]", "--compile", "off", "--quiet") == 0
    assert run(tmp_path, "evaluate", "mine", "--data", photographs, "--limit", 2) == 0
    assert f"left out of {tmp_path}: scratch: " in capsys.readouterr().err


def test_scenes_are_learned_from_on_the_command_line(photographs: Path, tmp_path: Path, capsys):
    bench = tmp_path / "scenes" / "bench"
    bench.mkdir(parents=True)
    for name in ("first.png", "second.png"):
        copy(photographs / "a.png", bench / name)
    train = ["train", "photo", "--data", photographs, "--name", "mine", "--steps", 1, "--batch", 2, "--size", 16]
    train += ["--set", "widths=[4, 8]", "--compile", "off", "--quiet", "--scenes", bench.parent]
    assert run(tmp_path, *train, "--scenes-share", "0.25") == 0
    assert checkpoints.load(tmp_path / "mine").description.training["scenes"] == "scenes, 0.25 of a batch"
    (bench / "second.png").unlink()
    assert run(tmp_path, *train) == 1
    assert "the scene bench has a single shot" in capsys.readouterr().err
