"""The list of models."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from conftest import SHIPPED_PHOTO

from models.cli import main
from models.cli.shelf import aligned


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


def test_a_network_that_can_not_be_is_told_by_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture):
    config = {"name": "odd", "version": "1", "recipe": "photo", "architecture": "unet", "asks": ["denoise"]}
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text(json.dumps(config | {"config": {"wings": 2}}))
    assert main(["--shelf", str(tmp_path), "models"]) == 1
    assert "odd: there is no such network: " in capsys.readouterr().err


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
