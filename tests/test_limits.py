"""What docs/limits.md promises is held by tests that are there, and set by settings that have those defaults."""

import re
from pathlib import Path

import pytest

from service.settings import Settings

ROOT = Path(__file__).parent.parent
LINES = re.findall(r"^\| (\d+) \|.*$", (ROOT / "docs" / "limits.md").read_text(), re.MULTILINE)
TOLD = (ROOT / "docs" / "limits.md").read_text()


def test_there_is_a_line_for_each():
    assert [int(number) for number in LINES] == list(range(1, 40))


def test_every_line_names_a_test_and_every_test_that_is_named_is_there():
    there = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert set(re.findall(r"`(test_\w+)`", TOLD)) <= there
    assert [line for line in TOLD.splitlines() if re.match(r"\| \d+ \|", line) and "`test_" not in line] == []


@pytest.mark.parametrize(("name", "default"), re.findall(r"`DENOIR_(\w+)` \((.*?\)?)\)(?=[, ])", TOLD))
def test_every_setting_has_the_default_that_is_told(name: str, default: str):
    field = Settings.model_fields[name.lower()]
    if default != "on the machine":
        assert str(field.get_default()) == default
