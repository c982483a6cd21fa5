"""The verbs that only `denoir` has."""

import logging
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from serving import BARE

from service import cli

LOADED = {
    "bash": ["bash", "-c", 'eval "$(cat)"; complete -p denoir'],
    "zsh": ["zsh", "-f", "-c", 'autoload -U compinit; compinit -u -D; eval "$(cat)"; print denoir: $_comps[denoir]'],
    "fish": ["fish", "--no-config", "-c", 'source -; complete -C "denoir denoi"'],
}
"""What takes a script as the help says to, and tells what will complete the command: in fish, what it completes."""
COMPLETES = {"bash": "-F _shtab_denoir denoir", "zsh": "denoir: _shtab_denoir", "fish": "denoise\tTake the noise out"}


def printed(shell: str, capsys: pytest.CaptureFixture) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(["completion", shell])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", sorted(LOADED))
def test_a_shell_takes_the_script_made_for_it(shell: str, capsys: pytest.CaptureFixture):
    script = printed(shell, capsys)
    assert "denoise" in script
    assert "strength" in script
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here to take it")
    told = subprocess.run(LOADED[shell], input=script, text=True, check=True, capture_output=True)
    assert COMPLETES[shell] in told.stdout
    assert told.stderr == ""


def completed(script: str, *words: str) -> set[str]:
    """What bash offers for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    asks = (
        f'{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _shtab_denoir denoir; echo "${{COMPREPLY[@]}}"'
    )
    found = subprocess.run(["bash", "-c", asks], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_bash_completes_verbs_flags_choices_and_files(capsys: pytest.CaptureFixture, tmp_path, monkeypatch):
    script = printed("bash", capsys)
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert completed(script, "denoir", "de") == {"denoise", "decode"}
    assert completed(script, "denoir", "den") == {"denoise"}
    assert completed(script, "denoir", "denoise", "--str") == {"--strength"}
    assert completed(script, "denoir", "denoise", "--format", "p") == {"png"}
    assert completed(script, "denoir", "denoise", "ph") == {"photos"}


def test_bash_completes_the_models_that_can_do_what_is_asked(
    shelf: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DENOIR_MODELS", str(shelf))
    script = printed("bash", capsys)
    assert completed(script, "denoir", "denoise", "--model", "tiny") == {"tiny-photo", "tiny-denoise"}
    assert completed(script, "denoir", "sample", "--model", "") >= {"tiny-vae", "digits-vae", "digits-dropout"}
    assert completed(script, "denoir", "evaluate", "tiny") == {"tiny-photo", "tiny-denoise", "tiny-vae"}
    assert completed(script, "denoir", "train", "--start-from", "tiny-v") == {"tiny-vae"}
    assert completed(script, "denoir", "serve", "--device", "") == {"auto", "cpu", "cuda"}


def spoken(shelf: Path, *flags: str, ready: str) -> list[str]:
    """What `denoir serve` says at a terminal until it has been ready and has ended."""
    ours, its = pty.openpty()
    command = [sys.executable, "-c", BARE, "--shelf", str(shelf), "serve", *flags]
    process = subprocess.Popen(command, env=os.environ | {"DENOIR_METRICS_PORT": "0"}, stderr=its)
    os.close(its)
    told = b""
    try:
        with suppress(OSError):  # the terminal's other end is closed
            while more := os.read(ours, 4096):
                told += more
                if ready.encode() in told:
                    process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return told.decode().splitlines()


def test_a_terminal_is_greeted_in_a_few_plain_lines(shelf: Path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    loading, loaded, place = spoken(shelf, "--port", str(port), ready="/docs")
    assert re.fullmatch(r"denoir [\d.]+: loading \d+ models; .*", loading)
    assert loaded == "on cpu, of 3 models loaded: tiny-denoise@1, tiny-photo@1, tiny-vae@1"
    assert place.count(f"http://127.0.0.1:{port}/") == 2


def test_a_port_that_the_system_chose_is_told_a_terminal(shelf: Path):
    lines = spoken(shelf, "--port", "0", ready="/docs")
    assert re.search(r"the page is at http://127\.0\.0\.1:[1-9]", lines[-1])


def test_a_port_that_is_taken_ends_it_before_anything_is_loaded(shelf: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-c", BARE, "--shelf", str(shelf), "serve", "--port", port]
        ended = subprocess.run(command, env=os.environ | {"DENOIR_METRICS_PORT": "0"}, capture_output=True, text=True)
    assert ended.returncode == 3
    assert "in use" in ended.stderr
    assert "loaded" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "level", "message", "fields", "shown"),
    [
        ("denoir", logging.INFO, "a line", {}, "a line\n"),
        ("denoir", logging.WARNING, "\x1b[2J\n", {}, "\\x1b[2J\\n\n"),
        ("denoir", logging.INFO, "request", {"fields": {"path": "/"}}, None),
        ("denoir", logging.ERROR, "failed", {"exc_info": (ValueError, ValueError("x"), None)}, None),
        ("uvicorn.error", logging.INFO, "Uvicorn running on http://x:1", {}, ""),
        ("uvicorn.error", logging.ERROR, "address already in use", {}, "address already in use\n"),
    ],
)
def test_what_is_said_plainly_is_no_line_of_json_as_well(
    name: str, level: int, message: str, fields: dict, shown: str | None, capsys: pytest.CaptureFixture
):
    record = logging.makeLogRecord({"name": name, "levelno": level, "msg": message, **fields})
    assert cli.plainly(record) == (shown is None)
    assert capsys.readouterr().err == (shown or "")


@pytest.mark.parametrize("words", [["--port", "-1"], ["--workers", "0"], ["--device", "gpu"], ["--devices", "cpu,gpu"]])
def test_what_can_not_be_served_ends_with_two(words: list[str], capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", *words])
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_without_shtab_it_is_told_what_is_needed(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as ended:
        cli.main(["completion", "bash"])
    assert ended.value.code == 1
    assert "denoir[completion]" in capsys.readouterr().err
