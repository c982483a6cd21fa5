"""The shelf of checkpoints: every folder on it that holds one, listed by name@version."""

from dataclasses import dataclass
from pathlib import Path

from models import checkpoints
from models.checkpoints import CheckpointError, Description
from models.spelling import guess

SHIPPED = Path(__file__).parent / "weights"
"""The checkpoints that come with the program."""


class UnknownModel(LookupError):
    """No such model on the shelf; `known` lists what there is."""

    def __init__(self, name: str, known: list[str]):
        super().__init__(name, known)
        self.name, self.known = name, known

    def __str__(self) -> str:  # only now, as who looks whether a model is there asks for no words
        guessed = guess(self.name.partition("@")[0], [title.partition("@")[0] for title in self.known])
        there = f"{guessed} There" if guessed else "; there"
        return f"no model is called {self.name!r}{there} are: {', '.join(self.known) or 'none'}"


@dataclass(frozen=True)
class Entry:
    """One checkpoint on the shelf."""

    description: Description
    folder: Path


@dataclass(frozen=True)
class Catalog:
    """Checkpoints by title (name@version). A name alone means its latest version."""

    entries: dict[str, Entry]

    @classmethod
    def of(cls, *shelves: Path) -> "Catalog":
        """Reads the shelves, later ones over earlier ones; a shelf that is not there is an empty one.

        Raises CheckpointError for a folder that holds a config but can't be used.
        """
        catalog, errors = cls.readable(*shelves)
        if errors:
            raise errors[0]
        return catalog

    @classmethod
    def readable(cls, *shelves: Path) -> tuple["Catalog", list[CheckpointError]]:
        """The same of what can be used, and what is wrong with the rest."""
        entries: dict[str, Entry] = {}
        errors: list[CheckpointError] = []
        for shelf in shelves:
            for config in sorted(shelf.glob(f"*/{checkpoints.CONFIG}")):
                try:
                    description = checkpoints.describe(config.parent)
                except CheckpointError as error:
                    errors.append(error)
                else:
                    entries[description.title] = Entry(description, config.parent)
        return cls(entries), errors

    @property
    def titles(self) -> list[str]:
        return sorted(self.entries)

    def find(self, name: str) -> Entry:
        """The entry called `name` or `name@version`. Raises UnknownModel. The name is looked up, never made a path."""
        if name in self.entries:
            return self.entries[name]
        versions = [entry for entry in self.entries.values() if entry.description.name == name]
        if not versions:
            raise UnknownModel(name[:64], self.titles)
        return max(versions, key=lambda entry: by_version(entry.description.version))

    def next_version(self, name: str) -> str:
        """The version that a new training under `name` gets: one above the highest whole number, 1 at first."""
        taken = [by_version(e.description.version)[0] for e in self.entries.values() if e.description.name == name]
        return str(max(taken, default=0) + 1)


def by_version(version: str) -> tuple[int, str]:
    """Sorts whole numbers as numbers, before anything else as text."""
    return (int(version), "") if version.isdecimal() else (-1, version)
