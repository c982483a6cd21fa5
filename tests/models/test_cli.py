import json
import os
import subprocess
import sys
from argparse import Namespace
from io import BufferedWriter, StringIO
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import SAMPLES, scene
from files import heic
from PIL import Image
from verbs import run

from models import checkpoints, images
from models.cli import drawing, pictures
from models.cli.pictures import LARGE, SMALL_TILE, tile_for
from models.colour import LUMA
from models.recipes import RECIPES
from models.restore import TILE

pytestmark = pytest.mark.usefixtures("in_pytorch")

ROOT = SAMPLES.parent


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user's own pictures of odd sizes, in colour, grey, and partly transparent."""
    folder = tmp_path_factory.mktemp("mixed")
    for number, (height, width) in enumerate([(33, 21), (17, 50), (64, 9), (25, 25)]):
        Image.fromarray(scene(height, width, number)).save(folder / f"{number}.png")
    Image.fromarray(scene(31, 29, 7)).convert("L").save(folder / "grey.png")
    Image.fromarray(np.dstack([scene(20, 31, 8), scene(20, 31, 9)[..., 0]])).save(folder / "clear.png")
    return folder


WORDS = {
    "sample": lambda shelf, pictures, out: ["sample", out / "sample.png", "-n", 3, "--seed", 1],
    "denoise": lambda shelf, pictures, out: ["denoise", pictures / "3.png", out / "denoise.png"],
    "reconstruct": lambda shelf, pictures, out: ["reconstruct", pictures, out / "rebuilt"],
    "encode": lambda shelf, pictures, out: ["encode", pictures / "1.png"],
    "colorize": lambda shelf, pictures, out: ["colorize", pictures, out / "coloured"],
}


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_is_trained_on_a_folder_of_any_pictures_and_answers(
    recipe: str, mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    side = 8 if recipe.startswith("photo") else 25 if "denoise" in recipe else 16
    train = ["train", recipe, "--data", mixed, "--name", "mine", "--steps", 3, "--batch", 3, "--size", side]
    train += ["--set", "widths=[4, 8]", "--compile", "off", "--quiet"]
    train += ["--set", "blocks=1"] if recipe.startswith("photo") else []
    assert run(tmp_path, *train) == 0
    described = checkpoints.load(tmp_path / "mine").description
    assert described.training["skipped_steps"] == 0
    weights = checkpoints.load(tmp_path / "mine").network.state_dict()
    assert all(tensor.isfinite().all() for tensor in weights.values())
    capsys.readouterr()
    for ask in described.asks:
        if ask in WORDS:
            words = WORDS[ask](tmp_path, mixed, tmp_path)
            assert run(tmp_path, *words, "--model", "mine") == 0, capsys.readouterr().err
    for path in tmp_path.glob("*/*.png"):
        found, given = (images.inspect(one.read_bytes()) for one in (path, mixed / path.name))
        wanted = (side, side) if path.parent.name == "rebuilt" else (given.width, given.height)
        assert (found.width, found.height) == wanted


def test_what_a_network_has_no_code_for_is_not_asked(shelf: Path, photographs: Path, tmp_path: Path, capsys):
    assert run(shelf, "reconstruct", photographs / "a.png", tmp_path / "b.png", "--model", "tiny-denoise") == 1
    assert "can't reconstruct; it can: denoise" in capsys.readouterr().err


def test_a_code_is_printed_as_json_with_how_the_picture_was_fitted(shelf: Path, photographs: Path, capsys):
    assert run(shelf, "encode", photographs / "a.png", "--model", "tiny-vae") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == "tiny-vae@1"
    assert len(answer["code"]) == 5
    assert answer["zeros"] == 0
    assert answer["fitted"] == {"given": [32, 40], "size": [12, 10], "top": 2, "left": 0, "height": 8, "width": 10}


def test_a_colorized_picture_keeps_its_size_depth_lightness_and_transparency(mixed: Path, tmp_path: Path):
    train = ["train", "colorize", "--data", mixed, "--name", "mine", "--steps", 1, "--batch", 1, "--size", 16]
    assert run(tmp_path, *train, "--set", "widths=[4, 8]", "--compile", "off", "--quiet") == 0
    grey = np.random.default_rng(0).integers(0, 65536, (21, 40, 1)).astype(np.uint16)
    alpha = np.random.default_rng(1).integers(0, 65536, (21, 40)).astype(np.uint16)
    (tmp_path / "in.png").write_bytes(images.write(images.Picture(grey, alpha), "png"))
    assert run(tmp_path, "colorize", tmp_path / "in.png", tmp_path / "out.png", "--model", "mine") == 0
    answer = images.read((tmp_path / "out.png").read_bytes())
    assert (answer.pixels.shape, answer.pixels.dtype) == ((21, 40, 3), np.uint16)
    assert np.array_equal(answer.alpha, alpha)
    assert np.abs(answer.pixels @ np.array(LUMA) - grey[..., 0]).max() <= 0.51


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


def made(size: tuple[int, int], channels: int, see_through: bool, dtype: type) -> images.Picture:
    """A noisy picture, of which alpha hides some."""
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 4, size) * (np.iinfo(dtype).max // 3) if see_through else None
    pixels = rng.integers(0, np.iinfo(dtype).max + 1, (*size, channels)).astype(dtype)
    return images.Picture(pixels, None if alpha is None else alpha.astype(dtype))


def test_any_size_and_kind_comes_back_as_it_was_in_size_and_kind(shelf: Path, tmp_path: Path):
    kinds = list(product([(1, 1), (1, 90), (90, 1), (3, 5), (131, 57)], (1, 3), (False, True), (np.uint8, np.uint16)))
    given, answers = tmp_path / "given", tmp_path / "answers"
    given.mkdir()
    for number, kind in enumerate(kinds):
        for form in ("png", "tif"):
            name = given / f"{number}-{form}.{form}"
            name.write_bytes(images.write(made(*kind), {"tif": "tiff"}.get(form, form)))
    assert run(shelf, "denoise", given, answers, "--model", "tiny-photo", "--sigma", 20, "--tile", 64) == 0
    for path in given.iterdir():
        before, after = (images.read((folder / path.name).read_bytes()) for folder in (given, answers))
        assert (after.pixels.shape, after.depth, after.format) == (before.pixels.shape, before.depth, before.format)
        assert (after.alpha is None) == (before.alpha is None)
        if before.alpha is not None and after.alpha is not None:
            assert np.array_equal(after.alpha, before.alpha)
            hidden = before.alpha == 0
            assert np.array_equal(after.pixels[hidden], before.pixels[hidden])
        if before.width * before.height > 100:
            assert not np.array_equal(after.pixels, before.pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strength_blends_detail_back(shelf: Path, tmp_path: Path, dtype: type):
    picture = made((60, 50), 3, True, dtype)
    (tmp_path / "in.png").write_bytes(images.write(picture, "png"))
    found = {}
    for strength in ("0", "0.25", "1"):
        out = tmp_path / f"{strength}.png"
        words = ["denoise", tmp_path / "in.png", out, "--model", "tiny-photo", "--sigma", 30, "--strength", strength]
        assert run(shelf, *words) == 0
        found[strength] = images.read(out.read_bytes()).pixels.astype(float)
    assert np.array_equal(found["0"], picture.pixels)
    assert not np.array_equal(found["1"], picture.pixels)
    assert np.abs(found["0.25"] - (0.75 * picture.pixels + 0.25 * found["1"])).max() <= 0.51


@pytest.mark.parametrize(("moment", "terminal", "said"), [(60.0, True, False), (0.0, True, True), (0.0, False, False)])
def test_of_a_picture_that_takes_a_while_a_terminal_is_told_how_far_it_is(
    shelf: Path, tmp_path: Path, monkeypatch, moment: float, terminal: bool, said: bool
):
    (tmp_path / "in.png").write_bytes(images.write(made((1000, 400), 1, False, np.uint8), "png"))
    words = ["denoise", tmp_path / "in.png", tmp_path / "out.png", "--model", "tiny-photo", "--sigma", 9]
    monkeypatch.setattr(pictures, "MOMENT", moment)
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    monkeypatch.setattr(sys, "stderr", errors := StringIO())
    monkeypatch.setattr(errors, "isatty", lambda: terminal)
    assert run(shelf, *words) == 0
    assert ("0.0 of 0.4 megapixels" in errors.getvalue()) == said


needs_heic = pytest.mark.skipif("heic" not in images.FORMATS, reason="pillow-heif is not installed")


@needs_heic
def test_heic_is_answered_as_png_unless_another_is_asked_for(shelf: Path, tmp_path: Path, capsys):
    given = tmp_path / "given"
    given.mkdir()
    (given / "a.heic").write_bytes(heic(Image.fromarray(scene(70, 90, 0)), exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"))
    (given / "b.HEIF").write_bytes(heic(np.left_shift(scene(70, 90, 0).astype(np.uint16), 8), 10))
    words = ["--model", "tiny-photo", "--sigma", 9]
    assert run(shelf, "denoise", given, tmp_path / "out", *words) == 0
    assert run(shelf, "denoise", given / "a.heic", tmp_path / "out", "--format", "jpeg", *words) == 0
    found = {path.name: images.read(path.read_bytes()) for path in (tmp_path / "out").iterdir()}
    assert {name: (one.format, one.depth) for name, one in found.items()} == {
        "a.png": ("png", 8),
        "b.png": ("png", 16),
        "a.jpg": ("jpeg", 8),
    }
    assert {(one.height, one.width) for one in found.values()} == {(70, 90)}
    assert run(shelf, "denoise", given / "a.heic", tmp_path / "out.heic", *words) == 1
    assert "HEIC is read, but not written" in capsys.readouterr().err
    assert not (tmp_path / "out.heic").exists()


PEAK = """
import sys
import numpy as np
from models import cli, inference
inference.restore_tiles = lambda session, tiles, sigma: 255 - tiles
code = cli.main(sys.argv[1:])
assert code == 0
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak(*words: object) -> int:
    """Bytes that a process which denoises held at most, all that it is made of counted."""
    done = subprocess.run([sys.executable, "-c", PEAK, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return 1024 * int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
@pytest.mark.parametrize("form", ["jpeg", "png", "tiff"])
@pytest.mark.parametrize("alpha", [False, True])
def test_of_a_large_picture_one_copy_is_held(shelf: Path, tmp_path: Path, form: str, alpha: bool):
    """Four bytes a pixel, as the image library keeps them: less than the decoded picture and its answer."""
    if alpha and form == "jpeg":
        pytest.skip("it holds no alpha")
    peaks = []
    for name, side in (("small", 400), ("large", 4000)):
        picture = images.Picture(
            np.full((side, side, 3), 90, np.uint8), np.full((side, side), 200, np.uint8) if alpha else None
        )
        (tmp_path / name).write_bytes(images.write(picture, form))
        words = ["--shelf", shelf, "denoise", tmp_path / name, tmp_path / f"{name}.{form}", "--model", "tiny-photo"]
        peaks.append(peak(*words, "--sigma", 10, "--tile", 256))
        assert images.read((tmp_path / f"{name}.{form}").read_bytes()).pixels.max() <= 165
    assert peaks[1] - peaks[0] < (4000**2 - 400**2) * 5.5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_50_megapixels_take_less_than_400_megabytes_beside_themselves_and_the_answer(tmp_path: Path):
    """The whole command on the weights that ship, counting all that the process is made of."""
    height, width = 5773, 8660
    picture = images.read((SAMPLES / "bridge-noisy.png").read_bytes()).pixels
    repeated = np.tile(picture, (height // picture.shape[0] + 1, width // picture.shape[1] + 1, 1))[:height, :width]
    (tmp_path / "large.jpg").write_bytes(images.write(images.Picture(repeated), "jpeg"))
    denoir = "from service.cli import main\ntry: main()\nexcept SystemExit as end: assert end.code == 0\n"
    code = denoir + PEAK.strip().splitlines()[-1]
    environment = os.environ | {"DENOIR_CACHE": str(tmp_path / "cache")}
    for source, target in ((SAMPLES / "book.jpg", "small.jpg"), (tmp_path / "large.jpg", "answer.jpg")):
        words = [sys.executable, "-c", code, "denoise", str(source), str(tmp_path / target)]
        done = subprocess.run(words, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    answer = images.inspect((tmp_path / "answer.jpg").read_bytes())
    assert (answer.width, answer.height) == (width, height)
    assert 1024 * int(done.stdout) - 2 * repeated.nbytes < 400e6


def test_a_picture_and_its_tile_are_not_both_large():
    side = int(LARGE**0.5)
    large, larger = (images.Picture(np.broadcast_to(np.uint8(0), (side, side + more, 3))) for more in (0, 1))
    session: Any = SimpleNamespace(low_precision=True)
    assert (tile_for(large, session), tile_for(larger, session)) == (TILE, SMALL_TILE)
    session.low_precision = False
    assert (tile_for(large, session), tile_for(larger, session)) == (TILE, 5 * SMALL_TILE // 8)


def test_a_denoising_that_is_interrupted_leaves_no_half_file(
    shelf: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(picture: images.Picture, form: str, stream: BufferedWriter, **options: object) -> None:
        stream.write(b"a beginning")
        raise KeyboardInterrupt

    monkeypatch.setattr(images, "save", interrupted)
    assert run(shelf, "denoise", photographs, tmp_path / "out", "--model", "tiny-photo") == 130
    assert not list((tmp_path / "out").iterdir())


def test_a_seed_is_drawn_and_told_when_none_is_given(shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    first, again = tmp_path / "first.png", tmp_path / "new" / "again.png"
    assert run(shelf, "sample", first, "--model", "tiny-vae", "-n", 2) == 0
    seed = int(capsys.readouterr().err.removeprefix("seed "))
    assert run(shelf, "sample", again, "--model", "tiny-vae", "-n", 2, "--seed", seed) == 0
    assert "seed" not in capsys.readouterr().err
    assert first.read_bytes() == again.read_bytes()


def test_every_drawn_seed_is_another_one():
    asked = Namespace(seed=None)
    assert drawing.seed_of(asked) != drawing.seed_of(asked)


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
        (["train", "vae", "--data", ".", "--name", ""], "a name is made of"),
        (["train", "vae", "--data", SAMPLES, "--size", 8, "--set", "widths=5"], "widths can't be 5"),
        (
            ["train", "photo", "--data", SAMPLES, "--size", 16, "--start-from", "tiny-vae"],
            "can't start from tiny-vae@1",
        ),
        (["train", "vae", "--data", __file__], "no picture could be read"),
        (["train", "photo", "--data", SAMPLES, "--size", "32x16"], "square crops, and 32x16 is none"),
        (["train", "photo", "--data", SAMPLES, "--size", 4096], "smaller ones with --size"),
        (["train", "sparse", "--data", SAMPLES, "--size", 8, "--batch", 1, "--compile", "off"], "2 or more, not 1"),
        (
            ["denoise", SAMPLES / "book.jpg", "o.xyz", "--model", "tiny-photo"],
            "o.xyz: pictures are written as .png, .jpg",
        ),
        (["denoise", SAMPLES / "book.jpg", "o.xyz", "--model", "tiny-photo"], "or with --format"),
        (["denoise", "-", "o.xyz", "--model", "tiny-photo"], "o.xyz: pictures are written as .png"),
        (["sample", "o.xyz", "--model", "tiny-vae"], "o.xyz: pictures are written as .png"),
        (["denoise", SAMPLES, __file__, "--model", "tiny-photo"], "is a file"),
        (["denoise", SAMPLES / "bridge-noisy.png", Path(__file__) / "x.png", "--model", "tiny-photo"], "test_cli.py"),
        (["sample", Path(__file__) / "x.png", "--model", "tiny-vae"], "test_cli.py"),
        (["sample", __file__, "--model", "tiny-vae"], "test_cli.py"),
        (["sample", "x.png", "--model", "tiny-vae", "--device", "cuda:99"], "cuda:99"),
    ],
)
def test_what_can_not_be_done_is_told_in_a_sentence(shelf: Path, words: list, said: str, capsys):
    assert run(shelf, *words) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "words",
    [
        ["fly"],
        ["denoise", "a", "b", "--sigma", "nan"],
        ["denoise", "a", "b", "--sigma", "101"],
        ["denoise", "a", "b", "--strength", "nan"],
        ["denoise", "a", "b", "--strength", "1.1"],
        ["denoise", "a", "b", "--strength", "-0.1"],
        ["denoise", "a", "b", "--format", "heic"],
        ["denoise", "a", "b", "--quality", "0"],
        ["colorize", "a", "b", "--quality", "101"],
        ["reconstruct", "a", "b", "--effort", "10"],
        ["sample", "a.png", "--effort", "much"],
        ["denoise", "a", "b", "--device", "gpu"],
        ["train", "gan"],
        ["train", "vae", "--data", "a", "--device", "meta"],
        ["train", "vae", "--data", "a", "--seed", "-1"],
        ["train", "vae", "--data", "a", "--size", "1000000"],
        ["train", "vae", "--data", "a", "--size", "16x"],
        ["train", "vae", "--data", "a", "--size", "16x0"],
        ["sample", "a.png", "--seed", "-1"],
        ["sample", "a.png", "--seed", str(2**63)],
    ],
)
def test_what_is_asked_wrongly_ends_with_two(shelf: Path, words: list):
    with pytest.raises(SystemExit) as ended:
        run(shelf, *words)
    assert ended.value.code == 2
