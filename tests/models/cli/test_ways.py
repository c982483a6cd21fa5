import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from verbs import run

from models import sampling

pytestmark = pytest.mark.usefixtures("in_pytorch")

N = 3


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def frames(path: Path) -> list[np.ndarray]:
    with Image.open(path) as film:
        return [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(film)]


@pytest.fixture
def drawn(shelf: Path, tmp_path: Path) -> Path:
    """A folder with the first pictures of seed 7."""
    (folder := tmp_path / "drawn").mkdir()
    assert run(shelf, "sample", folder, "--model", "tiny-vae", "--seed", 7, "-n", N) == 0
    return folder


def test_a_code_that_was_told_is_decoded_to_what_is_rebuilt(
    shelf: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    picture = drawn / "000000.png"
    assert run(shelf, "encode", picture, "--model", "tiny-vae") == 0
    (told := tmp_path / "code.json").write_text(capsys.readouterr().out)
    (folder := tmp_path / "decoded").mkdir()
    assert run(shelf, "decode", told, folder, "--model", "tiny-vae") == 0
    assert run(shelf, "reconstruct", picture, tmp_path / "rebuilt.png", "--model", "tiny-vae") == 0
    assert np.array_equal(pixels(folder / "000000.png"), pixels(tmp_path / "rebuilt.png"))


@pytest.mark.parametrize(
    "told", ["[1]", "{}", "what", '{"code": [1]}', '{"code": "x"}', '{"codes": [[1], [2, 3]]}', "1"]
)
def test_what_is_no_code_is_told_so(shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], told: str):
    (source := tmp_path / "code.json").write_text(told)
    assert run(shelf, "decode", source, tmp_path / "x.png", "--model", "tiny-vae") == 1
    assert "code" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


def test_a_way_begins_and_ends_with_its_seeds_and_as_a_film_shows_the_same(shelf: Path, drawn: Path, tmp_path: Path):
    (folder := tmp_path / "way").mkdir()
    for out, *film in ((folder,), (tmp_path / "way.webp", "--film")):
        assert run(shelf, "interpolate", 7, 8, out, "--model", "tiny-vae", "--steps", 4, *film) == 0
    single = [pixels(path) for path in sorted(folder.iterdir())]
    assert len(single) == 4
    assert np.array_equal(single[0], pixels(drawn / "000000.png"))
    assert all(np.array_equal(a, b) for a, b in zip(single, frames(tmp_path / "way.webp"), strict=True))


def test_a_way_may_begin_at_a_picture(shelf: Path, drawn: Path, tmp_path: Path):
    (folder := tmp_path / "way").mkdir()
    picture = drawn / "000001.png"
    assert run(shelf, "interpolate", picture, 8, folder, "--model", "tiny-vae", "--steps", 2) == 0
    assert run(shelf, "reconstruct", picture, tmp_path / "rebuilt.png", "--model", "tiny-vae") == 0
    assert np.array_equal(pixels(folder / "000000.png"), pixels(tmp_path / "rebuilt.png"))


def test_two_directions_make_a_grid_around_the_seeds_picture(shelf: Path, drawn: Path, tmp_path: Path):
    (folder := tmp_path / "single").mkdir()
    for out in (tmp_path / "grid.png", folder):
        asked = (out, "--model", "tiny-vae", "--seed", 7, "--directions", "0,1", "--steps", 3)
        assert run(shelf, "traverse", *asked) == 0
    single = np.stack([pixels(path) for path in sorted(folder.iterdir())])
    assert np.array_equal(single[4], pixels(drawn / "000000.png"))
    assert np.array_equal(pixels(tmp_path / "grid.png"), sampling.grid(single[..., None], columns=3)[..., 0])


def test_samples_from_another_one_on(shelf: Path, drawn: Path, tmp_path: Path):
    (folder := tmp_path / "later").mkdir()
    assert run(shelf, "sample", folder, "--model", "tiny-vae", "--seed", 7, "-n", 1, "--first", 2) == 0
    assert np.array_equal(pixels(folder / "000002.png"), pixels(drawn / "000002.png"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("traverse", "x.png", "--directions", "999"), "a direction is 0 to"),
        (("interpolate", "7", "nothing.png", "x.png"), "nothing.png"),
        (("interpolate", "7", "8", "x.png", "--film"), "animated WebP"),
        (("traverse", "x.png", "--model", "tiny-photo"), "tiny-photo"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    shelf: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
):
    model = () if "--model" in words else ("--model", "tiny-vae")
    assert run(shelf, *words, *model) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("directions", ["3,3", "1,2,3", "-1", "x"])
def test_directions_are_one_or_two(shelf: Path, directions: str):
    with pytest.raises(SystemExit) as ended:
        run(shelf, "traverse", "x.png", f"--directions={directions}")
    assert ended.value.code == 2


def test_json_of_several_codes_makes_as_many_pictures(shelf: Path, tmp_path: Path):
    codes = np.random.default_rng(0).standard_normal((N, length_of(shelf)))
    (source := tmp_path / "codes.json").write_text(json.dumps({"codes": codes.tolist()}))
    (folder := tmp_path / "decoded").mkdir()
    assert run(shelf, "decode", source, folder, "--model", "tiny-vae") == 0
    assert len(list(folder.iterdir())) == N


def length_of(shelf: Path) -> int:
    return json.loads((shelf / "tiny-vae" / "config.json").read_text())["config"]["latent"]


def test_a_code_is_decoded_by_the_model_that_it_is_of_and_is_no_grid_of_one(
    shelf: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(shelf, "encode", drawn / "000000.png", "--model", "tiny-vae") == 0
    (told := tmp_path / "code.json").write_text(capsys.readouterr().out)
    for words, out in ((), "by-name.png"), (("--model", "tiny-vae"), "by-flag.png"):
        assert run(shelf, "decode", told, tmp_path / out, *words) == 0
    assert np.array_equal(pixels(tmp_path / "by-name.png"), pixels(tmp_path / "by-flag.png"))
    assert pixels(tmp_path / "by-name.png").shape == pixels(drawn / "000000.png").shape
    assert run(shelf, "decode", told, tmp_path / "x.png", "--model", "digits-vae") == 1
    assert "digits-vae" in capsys.readouterr().err


def test_a_way_between_pictures_needs_no_prior(shelf: Path, drawn: Path, tmp_path: Path, capsys):
    ends = [drawn / "000000.png", drawn / "000001.png"]
    assert run(shelf, "interpolate", *ends, tmp_path / "way.png", "--model", "digits-sparse", "--steps", 3) == 0
    assert run(shelf, "interpolate", 7, ends[0], tmp_path / "x.png", "--model", "digits-sparse") == 1
    assert "can't interpolate" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["", "000001.png"])
def test_a_picture_that_is_read_is_not_drawn_over(
    shelf: Path, drawn: Path, capsys: pytest.CaptureFixture[str], out: str
):
    ends, before = [drawn / "000000.png", drawn / "000001.png"], pixels(drawn / "000001.png")
    assert run(shelf, "interpolate", *ends, drawn / out, "--model", "tiny-vae") == 1
    assert "would overwrite" in capsys.readouterr().err
    assert np.array_equal(pixels(drawn / "000001.png"), before)


def test_a_seed_beyond_all_is_told_so(shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        run(shelf, "interpolate", 10**20, 8, tmp_path / "x.png", "--model", "tiny-vae")
    assert "FROM" in capsys.readouterr().err
