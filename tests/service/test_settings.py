import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings, cores_given, quota_of


def test_it_listens_on_loopback_unless_told():
    assert Settings().host == "127.0.0.1"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DENOIR_PORT", "9000")
    monkeypatch.setenv("DENOIR_MODELS", "~/shelf")
    assert Settings().port == 9000
    assert Settings().models == Path.home() / "shelf"


@pytest.mark.parametrize(("name", "value"), [("PORT", "x"), ("TILE", "7"), ("MAX_WAITING", "-1"), ("DEVICE", "tpu")])
def test_a_setting_that_can_not_be_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(f"DENOIR_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_cores_follow_the_control_group(tmp_path: Path):
    for text, cores in [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 2**16), ("", 2**16)]:
        (tmp_path / "cpu.max").write_text(text)
        assert quota_of(tmp_path / "cpu.max") == cores
    assert quota_of(tmp_path / "missing") == 2**16
    assert cores_given() >= 1


def test_settings_start_without_torch():
    code = "import sys, service.settings; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_readme_has_every_setting_and_no_other():
    table = re.findall(r"^\| (`DENOIR_.*?) \|", (Path(__file__).parents[2] / "README.md").read_text(), re.MULTILINE)
    told = set(re.findall(r"`DENOIR_(\w+)`", " ".join(table)))
    assert told == {name.upper() for name in Settings.model_fields}
