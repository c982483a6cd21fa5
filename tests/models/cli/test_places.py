"""Where answers go: over nothing that is to be read, and no two to one place."""

from pathlib import Path

from verbs import run

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
