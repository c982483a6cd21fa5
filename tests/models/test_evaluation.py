import os
import shlex
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from conftest import SAMPLES, scene
from PIL import Image

from models import checkpoints, cli, data, evaluation, images, inference, training
from models.camera import Camera
from models.catalog import SHIPPED, Catalog
from models.colour import chroma
from models.data import DataError
from models.evaluation import cards
from models.evaluation.drawing import NUMBERS
from models.sessions import Session

pytestmark = pytest.mark.usefixtures("in_pytorch")


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


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colours")
    for number, (height, width) in enumerate([(40, 33), (25, 61), (32, 32)]):
        Image.fromarray(scene(height, width, number)).save(folder / f"{number}.png")
    return folder


def trained(recipe: str, pictures: Path, folder: Path, **config: object) -> Path:
    asked = {
        "steps": 3,
        "batch": 4,
        "size": 16,
        "compile": "off",
        "quiet": True,
        "config": {"widths": [4, 8], **config},
    }
    plan = training.plan_for(recipe, data=pictures, name="mine", state=folder / "state", **asked)
    training.train(plan, folder / "mine")
    return folder / "mine"


@pytest.mark.parametrize("recipe", ["dropout", "sparse"])
def test_autoencoders_are_measured_by_codes_whole_and_with_gaps(recipe: str, colours: Path, tmp_path: Path):
    report = evaluation.evaluate(trained(recipe, colours, tmp_path, code=30), colours, device="cpu")
    assert [row["code zeroed"] for row in report.table] == ["none", "10%", "30%", "50%"]
    assert report.figures["code"] == 30
    assert 0 <= report.figures["zeros"] <= 1
    assert 0 <= report.figures["dead_units"] <= 30
    assert report.figures["MSE"] == report.table[0]["MSE"] > 0


def test_what_a_code_has_in_zeros_and_dead_units_is_counted(tmp_path: Path, colours: Path):
    folder = trained("sparse", colours, tmp_path, code=30)
    model = checkpoints.load(folder)
    weights = model.network.state_dict()
    weights["threshold"][:6], weights["threshold"][6:] = 1e9, -1e9
    checkpoints.save(folder, model.description, weights)
    figures = evaluation.evaluate(folder, colours, device="cpu").figures
    assert (figures["dead_units"], figures["zeros"]) == (6, 0.2)


def test_a_colorizer_is_measured_beside_no_colour_and_the_best_tint(colours: Path, tmp_path: Path):
    report = evaluation.evaluate(trained("colorize", colours, tmp_path), colours, device="cpu")
    scores = {row["colours"]: float(row["chroma RMS"]) for row in report.table}
    assert list(scores) == ["no colour", "best constant tint", "expected colour", "as answered"]
    assert scores["best constant tint"] <= scores["no colour"]
    true = torch.cat([chroma(data.as_floats(p[None])).flatten(2) for p in data.measured_part(colours, learned=True)], 2)
    assert scores["no colour"] == pytest.approx(255 * float((true**2).mean().sqrt()), rel=0.01)
    assert scores["best constant tint"] == pytest.approx(255 * float(true.var(2, correction=0).mean().sqrt()), rel=0.01)


def test_the_divergence_of_each_dimension_and_the_active_ones_are_told(shelf: Path, photographs: Path, tmp_path: Path):
    report = evaluation.evaluate(copytree(shelf / "tiny-vae", tmp_path / "tiny-vae"), photographs, device="cpu")
    assert len(report.table) == report.figures["latent"] == 5
    assert sum(float(row["KL"]) for row in report.table) == pytest.approx(report.figures["rate"], rel=1e-3)
    assert 0 <= report.figures["active_units"] <= 5


def test_with_a_flow_the_numbers_of_the_code_are_told_of_one_by_one_all_the_same(colours: Path, tmp_path: Path):
    folder = trained("vae", colours, tmp_path, latent=6, prior="flow", couplings=2, coupling_width=8)
    report = evaluation.evaluate(folder, colours, device="cpu")
    assert [row["latents"] for row in report.table] == ["all, through the flow"]
    assert len(report.more[NUMBERS]) == 6
    assert all(float(row["nats, by itself"]) > -1e-6 for row in report.more[NUMBERS])


