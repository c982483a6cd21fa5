"""Every answer is one that /openapi.json tells of. `make fuzz` goes on from here, for longer and with every check."""

from pathlib import Path

import pytest
from conftest import stocked
from serving import started

from tests.fuzz.api import DEFAULTS, found


def test_every_answer_is_declared(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = str(tmp_path_factory.mktemp("graphs"))
    with started(stocked(tmp_path, DEFAULTS), DENOIR_CACHE=cache, DENOIR_DEVICE="cpu") as server:
        told = found(
            server,
            *("--phases", "coverage,fuzzing", "--max-examples", "5", "--seed", "1", "--continue-on-failure"),
        )
    assert told.returncode == 0, told.stdout + told.stderr
