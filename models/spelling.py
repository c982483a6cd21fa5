"""Words that are nearly right."""

from collections.abc import Sequence
from difflib import get_close_matches


def guess(word: str, known: Sequence[str]) -> str:
    """The known word that is most like it, as a question; nothing where none is."""
    near = get_close_matches(word, known, 1)
    return f"; did you mean {near[0]}?" if near else ""
