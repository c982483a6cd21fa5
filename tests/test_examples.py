"""What the documents show to be copied does what they say."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SAMPLES, TINY, scene, stocked
from PIL import Image
from serving import Server, started

from models.colorizer import ColorizerConfig

ROOT = SAMPLES.parent
BLOCK = re.compile(r"^```(bash|python|javascript)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = BLOCK.findall((ROOT / "docs" / "client.md").read_text())
WRITTEN = re.compile(r"\b\w+\.(?:png|jpg|webp|json)\b(?!\()")
SHELF = {
    "photo": TINY["tiny-photo"],
    "digits-vae": TINY["tiny-vae"],
    "colorize": ("colorize", ColorizerConfig(side=32, widths=(4, 8), bins=5)),
}
"""Small models by the names that are asked for unless another is."""
RUNS = {
    "bash": ["bash", "-e", "-c"],
    "python": [sys.executable, "-c"],
    "javascript": ["node", "--input-type=module", "-e"],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, graphs: Path) -> Iterator[Server]:
    shelf = stocked(tmp_path_factory.mktemp("shelf"), SHELF)
    with started(shelf, DENOIR_CACHE=str(graphs), DENOIR_METRICS_PORT="0", DENOIR_DEVICE="cpu") as server:
        yield server


def test_there_are_examples_in_each_language():
    assert {language for language, _ in EXAMPLES} == set(RUNS)


@pytest.mark.parametrize(("language", "example"), EXAMPLES)
def test_an_example_does_what_it_says(server: Server, tmp_path: Path, language: str, example: str):
    needed = "curl" if language == "bash" else RUNS[language][0]
    if shutil.which(needed) is None:
        pytest.skip(f"there is no {needed} here to run it")
    Image.fromarray(scene(70, 90, 0)).save(tmp_path / "noisy.jpg")
    code = example.replace("http://localhost:8000", server.url)
    assert server.url in code
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*RUNS[language], code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in set(WRITTEN.findall(example)):
        assert (tmp_path / name).stat().st_size > 0
        if not name.endswith(".json"):
            with Image.open(tmp_path / name) as picture:
                assert picture.format == Image.registered_extensions()[Path(name).suffix]
    if "progress" in example:
        assert "1 of 1 tiles" in done.stdout
        assert "photo@1 15" in done.stdout
