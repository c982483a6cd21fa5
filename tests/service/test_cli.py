"""The verbs that only `denoir` has."""

import shutil
import subprocess
import sys

import pytest

from service import cli

CHECKS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}
"""What reads a script without running it."""


def printed(shell: str, capsys: pytest.CaptureFixture) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(["completion", shell])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", sorted(CHECKS))
def test_a_shell_can_read_the_script_made_for_it(shell: str, capsys: pytest.CaptureFixture):
    script = printed(shell, capsys)
    assert "denoise" in script
    assert "strength" in script
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here to read it")
    subprocess.run(CHECKS[shell], input=script, text=True, check=True)


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
    assert {"denoise", "decode"} & completed(script, "denoir", "de") == {"denoise"}
    assert completed(script, "denoir", "denoise", "--str") == {"--strength"}
    assert completed(script, "denoir", "denoise", "--format", "p") == {"png"}
    assert completed(script, "denoir", "denoise", "ph") == {"photos"}


def test_without_shtab_it_is_told_what_is_needed(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as ended:
        cli.main(["completion", "bash"])
    assert ended.value.code == 1
    assert "denoir[completion]" in capsys.readouterr().err
