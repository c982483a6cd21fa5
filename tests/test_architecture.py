"""The tree is what the design and the README say it is."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_imports_go_one_way():
    linter = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_the_readme_has_a_line_for_every_module():
    told = set(re.findall(r"^ {2,}([a-z_]+)(?:\.py|/) ", README, re.MULTILINE))
    there = {path.stem for package in ("models", "service") for path in (ROOT / package).glob("*.py")}
    assert there - {"__init__", "__main__"} <= told


def test_only_the_settings_read_the_environment():
    reads = re.compile(r"os\.environ|getenv")
    found = [path for package in ("models", "service") for path in (ROOT / package).rglob("*.py")]
    assert [path.name for path in found if reads.search(path.read_text())] == []


def test_what_the_readme_names_is_there():
    for path in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / path).exists(), path


def test_training_needs_no_more_than_a_bare_machine_has():
    there = ["jaxtyping", "fastapi", "starlette", "pydantic", "pydantic_settings", "torchmetrics", "uvicorn"]
    code = f"""
import sys
for name in {there}: sys.modules[name] = None
from models.cli import main
import models.training
sys.exit(main(["--shelf", "/nonexistent", "models"]))
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


LEAST = {
    "pillow": "12.3",
    "python-multipart": "0.0.31",
    "starlette": "1.3.1",
    "h11": "0.16",
    "torch": "2.10",
    "fastapi": "0.109.1",
}
"""Versions below which something that hostile bytes can use is not mended."""


@pytest.mark.parametrize("name", LEAST)
def test_nothing_goes_below_the_version_that_is_safe(name: str):
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (asked,) = (one for one in map(Requirement, listed) if one.name == name)
    (floor,) = (Version(one.version) for one in asked.specifier if one.operator == ">=")
    assert floor >= Version(LEAST[name])
    assert Version(version(name)) >= floor
    for path in (ROOT / "locks").glob("*.txt"):
        for locked in re.findall(rf"^{name}==([^\s;]+)", path.read_text(), re.MULTILINE):
            assert Version(locked) >= floor, path.name
