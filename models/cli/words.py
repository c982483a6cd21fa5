"""How the command line speaks: helps that keep their paragraphs and examples, and guesses at mistyped words."""

import argparse
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from models.spelling import guess

Verb = Callable[[argparse.Namespace], int]


class Layout(argparse.HelpFormatter):
    """Fills each paragraph by itself, where argparse makes one of all; lines that are indented stay lines, and names
    with hyphens whole."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        kept = [one if "\n  " in one else "\n".join(lines_of(one, width)) for one in text.strip().split("\n\n")]
        return textwrap.indent("\n\n".join(kept), indent)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return lines_of(text, width)


def lines_of(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """Says which word was probably meant where one is mistyped, as Python itself can from 3.14 on, of choices alone."""

    def __init__(self, *words: Any, **options: Any):
        super().__init__(*words, **{"formatter_class": Layout, **options})

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = [str(one) for one in action.choices or ()]
        if choices and value not in choices:
            listed = ", ".join(choices)
            raise argparse.ArgumentError(action, f"there is no {value!r}{guess(value, choices)} (there are: {listed})")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """What is left over is told by the verb that can't use it, with its own usage and not that of all verbs."""
        asked, left = super().parse_known_args(args, namespace)
        if left:
            self.left_over(left)
        return asked, left

    def left_over(self, left: list[str]) -> NoReturn:
        flag = next((word for word in left if word.startswith("-")), left[0]).partition("=")[0]
        if flag == "--shelf":
            self.error("--shelf stands before the verb: denoir --shelf FOLDER VERB")
        self.error(f"there is no place for {' '.join(left)}{guess(flag, list(self._option_string_actions))}")


def add_verb(
    verbs: "argparse._SubParsersAction[Any]", name: str, verb: Verb, *examples: str
) -> argparse.ArgumentParser:
    """A verb, told of by its docstring and by examples: the words that follow the command's name."""
    about = inspect.getdoc(verb) or ""
    one = verbs.add_parser(name, help=first_line(about), description=about, epilog=shown(examples))
    one.set_defaults(verb=verb)
    return one


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def shown(examples: Sequence[str]) -> str:
    """Examples as a help ends with them."""
    return "\n".join(["for example:", *(f"  denoir {one}" for one in examples)]) if examples else ""
