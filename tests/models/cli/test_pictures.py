"""Many pictures at once, streams, and before beside after."""

import errno
import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import NO_MEMORY, scene, stocked
from PIL import Image, ImageCms
from verbs import run

from models import checkpoints, images
from models.cli import main, pictures
from models.cli.comparison import GAP, side_by_side
from models.cli.pictures import run_errands
from models.cli.places import Errand
from models.unet import UNetConfig

pytestmark = pytest.mark.usefixtures("in_pytorch")

CLEAN = ["--model", "tiny-photo", "--sigma", "10"]


def states(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.*")}


def test_what_is_done_is_skipped_until_the_picture_is_newer(shelf: Path, photographs: Path, tmp_path: Path, capsys):
    out = tmp_path / "out"
    assert run(shelf, "denoise", photographs, out, *CLEAN) == 0
    assert "done already" not in capsys.readouterr().err
    first = states(out)
    assert set(first) == {"a.png", "b.jpg", "c.png"}
    assert run(shelf, "denoise", photographs, out, *CLEAN) == 0
    assert "3 of 3 pictures are done already" in capsys.readouterr().err
    assert states(out) == first
    os.utime(photographs / "b.jpg", ns=(first["b.jpg"] + 1, first["b.jpg"] + 1))
    assert run(shelf, "denoise", photographs, out, *CLEAN) == 0
    assert "2 of 3" in capsys.readouterr().err
    assert [name for name, when in states(out).items() if when != first[name]] == ["b.jpg"]
    assert run(shelf, "denoise", photographs, out, "--again", *CLEAN) == 0
    assert all(when != first[name] for name, when in states(out).items())


def test_without_before_and_after_a_picture_is_not_done_where_they_are_asked_for(
    shelf: Path, photographs: Path, tmp_path: Path
):
    out = tmp_path / "out"
    assert run(shelf, "denoise", photographs, out, *CLEAN) == 0
    assert run(shelf, "denoise", photographs, out, "--compare", *CLEAN) == 0
    assert {"a-compare.png", "b-compare.jpg", "c-compare.png"} < set(states(out))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_tells_a_terminal_how_fast_and_the_bad_are_listed_at_the_end(
    shelf: Path, photographs: Path, tmp_path: Path, monkeypatch, terminal: bool
):
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    monkeypatch.setattr(sys, "stderr", errors := io.StringIO())
    monkeypatch.setattr(errors, "isatty", lambda: terminal)
    for name in ("0.png", "z.jpg"):
        (photographs / name).write_bytes(b"no picture")
    assert run(shelf, "denoise", photographs, tmp_path / "out", *CLEAN) == 1
    *bar, headline, first, second = errors.getvalue().splitlines()
    assert headline == "2 of 5 pictures could not be done:"
    assert "0.png: " in first
    assert "z.jpg: " in second
    shown = bar[-1].rpartition("\r")[2] if bar else ""
    assert ("3 of 3 pictures" in shown and "megapixels/s, 2 failed" in shown) if terminal else not bar


def test_what_fails_is_no_speed(monkeypatch):
    monkeypatch.setattr(sys, "stderr", errors := io.StringIO())
    monkeypatch.setattr(errors, "isatty", lambda: True)

    def fails(errand: Errand) -> float:
        raise images.DamagedPicture

    failed = []
    run_errands([Errand(Path(f"{number}.png"), Path("out")) for number in range(9)], failed, fails)
    assert len(failed) == 9
    last = errors.getvalue().rpartition("\r")[2]
    assert "0 of 0 pictures" in last
    assert "9 failed" in last
    assert "megapixels" not in last


@pytest.mark.parametrize("verb", ["denoise", "sample"])
def test_quality_and_effort_are_those_of_the_answer(shelf: Path, photographs: Path, tmp_path: Path, verb: str):
    model = "tiny-photo" if verb == "denoise" else "tiny-vae"
    given = ["--seed", 1] if verb == "sample" else [photographs / "b.jpg"]
    sizes = {}
    for name, flags in (
        ("rough.webp", ["--quality", 1]),
        ("usual.webp", []),
        ("quick.tiff", ["--effort", 0]),
        ("small.tiff", ["--effort", 9]),
    ):
        assert run(shelf, verb, *given, tmp_path / name, *flags, "--model", model) == 0
        sizes[name] = (tmp_path / name).stat().st_size
    assert sizes["rough.webp"] < sizes["usual.webp"]
    assert sizes["quick.tiff"] != sizes["small.tiff"]


def test_an_ending_that_is_nobodys_is_written_where_the_format_is_told(shelf: Path, photographs: Path, tmp_path: Path):
    out = tmp_path / "o.xyz"
    assert run(shelf, "denoise", photographs / "b.jpg", out, "--format", "webp", *CLEAN) == 0
    assert images.inspect(out.read_bytes()).format == "webp"


def test_drawings_and_pictures_to_encode_may_be_streams(shelf: Path, photographs: Path, tmp_path: Path, monkeypatch):
    words = ["sample", "--model", "tiny-vae", "--seed", 3]
    assert run(shelf, *words, tmp_path / "grid.png") == 0
    out = piped(monkeypatch, (photographs / "a.png").read_bytes())
    assert run(shelf, *words, "-") == 0
    assert out.getvalue() == (tmp_path / "grid.png").read_bytes()
    monkeypatch.setattr(sys, "stdout", printed := io.StringIO())
    assert run(shelf, "encode", "-", "--model", "tiny-vae") == 0
    assert json.loads(printed.getvalue())["model"] == "tiny-vae@1"


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> io.BytesIO:
    """Standard input that holds this, and standard output that is returned."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
    return out


@pytest.mark.parametrize("form", [None, "webp", "tiff"])
def test_a_picture_comes_in_and_goes_out_as_a_stream(
    shelf: Path, photographs: Path, tmp_path: Path, monkeypatch, form: str | None
):
    asked = ["--format", form] if form else []
    assert run(shelf, "denoise", photographs / "a.png", tmp_path / "there.png", *asked, *CLEAN) == 0
    out = piped(monkeypatch, (photographs / "a.png").read_bytes())
    assert run(shelf, "denoise", "-", "-", *asked, *CLEAN) == 0
    assert images.inspect(out.getvalue()).format == (form or "png")
    assert out.getvalue() == (tmp_path / "there.png").read_bytes()


def test_a_stream_goes_to_a_file_and_a_file_to_a_stream(shelf: Path, photographs: Path, tmp_path: Path, monkeypatch):
    out = piped(monkeypatch, (photographs / "a.png").read_bytes())
    assert run(shelf, "denoise", "-", tmp_path / "new" / "b.bmp", *CLEAN) == 0
    assert images.inspect((tmp_path / "new" / "b.bmp").read_bytes()).format == "bmp"
    assert run(shelf, "denoise", photographs / "b.jpg", "-", *CLEAN) == 0
    assert images.inspect(out.getvalue()).format == "jpeg"


@pytest.mark.parametrize(
    ("source", "target", "more", "said"),
    [
        ("-", "-", [], "picture"),
        ("-", "folder", [], "has no name"),
        (".", "-", [], "need a folder"),
        ("-", "-", ["--compare"], "no place for"),
    ],
)
def test_nothing_is_streamed_that_can_not_be_answered(
    shelf: Path, tmp_path: Path, monkeypatch, capsys, source: str, target: str, more: list[str], said: str
):
    monkeypatch.chdir(tmp_path)
    out = piped(monkeypatch, b"no picture")
    assert run(shelf, "denoise", source, target, *more, *CLEAN) == 1
    assert said in capsys.readouterr().err
    assert out.getvalue() == b""


def test_before_stands_left_of_after(shelf: Path, photographs: Path, tmp_path: Path):
    out = tmp_path / "a.png"
    assert run(shelf, "denoise", photographs / "a.png", out, "--compare", *CLEAN) == 0
    before, after, both = (
        images.read(path.read_bytes()).pixels for path in (photographs / "a.png", out, tmp_path / "a-compare.png")
    )
    width = before.shape[1]
    assert np.array_equal(both[:, :width], before)
    assert (both[:, width : width + GAP] == 255).all()
    assert np.array_equal(both[:, width + GAP :], after)
    assert not np.array_equal(before, after)


def test_before_and_after_may_differ_in_size_channels_depth_and_transparency():
    grey = images.Picture(np.full((3, 5, 1), 257 * 7, np.uint16), np.zeros((3, 5), np.uint16))
    colour = images.Picture(np.full((4, 2, 3), 9, np.uint8))
    for before, after, dtype in ((grey, colour, np.uint8), (colour, grey, np.uint16)):
        both = side_by_side(before, after).pixels
        assert (both.shape, both.dtype) == ((4, 7 + GAP, 3), dtype)
        unit = np.iinfo(dtype).max // 255
        own = both[:, :2] if before is colour else both[:, -2:]
        assert (own == 9 * unit).all()
        assert (np.delete(both, np.s_[:2] if before is colour else np.s_[-2:], 1) == 255 * unit).all()


def test_before_and_after_in_8_bits_are_rounded():
    deep = images.Picture(np.array([[[256], [257 * 8 - 128], [257 * 8 - 129], [65535]]], np.uint16))
    both = side_by_side(deep, images.Picture(np.zeros((1, 1, 1), np.uint8))).pixels
    assert both[0, :4, 0].tolist() == [1, 8, 7, 255]


def test_before_and_after_take_no_place_of_an_answer(shelf: Path, photographs: Path, tmp_path: Path, capsys):
    (photographs / "a-compare.png").write_bytes((photographs / "a.png").read_bytes())
    assert run(shelf, "denoise", photographs, tmp_path / "out", "--compare", *CLEAN) == 1
    assert "would both be" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff", "avif"])
def test_what_is_noted_beside_the_pixels_stays(shelf: Path, tmp_path: Path, form: str):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    name = f"in{images.FORMATS[form].suffixes[0]}"
    given = tmp_path / "given" / "2026" / "may"
    given.mkdir(parents=True)
    Image.fromarray(scene(40, 50, 1)).save(given / name, form, exif=exif, icc_profile=profile)
    assert run(shelf, "denoise", tmp_path / "given", tmp_path / "out", *CLEAN) == 0
    with Image.open(tmp_path / "out" / "2026" / "may" / name) as answer:
        assert answer.getexif().get(0x0110) == "a camera"
        assert answer.info["icc_profile"] == profile


def test_each_picture_is_cleaned_by_the_model_that_suits_its_noise_unless_one_is_named(tmp_path: Path):
    """The smooth one's noise is below, the noisy one's above what is told apart by."""
    shelf = stocked(
        tmp_path / "shelf", {name: (name, UNetConfig(widths=(4, 8), blocks=1)) for name in ("photo", "photo-real")}
    )
    second = checkpoints.load(shelf / "photo-real")
    weights = {name: 0 * tensor for name, tensor in second.network.state_dict().items()}
    # Later than the one that ships, and leaving pictures as they are.
    checkpoints.save(shelf / "photo-real", replace(second.description, version="100"), weights)
    rng, pictures = np.random.default_rng(0), tmp_path / "in"
    pictures.mkdir()
    for name, level in (("calm", 1), ("loud", 20)):
        grey = np.rint(np.clip(128 + level * rng.standard_normal((64, 64, 3)), 0, 255)).astype(np.uint8)
        Image.fromarray(grey).save(pictures / f"{name}.png")

    def untouched(*words: object) -> set[str]:
        out = tmp_path / "-".join(map(str, words)) / "out"
        assert run(shelf, "denoise", pictures, out, *words) == 0
        read = {path.name: images.read(path.read_bytes()).pixels for path in out.glob("*.png")}
        return {name for name in read if np.array_equal(read[name], images.read((pictures / name).read_bytes()).pixels)}

    assert untouched() == {"calm.png"}
    assert untouched("--model", "photo") == set()
    assert untouched("--model", "photo-real") == {"calm.png", "loud.png"}
    assert untouched("--sigma", 5) == set()


def test_a_place_that_can_not_be_is_told_before_any_work(
    shelf: Path, photographs: Path, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setattr(pictures, "cleaned", None)
    (tmp_path / "file").write_text("")
    for sample in (photographs, next(photographs.iterdir())):
        for place in (str(tmp_path / "file" / "out"), "/proc/nowhere"):
            assert main(["--shelf", str(shelf), "denoise", str(sample), place, "--model", "tiny-photo"]) == 1
            assert place in capsys.readouterr().err


def test_a_full_disk_ends_the_run(shelf: Path, photographs: Path, tmp_path: Path, monkeypatch, capsys):
    asked: list[object] = []

    def full(*words: object) -> float:
        asked.append(words)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pictures, "answered", full)
    assert main(["--shelf", str(shelf), "denoise", str(photographs), str(tmp_path), "--model", "tiny-photo"]) == 1
    assert len(asked) == 1
    assert "No space left" in capsys.readouterr().err


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_what_finds_no_memory_is_passed_over(error: Exception, shelf: Path, photographs: Path, tmp_path, monkeypatch):
    asked: list[object] = []

    def large(*words: object) -> float:
        asked.append(words)
        raise error

    monkeypatch.setattr(pictures, "answered", large)
    assert main(["--shelf", str(shelf), "denoise", str(photographs), str(tmp_path), "--model", "tiny-photo"]) == 1
    assert len(asked) > 1


def test_what_is_our_own_mistake_or_will_go_wrong_with_all_is_not_passed_over():
    for error in (RuntimeError("a mistake"), KeyError("x"), BrokenPipeError(errno.EPIPE, "nobody reads")):
        assert not pictures.of_one_picture(error)
    assert pictures.of_one_picture(FileNotFoundError(errno.ENOENT, "gone"))


def test_a_picture_that_has_no_room_beside_its_answer_is_told_before_any_work(
    shelf: Path, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setattr(pictures, "cleaned", None)
    Image.new("RGB", (8190, 2)).save(source := tmp_path / "wide.png")
    words = ["denoise", str(source), str(tmp_path / "out.webp"), "--model", "tiny-photo", "--compare"]
    assert main(["--shelf", str(shelf), *words]) == 1
    assert "16,384" in capsys.readouterr().err
    assert not (tmp_path / "out.webp").exists()


def test_as_many_pixels_are_taken_as_are_said(shelf: Path, tmp_path: Path, capsys):
    Image.new("RGB", (20, 10)).save(source := tmp_path / "a.png")
    words = ["--shelf", str(shelf), "denoise", str(source), str(tmp_path / "b.png"), "--model", "tiny-photo"]
    assert main([*words, "--max-pixels", "199"]) == 1
    assert "199 pixels" in capsys.readouterr().err
    assert main([*words, "--max-pixels", "200"]) == 0


def test_a_level_is_told_to_no_model_that_takes_none(shelf: Path, tmp_path: Path, capsys):
    Image.new("L", (10, 12)).save(source := tmp_path / "a.png")
    words = ["denoise", str(source), str(tmp_path / "b.png"), "--model", "tiny-denoise", "--sigma", "9"]
    assert main(["--shelf", str(shelf), *words]) == 1
    assert "leave --sigma out" in capsys.readouterr().err


def test_a_format_too_small_for_a_picture_is_told_before_it_is_cleaned(
    shelf: Path, tmp_path: Path, monkeypatch, capsys
):
    Image.new("L", (16_400, 1)).save(source := tmp_path / "a.png")
    monkeypatch.setattr(pictures, "restored", None)
    words = ["denoise", str(source), str(tmp_path / "b.webp"), "--model", "tiny-photo", "--sigma", "9"]
    assert main(["--shelf", str(shelf), *words]) == 1
    assert "in WebP a side has at most 16,383" in capsys.readouterr().err


def test_a_picture_of_any_size_is_rebuilt_in_any_format(shelf: Path, tmp_path: Path):
    Image.new("L", (16_400, 1400)).save(source := tmp_path / "a.png")
    assert run(shelf, "reconstruct", source, tmp_path / "b.webp", "--model", "tiny-vae") == 0


def test_a_link_that_leads_to_itself_stops_no_other_picture(shelf: Path, tmp_path: Path):
    (folder := tmp_path / "in").mkdir()
    (folder / "ring.png").symlink_to(folder / "ring.png")
    Image.fromarray(scene(20, 24, 1)).save(folder / "whole.png")
    assert run(shelf, "denoise", folder, tmp_path / "out", *CLEAN) == 1
    assert (tmp_path / "out" / "whole.png").exists()
