"""The command line, asked in this process."""

from pathlib import Path

from models.cli import main


def run(shelf: Path, *words: object) -> int:
    """The exit code of `denoir --shelf SHELF WORDS`."""
    return main(["--shelf", str(shelf), *map(str, words)])
