from pathlib import Path
from shutil import copytree

import pytest
import torch
from conftest import SAMPLES

from models import checkpoints, data, evaluation, inference
from models.catalog import SHIPPED, Catalog
from models.inference import Session


@pytest.mark.parametrize("name", ["tiny-photo", "tiny-denoise", "tiny-vae"])
def test_every_model_is_measured_and_gets_a_card(name: str, shelf: Path, photographs: Path, tmp_path: Path):
    folder = copytree(shelf / name, tmp_path / name)
    report = evaluation.evaluate(folder, photographs, device="cpu", limit=2)
    measured = checkpoints.metrics(folder)["sets"]["photographs"]
    assert measured["pictures"] == 2
    assert len(measured["table"]) == len(report.table)
    card = (folder / "README.md").read_text()
    assert name in card
    assert "denoir evaluate" in card
    assert (folder / "sheet.png").stat().st_size > 100


def test_only_what_ships_is_under_our_licence(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    assert "license" not in evaluation.card(shelf / "tiny-vae", {})
    monkeypatch.setattr(evaluation, "SHIPPED", shelf)
    assert evaluation.card(shelf / "tiny-vae", {}).startswith("---\nlicense: cc-by-sa-4.0\nlibrary_name")


def test_a_network_that_does_nothing_scores_what_the_noise_scores(shelf: Path, photographs: Path, tmp_path: Path):
    folder = copytree(shelf / "tiny-photo", tmp_path / "tiny-photo")
    model = checkpoints.load(folder)
    weights = {name: 0 * tensor for name, tensor in model.network.state_dict().items()}
    checkpoints.save(folder, model.description, weights)
    for row in evaluation.evaluate(folder, photographs, device="cpu").table:
        assert row["told PSNR"] == pytest.approx(row["noisy PSNR"], abs=0.01)
        assert row["told SSIM"] == pytest.approx(row["noisy SSIM"], abs=0.001)


def test_the_halo_that_is_enough_is_found(shelf: Path, photographs: Path):
    session = Session(checkpoints.load(shelf / "tiny-photo").network, torch.device("cpu"))
    worst = evaluation.measured_halo(session, data.load(photographs).train, 64, (25.0,))
    halos = sorted(worst)
    assert worst[halos[-1]] < 0.5
    assert worst[halos[0]] >= worst[halos[-1]]


@pytest.mark.parametrize(("low_precision", "tile", "allowed"), [(False, 160, 0.25), (True, 256, 0.5)])
@pytest.mark.parametrize("sigma", [15.0, 75.0])
def test_the_shipped_photo_leaves_no_seams(sigma: float, low_precision: bool, tile: int, allowed: float):
    model = checkpoints.load(Catalog.of(SHIPPED).find("photo").folder)
    session = Session(model.network, torch.device("cpu"))
    session.low_precision &= low_precision
    tiling = inference.tiling_for(session.needs, tile)
    for picture in data.load(SAMPLES).train[:2]:
        assert evaluation.seam(session, picture, sigma, 0, tiling) < allowed


def test_tables_are_markdown():
    lines = evaluation.as_markdown([{"sigma": 5.0, "PSNR": 37.123456}, {"sigma": 15.0, "PSNR": 3.0}]).splitlines()
    assert [len(line) for line in lines] == [len(lines[0])] * 4
    assert "37.12" in lines[2]
