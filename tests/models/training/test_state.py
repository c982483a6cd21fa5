"""A state is one training's at a time, and is free again however that one ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from models import checkpoints, data, training
from models.data import DataError
from models.training import Plan
from models.training.state import LOCK, held

ROOT = Path(__file__).parents[3]
HOLDS = """
import sys
from pathlib import Path
from models.training.state import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def plan(photographs: Path, state: Path) -> Plan:
    settings = {"steps": 1, "batch": 2, "size": 12, "config": {"widths": [4]}, "compile": "off", "quiet": True}
    return training.plan_for("vae", data=photographs, name="mine", state=state, **settings)


def test_a_second_training_is_refused_before_it_reads_anything(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(data, "load", lambda *words: pytest.fail("the pictures were read"))
    with held(tmp_path / "state"), pytest.raises(ValueError, match=r"another training .*state; name another --state"):
        training.train(plan(photographs, tmp_path / "state"), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_state_is_another_trainings_when_one_has_ended(photographs: Path, tmp_path: Path):
    for name in ("first", "second"):
        training.train(plan(photographs, tmp_path / "state"), tmp_path / name)
        assert checkpoints.describe(tmp_path / name).title == "mine@1"
        with held(tmp_path / "state"), pytest.raises(ValueError, match="another training"):
            training.train(plan(photographs, tmp_path / "state"), tmp_path / "third")
    with held(tmp_path / "other"):
        training.train(plan(photographs, tmp_path / "state"), tmp_path / "third")
    assert checkpoints.describe(tmp_path / "third").title == "mine@1"


def test_of_a_training_that_was_killed_nothing_has_to_be_cleaned_up(tmp_path: Path):
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match="another training"), held(tmp_path):
            pass
        other.kill()
        other.wait()
    with held(tmp_path):
        pass


def test_where_a_disk_knows_no_locks_a_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown(file: int, how: int) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr("fcntl.flock", unknown)
    with held(tmp_path):
        assert (tmp_path / LOCK).exists()


def test_a_training_that_is_refused_leaves_nothing_behind(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("of another kind")
    for state in ("new", "mine"):
        with pytest.raises(DataError):
            training.train(plan(tmp_path / "no pictures", tmp_path / state), tmp_path / "model")
    assert not (tmp_path / "new").exists()
    assert [one.name for one in (tmp_path / "mine").iterdir()] == ["notes"]
