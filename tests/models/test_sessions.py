import errno
import os
from pathlib import Path

import pytest

from models import checkpoints, cli, compiled, sessions, winograd


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file can be put into any folder; root may write anywhere, and so it is only said."""

    def refused(folder: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    monkeypatch.setattr(checkpoints, "check_writable", refused)


def test_no_process_draws_graphs_that_can_not_be_kept(
    unwritable: None, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(winograd, "gains", lambda: False)
    monkeypatch.setattr(compiled, "available", lambda: True)
    started: list[object] = []
    monkeypatch.setattr(sessions, "ProcessPoolExecutor", lambda *words: started.append(words))
    sessions.draw_apart(shelf / "tiny-photo", ("denoise",), tmp_path)
    assert started == []


def test_a_cache_that_keeps_nothing_is_told_by_prepare(unwritable: None, shelf: Path, tmp_path: Path, capsys):
    commands = cli.parser("denoir", shelf, tmp_path)
    assert cli.run(commands, ["prepare", "--device", "cpu"]) == 1
    assert str(tmp_path) in capsys.readouterr().err
