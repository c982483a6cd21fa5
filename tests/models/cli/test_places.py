"""Where answers go: over nothing that is to be read, and no two to one place."""

import os
from pathlib import Path

import pytest
from verbs import run

from models import inference
from models.cli import places


def test_no_answer_takes_the_place_of_its_picture(shelf: Path, photographs: Path, tmp_path: Path, capsys):
    (tmp_path / "link").symlink_to(photographs)
    picture = photographs / "a.png"
    before = picture.read_bytes()
    for source, target in [
        (picture, picture),
        (picture, photographs),
        (picture, tmp_path / "link" / "a.png"),
        (photographs, photographs),
        (photographs, tmp_path / "link"),
        (photographs / "more", photographs / "more" / ".." / "more"),
    ]:
        assert run(shelf, "denoise", source, target, "--model", "tiny-photo", "--sigma", 10) == 1
        told = capsys.readouterr().err
        assert "name another" in told
        assert "Traceback" not in told
    assert picture.read_bytes() == before


def test_answers_that_would_be_one_file_are_told_before_anything_is_done(
    shelf: Path, photographs: Path, tmp_path: Path, capsys
):
    (photographs / "b.png").write_bytes((photographs / "a.png").read_bytes())
    words = ["denoise", photographs, tmp_path / "out", "--model", "tiny-photo", "--format", "png"]
    assert run(shelf, *words) == 1
    told = capsys.readouterr().err
    assert "b.jpg" in told
    assert "b.png" in told
    assert not (tmp_path / "out").exists()


def test_answers_within_the_folder_are_not_taken_for_pictures(photographs: Path):
    answers = photographs / "answers"
    before = list(places.targets(photographs, answers, None))
    answers.mkdir()
    (answers / "a.png").write_bytes(b"an earlier answer")
    assert list(places.targets(photographs, answers, None)) == before


def test_a_link_that_an_answer_goes_to_stays_a_link(tmp_path: Path):
    (tmp_path / "there.png").write_bytes(b"")
    (tmp_path / "link.png").symlink_to(tmp_path / "there.png")
    with places.writing(tmp_path / "link.png") as stream:
        stream.write(b"answer")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "there.png").read_bytes() == b"answer"


WORDS = {
    "denoise": ["denoise", "IN", "OUT", "--model", "tiny-photo", "--sigma", 10],
    "reconstruct": ["reconstruct", "IN", "OUT", "--model", "tiny-vae"],
    "sample": ["sample", "OUT", "--model", "tiny-vae", "--seed", 1],
    "decode": ["decode", "CODE", "OUT", "--model", "tiny-vae"],
    "interpolate": ["interpolate", 7, 8, "OUT", "--model", "tiny-vae"],
    "traverse": ["traverse", "OUT", "--model", "tiny-vae", "--seed", 1],
}


@pytest.fixture
def asking(shelf: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Asks a verb for an answer in OUT, none of which may be computed; returns the exit code."""
    (code := tmp_path / "code.json").write_text('{"code": [0, 0, 0, 0, 0]}')
    for name in ("restored", "reconstructed", "decode_codes"):
        monkeypatch.setattr(inference, name, lambda *words, **options: pytest.fail("computed before it was told"))
    given = {"IN": photographs / "a.png", "CODE": code}
    return lambda verb, out: run(shelf, *[(given | {"OUT": out}).get(word, word) for word in WORDS[verb]])


@pytest.mark.parametrize("verb", sorted(WORDS))
@pytest.mark.parametrize("out", ["locked/a.png", "locked", "locked/new/a.png", "locked/new"])
def test_a_folder_that_nothing_can_be_written_into_is_told_before_any_work(
    asking, verb: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    (tmp_path / "locked").mkdir()
    # To root, as whom tests may run, no folder is closed.
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) not in (tmp_path / "locked", tmp_path / "locked/new")
    )
    assert asking(verb, tmp_path / out) == 1
    assert "locked: Permission denied" in capsys.readouterr().err.replace("locked/new", "locked")
    assert not [path for path in (tmp_path / "locked").rglob("*") if path.is_file()]


@pytest.mark.parametrize("verb", ["sample", "decode", "interpolate", "traverse"])
@pytest.mark.parametrize("out", ["file", "file/a.png", "file/new"])
def test_a_file_where_a_folder_should_be_is_told_before_any_work(
    asking, verb: str, out: str, tmp_path: Path, capsys: pytest.CaptureFixture
):
    (tmp_path / "file").write_text("a file, and no folder")
    assert asking(verb, tmp_path / out) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


@pytest.mark.parametrize("taken", ["a.png", "a-compare.png"])
def test_a_folder_in_an_answers_place_is_told_before_any_work_and_stops_no_other_picture(
    shelf: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, taken: str
):
    (tmp_path / "out" / taken).mkdir(parents=True)
    sizes, restored = [], inference.restored
    monkeypatch.setattr(
        inference, "restored", lambda *words, **options: sizes.append(words[1].shape[:2]) or restored(*words, **options)
    )
    assert run(shelf, "denoise", photographs, tmp_path / "out", "--compare", *WORDS["denoise"][3:]) == 1
    assert f"{tmp_path / 'out' / taken}: Is a directory" in capsys.readouterr().err
    assert sorted(sizes) == [(48, 64), (57, 33)]


def test_a_film_that_is_named_otherwise_is_told_before_any_work(asking, shelf: Path, tmp_path: Path, capsys):
    for out in (tmp_path / "film.png", tmp_path):
        assert run(shelf, "sample", out, "--model", "tiny-vae", "--film") == 1
        assert "animated WebP" in capsys.readouterr().err
