from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import checkpoints
from models.checkpoints import Model
from models.evaluation import evidence as module
from models.evaluation.evidence import evidence
from models.evaluation.protocol import Trial
from models.likelihood import Bound, bound
from models.sessions import Session


@pytest.fixture
def model(shelf: Path) -> Model:
    return checkpoints.load(shelf / "tiny-vae")


def measured(model: Model, folder: Path, samples: int = 20) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    targets = (torch.rand(5, 1, 12, 10, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    session = Session(model.network, torch.device("cpu"))
    return evidence(model, session, targets, Trial([], Path("set"), folder, samples=samples))


def test_the_bound_is_told_by_samples_and_the_last_is_the_figure(model: Model, tmp_path: Path):
    table, figures = measured(model, tmp_path)
    assert [row["samples"] for row in table] == ["1", "10", "20"]
    nats = [row["-log p(x), at most"] for row in table]
    assert nats[0] > nats[1] > nats[2] == figures["nll"]
    assert figures["bits_per_value"] == pytest.approx(figures["nll"] / np.log(2) / 120)
    assert (figures["samples"], figures["seed"]) == (20, 0)
    assert 1 <= figures["effective_samples"] <= 20


def test_interrupted_it_goes_on_where_it_was(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = measured(model, tmp_path)
    asked: list[int] = []

    def until_the_third(network: Any, x: torch.Tensor, samples: int, seed: int, number: int) -> Bound:
        if number == 3 and 3 not in asked:
            asked.append(number)
            raise KeyboardInterrupt
        asked.append(number)
        return bound(network, x, samples, seed, number)

    monkeypatch.setattr(module, "bound", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        measured(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".likelihood-set.npz"]
    assert measured(model, tmp_path) == whole
    assert asked == [0, 1, 2, 3, 3, 4]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["samples", "weights", "half a file"])
def test_what_is_kept_of_another_run_is_not_taken(
    change: str, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module.Kept, "forget", lambda kept: None)
    measured(model, tmp_path)
    kept = tmp_path / ".likelihood-set.npz"
    if change == "half a file":
        kept.write_bytes(kept.read_bytes()[:100])
    other = replace(model.description, sha256="another") if change == "weights" else model.description
    asked: list[int] = []
    monkeypatch.setattr(module, "bound", lambda *told: asked.append(told[-1]) or bound(*told))
    measured(replace(model, description=other), tmp_path, samples=10 if change == "samples" else 20)
    assert asked == [0, 1, 2, 3, 4]
