import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import images
from models.cli import main


def run(shelf: Path, *words: object) -> int:
    return main(["--shelf", str(shelf), *map(str, words)])


def test_train_then_sample(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    shelf = tmp_path / "shelf"
    train = ["train", "vae", "--data", photographs, "--name", "mine", "--steps", 3, "--batch", 2, "--size", 12]
    train += ["--set", "widths=[4, 8]", "--set", "latent=3", "--compile", "off", "--quiet"]
    assert run(shelf, *train) == 0
    assert "mine@1" in capsys.readouterr().out
    assert run(shelf, *train) == 0
    assert not list((shelf / ".training").iterdir())
    capsys.readouterr()
    assert run(shelf, "models", "--json") == 0
    assert {"mine@1", "mine@2"} <= {row["title"] for row in json.loads(capsys.readouterr().out)}
    assert run(shelf, "sample", tmp_path / "grid.png", "--model", "mine", "-n", 4) == 0
    assert images.inspect((tmp_path / "grid.png").read_bytes()).width == 30


def test_samples_in_a_folder_are_those_of_any_number(shelf: Path, tmp_path: Path):
    assert run(shelf, "sample", tmp_path / "few", "--model", "tiny-vae", "-n", 3, "--seed", 7) == 0
    assert run(shelf, "sample", tmp_path / "many", "--model", "tiny-vae", "-n", 18, "--seed", 7) == 0
    for path in (tmp_path / "few").iterdir():
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()


def test_a_folder_is_denoised_past_a_bad_file(shelf: Path, photographs: Path, tmp_path: Path, capsys):
    (photographs / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    assert run(shelf, "denoise", photographs, tmp_path / "out", "--model", "tiny-photo", "--sigma", 10) == 1
    assert "broken.jpg" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "out").rglob("*.*")} == {"a.png", "b.jpg", "c.png"}
    header = images.inspect((tmp_path / "out" / "more" / "c.png").read_bytes())
    assert (header.width, header.height) == (33, 57)


def test_one_picture_keeps_what_its_camera_noted_and_takes_the_format_of_its_name(shelf: Path, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    exif[0x0112] = 6
    Image.fromarray(np.zeros((8, 20, 3), np.uint8)).save(tmp_path / "in.jpg", exif=exif)
    assert run(shelf, "denoise", tmp_path / "in.jpg", tmp_path / "out.png", "--model", "tiny-photo") == 0
    with Image.open(tmp_path / "out.png") as answer:
        assert (answer.format, answer.size) == ("PNG", (8, 20))
        assert answer.getexif().get(0x0110) == "a camera"
        assert 0x0112 not in answer.getexif()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["denoise", "missing.png", "out.png", "--model", "tiny-photo"], "missing.png"),
        (["denoise", "x", "y", "--model", "nobody"], "tiny-photo"),
        (["denoise", "x", "y", "--model", "tiny-vae"], "can't denoise"),
        (["sample", "x.png", "--model", "tiny-photo"], "can't sample"),
        (["train", "vae", "--data", "missing"], "there is no missing"),
        (["train", "vae", "--data", ".", "--name", "No Good"], "No Good"),
        (["evaluate", "tiny-photo", "--data", "missing"], "there is no missing"),
        (["train", "vae", "--data", ".", "--set", "latent"], "NAME=VALUE"),
    ],
)
def test_what_can_not_be_done_is_told_in_a_sentence(shelf: Path, words: list, said: str, capsys):
    assert run(shelf, *words) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "words",
    [["fly"], ["denoise", "a", "b", "--sigma", "nan"], ["denoise", "a", "b", "--sigma", "101"], ["train", "gan"]],
)
def test_what_is_asked_wrongly_ends_with_two(shelf: Path, words: list):
    with pytest.raises(SystemExit) as ended:
        run(shelf, *words)
    assert ended.value.code == 2