def test_of_pictures_that_it_learned_from_those_held_out_are_measured(colours: Path, shelf: Path, tmp_path: Path):
    held_out, everything = (len(data.measured_part(colours, learned=learned)) for learned in (True, False))
    for folder, count in ((trained("dropout", colours, tmp_path), held_out), (shelf / "tiny-vae", everything)):
        mine = copytree(folder, tmp_path / "copy" / folder.name)
        evaluation.evaluate(mine, colours, device="cpu")
        measured = checkpoints.metrics(mine)["sets"][colours.name]
        assert measured["pictures"] == count
        assert measured.get("held_out", False) == (count == held_out)
        assert ("held out from training" in (mine / "README.md").read_text()) == (count == held_out)


@pytest.mark.parametrize("folder", sorted(SHIPPED.glob("*/")), ids=lambda folder: folder.name)
def test_a_card_has_a_command_for_all_that_the_model_can_be_asked(folder: Path, tmp_path: Path):
    commands = cli.parser("denoir", tmp_path)
    block = evaluation.card(folder, {}).partition("```bash\n")[2].partition("```")[0]
    asked = [commands.parse_args(shlex.split(line.partition(" > ")[0])[1:]) for line in block.splitlines()]
    assert tuple(one.verb.__name__ for one in asked) == checkpoints.describe(folder).asks
    assert {one.model for one in asked} == {folder.name}


