"""What the command line says of itself, and of words that it doesn't know."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from models.cli import VERBS, main, parser

SHELL = re.compile(r" [<>|] .*")
"""What of an example is the shell's."""


def said(words: list[str], capsys: pytest.CaptureFixture, code: int = 2) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["--shelf", "x", *words])
    assert ended.value.code == code
    return "".join(capsys.readouterr())


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_a_help_can_be_asked(verb: str, capsys: pytest.CaptureFixture):
    told = said([verb, "--help"], capsys, 0)
    examples = re.findall(r"^  denoir (.*)$", told.partition("for example:")[2], re.MULTILINE)
    assert examples
    for one in examples:
        asked = parser("denoir", Path("x")).parse_args(shlex.split(SHELL.sub("", one)))
        assert asked.verb is VERBS[verb][1]


def test_paragraphs_of_a_help_stay_apart(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    told = said(["train", "--help"], capsys, 0)
    assert "\n\nInterrupted (Ctrl-C, SIGTERM, a lost machine), " in told
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["densoie", "a", "b"], "'densoie'; did you mean denoise?"),
        (["fly"], "there is no 'fly' (there are: denoise, "),
        (["denoise", "a", "b", "--format", "jpg"], "did you mean jpeg?"),
        (["train", "fotos", "--data", "a"], "did you mean photo?"),
        (["denoise", "a", "b", "--qualty=3"], "--qualty=3; did you mean --quality?"),
        (["denoise", "a", "b", "c"], "there is no place for c\n"),
        (["models", "--shelf", "a"], "--shelf stands before the verb"),
        (["denoise", "a", "b", "--tile", "x"], "'x' is no whole number"),
        (["denoise", "a", "b", "--sigma", "x"], "'x' is no number"),
    ],
)
def test_a_mistyped_word_is_told_with_what_may_have_been_meant(
    words: list[str], meant: str, capsys: pytest.CaptureFixture
):
    told = said(words, capsys)
    assert meant in told
    assert words[0] not in VERBS or f"usage: python -m models {words[0]} " in told


def test_without_a_word_all_verbs_are_told(capsys: pytest.CaptureFixture):
    assert main([]) == 2
    told = capsys.readouterr().err
    assert all(f"\n    {verb} " in told for verb in VERBS)


def test_each_flag_of_each_verb_says_what_it_is():
    commands = parser("denoir", Path("x"))
    verbs = next(one for one in commands._actions if isinstance(one, argparse._SubParsersAction)).choices
    silent = [(name, one.dest) for name, verb in verbs.items() for one in verb._actions if not one.help]
    assert not silent
