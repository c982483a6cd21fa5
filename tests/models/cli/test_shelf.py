"""The list of models."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from conftest import SHIPPED_PHOTO, TINY, stocked

from models import cli
from models.cli import main
from models.cli.shelf import aligned
from models.sessions import Session


def listed(shelf: Path, capsys: pytest.CaptureFixture, *words: str) -> str:
    assert main(["--shelf", str(shelf), "models", *words]) == 0
    return capsys.readouterr().out


def test_models_are_listed_in_columns_without_their_places(shelf: Path, capsys: pytest.CaptureFixture):
    told = listed(shelf, capsys)
    head, *lines = told.splitlines()
    at = [head.index(word) for word in ("MODEL", "RECIPE", "PICTURES", "CAN")]
    rows = {line[: at[1]].strip(): [line[at[1] : at[2]], line[at[2] : at[3]], line[at[3] :]] for line in lines}
    assert [word.strip() for word in rows["tiny-denoise@1"]] == ["denoise", "10x12", "denoise"]
    assert [word.strip() for word in rows[SHIPPED_PHOTO]] == ["photo", "any size", "denoise"]
    assert rows["tiny-vae@1"][2].startswith("sample, reconstruct")
    assert all(line[edge - 2 : edge] == "  " for line in lines for edge in at[1:])
    assert str(shelf) not in told


def test_programs_are_told_all_of_it(shelf: Path, capsys: pytest.CaptureFixture):
    rows = {row["title"]: row for row in json.loads(listed(shelf, capsys, "--json"))}
    assert rows["tiny-denoise@1"] == {
        "title": "tiny-denoise@1",
        "name": "tiny-denoise",
        "version": "1",
        "recipe": "denoise",
        "asks": ["denoise"],
        "channels": 1,
        "size": [12, 10],
        "level": False,
        "latent": 6,
        "folder": str(shelf / "tiny-denoise"),
    }
    assert rows["tiny-vae@1"]["latent"] == 5
    assert rows[SHIPPED_PHOTO]["size"] is None


def test_the_list_fits_a_terminal(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", out := StringIO())
    monkeypatch.setattr(out, "isatty", lambda: True)
    assert main(["--shelf", str(shelf), "models"]) == 0
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_where_a_terminal_leaves_no_room_nothing_is_wrapped():
    assert list(aligned([("a" * 10, "b c"), ("a", "b")], 20)) == ["a" * 10 + "  b c", "a" + " " * 11 + "b"]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A shelf with a model that can be used, between two of which no network can be made."""
    (shelf := tmp_path / "mixed").mkdir()
    for name, config in (("odd", {"wings": 2}), ("zero", {"widths": []})):
        values = {"name": name, "version": "1", "recipe": "photo", "architecture": "unet", "asks": ["denoise"]}
        (shelf / name).mkdir()
        (shelf / name / "config.json").write_text(json.dumps(values | {"config": config}))
    return stocked(shelf, {name: TINY[name] for name in ("tiny-photo",)})


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_networks_that_can_not_be_are_named_and_keep_nothing_else_from_being(mixed: Path, capsys, words: list[str]):
    assert main(["--shelf", str(mixed), "models", *words]) == 0
    told = capsys.readouterr()
    assert "tiny-photo@1" in told.out
    assert "odd@1" not in told.out
    assert [line.partition("; it may")[0] for line in told.err.splitlines()] == [
        f"left out of {mixed}: odd: there is no such network: unet: got an unexpected keyword argument 'wings'",
        f"left out of {mixed}: zero: there is no such network: unet: widths can't be []",
    ]


@pytest.mark.parametrize("damaged", [False, True])
def test_what_can_not_be_prepared_is_named_and_keeps_nothing_else_from_being(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, damaged: bool
):
    """Only a model that is listed, and then can't be loaded, is one that was not done."""
    monkeypatch.setattr("models.cli.shelf.SHIPPED", tmp_path / "nothing")
    monkeypatch.setattr(Session, "prepare", lambda session, asks: None)
    if damaged:
        stocked(mixed, {"damaged": TINY["tiny-photo"]})
        (mixed / "damaged" / "model.safetensors").write_bytes(b"")
    commands = cli.parser("denoir", mixed, tmp_path / "graphs")
    assert cli.run(commands, ["prepare", "--device", "cpu"]) == int(damaged)
    told = capsys.readouterr()
    assert [line.partition(":")[0] for line in told.out.splitlines()] == ["tiny-photo@1"]
    named = ["damaged", "odd", "zero"] if damaged else ["odd", "zero"]
    assert [line.split(": ")[1] for line in told.err.splitlines()] == named


def test_what_is_no_checkpoint_is_named_and_keeps_nothing_else_from_being(shelf: Path, tmp_path: Path, capsys):
    alien = tmp_path / "shelf" / "scratch"
    alien.mkdir(parents=True)
    (alien / "config.json").write_text('{"hello": 1}')
    assert main(["--shelf", str(tmp_path / "shelf"), "models"]) == 0
    told = capsys.readouterr()
    assert "photo@" in told.out
    assert "scratch: config.json can't be read: it lacks name" in told.err


def test_who_has_read_enough_of_a_list_is_told_of_no_mistake(shelf: Path):
    ours, its = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "models", "--shelf", str(shelf), "models"]
    ended = subprocess.run(command, stdout=its, stderr=subprocess.PIPE)
    os.close(its)
    assert (ended.returncode, ended.stderr) == (1, b"")