def test_only_what_ships_is_under_our_licence(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    assert "license" not in evaluation.card(shelf / "tiny-vae", {})
    monkeypatch.setattr(cards, "SHIPPED", shelf)
    assert evaluation.card(shelf / "tiny-vae", {}).startswith("---\nlicense: cc-by-sa-4.0\nlibrary_name")


def test_a_network_that_does_nothing_scores_what_the_noise_scores(shelf: Path, photographs: Path, tmp_path: Path):
    folder = copytree(shelf / "tiny-photo", tmp_path / "tiny-photo")
    model = checkpoints.load(folder)
    weights = {name: 0 * tensor for name, tensor in model.network.state_dict().items()}
    checkpoints.save(folder, model.description, weights)
    report = evaluation.evaluate(folder, photographs, device="cpu")
    for row in report.table:
        assert row["told PSNR"] == pytest.approx(row["noisy PSNR"], abs=0.01)
        assert row["told SSIM"] == pytest.approx(row["noisy SSIM"], abs=0.001)
    (cameras,) = report.more.values()
    for row in cameras:
        assert row["PSNR after"] == pytest.approx(row["PSNR before"], abs=0.01)
        assert row["most lost, dB"] < 0.05


def test_what_is_made_of_a_cameras_noise_is_told_and_how_often_it_is_worse(
    shelf: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def whitened(session: Session, pixels: np.ndarray, *_: object) -> np.ndarray:
        return np.full_like(pixels, 255)

    monkeypatch.setattr("models.evaluation.restoring.inference.restored", whitened)
    folder = copytree(shelf / "tiny-photo", tmp_path / "tiny-photo")
    (cameras,) = evaluation.evaluate(folder, photographs, device="cpu").more.values()
    count = len(data.measured_part(photographs))
    for row in cameras:
        assert row["pictures worse"] == count
        assert row["most lost, dB"] >= float(row["PSNR before"]) - float(row["PSNR after"]) > 5
    assert "calmed in it" in (folder / "README.md").read_text()


def test_a_picture_is_photographed_with_its_noise_and_without(photographs: Path):
    picture = data.load(photographs).train[0]
    noisy, clean = evaluation.photographed(picture, Camera(low=1e-2), 3)
    assert noisy.shape == clean.shape == (*picture.shape[1:], 3)
    again = evaluation.photographed(picture, Camera(low=1e-12, high=1e-12, compressed=0.0), 3)
    assert np.abs(again[0].astype(int) - again[1]).max() <= 1
    assert np.abs(noisy.astype(int) - clean).mean() > 3


@pytest.mark.parametrize(("as_served", "tile", "allowed"), [(False, 160, 0.25), (True, 256, 1.0)])
@pytest.mark.parametrize("sigma", [5.0, 15.0, 25.0, 50.0, 75.0])
def test_the_shipped_photo_leaves_no_seams(sigma: float, as_served: bool, tile: int, allowed: float):
    """In 16 and 8 bits a pixel here and there is rounded the other way, wherever it lies."""
    model = checkpoints.load(Catalog.of(SHIPPED).find("photo").folder)
    session = Session(model.network, torch.device("cpu"))
    session.low_precision &= as_served
    session.eight_bits &= as_served
    tiling = inference.tiling_for(session.needs, tile)
    for picture in data.load(SAMPLES).train[:2]:
        assert evaluation.seam(session, picture, sigma, 0, tiling) < allowed


def test_tables_are_markdown():
    lines = evaluation.as_markdown([{"sigma": 5.0, "PSNR": 37.123456}, {"sigma": 15.0, "PSNR": 3.0}]).splitlines()
    assert [len(line) for line in lines] == [len(lines[0])] * 4
    assert "37.12" in lines[2]


@pytest.mark.parametrize("name", ["tiny-photo", "tiny-colorize"])
def test_a_sheet_shows_other_photographs_where_the_measured_ones_may_not_be_passed_on(
    name: str, shelf: Path, photographs: Path, colours: Path, tmp_path: Path
):
    made = trained("colorize", colours, tmp_path) if name == "tiny-colorize" else shelf / name
    folder = copytree(made, tmp_path / name)
    red = np.zeros((300, 300, 3), np.uint8)
    red[..., 0] = 200
    (tmp_path / "red.png").write_bytes(images.write(images.Picture.of(red), "png"))
    measured = evaluation.evaluate(folder, photographs, device="cpu", limit=1)
    shown = evaluation.evaluate(folder, photographs, device="cpu", limit=1, sheet=[tmp_path / "red.png"])
    assert shown.table[0].keys() == measured.table[0].keys()
    reds = shown.sheet.reshape(-1, 3).astype(int)
    assert np.mean(reds[:, 0] > reds[:, 1] + 50) > 0.1
    assert shown.sheet.shape != measured.sheet.shape or np.any(shown.sheet != measured.sheet)


def test_a_sheet_of_what_is_no_photograph_is_refused(shelf: Path, photographs: Path, tmp_path: Path):
    (tmp_path / "note.png").write_text("no picture")
    with pytest.raises(DataError, match="can't be read"):
        evaluation.evaluate(shelf / "tiny-photo", photographs, device="cpu", sheet=[tmp_path / "note.png"])
    with pytest.raises(DataError, match="can't be read"):
        evaluation.evaluate(shelf / "tiny-photo", photographs, device="cpu", sheet=[tmp_path / "nothing.png"])


def test_the_sheet_of_a_vae_is_its_own(shelf: Path, photographs: Path):
    (one, *_) = sorted(photographs.iterdir())
    with pytest.raises(ValueError, match="tiny-vae@1 shows"):
        evaluation.evaluate(shelf / "tiny-vae", photographs, device="cpu", sheet=[one])


def test_a_picture_that_ssim_can_not_be_told_of_is_told_before_the_measuring(
    shelf: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = copytree(shelf / "tiny-photo", tmp_path / "tiny-photo")
    Image.fromarray(scene(10, 40, 1)).save(photographs / "z.png")
    with monkeypatch.context() as patched:
        patched.setattr(inference, "restored", lambda *words: pytest.fail("a picture was measured"))
        with pytest.raises(DataError, match="1 of 4 pictures have less than 11 px on their short side"):
            evaluation.evaluate(folder, photographs, device="cpu")
    assert not (folder / "metrics.json").exists()
    Image.fromarray(scene(11, 40, 1)).save(photographs / "z.png")
    evaluation.evaluate(folder, photographs, device="cpu")


def test_a_folder_that_nothing_can_be_written_into_is_told_before_the_measuring(
    shelf: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = copytree(shelf / "tiny-photo", tmp_path / "tiny-photo")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder)  # to root no folder is closed
    monkeypatch.setattr(inference, "restored", lambda *words: pytest.fail("a picture was measured"))
    with pytest.raises(PermissionError, match="tiny-photo"):
        evaluation.evaluate(folder, photographs, device="cpu")
