"""The mutants that may live, each with its reason: what they change cannot be seen, or a test of it would cost too much."""

import tomllib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from tests.mutants.mutant import Mutant

FILE = Path(__file__).with_name("may_live.toml")


class Pardon(NamedTuple):
    """One entry of the file."""

    file: str
    before: str
    after: str
    nth: int
    why: str

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """Of the mutant that it means."""
        return self.file, self.before, self.after, self.nth


def pardons(file: Path = FILE) -> list[Pardon]:
    """What the file says."""
    entries = tomllib.loads(file.read_text("utf-8")).get("mutant", [])
    return [Pardon(one["file"], one["before"], one["after"], one.get("nth", 1), one["why"]) for one in entries]


def outdated(known: Collection[Pardon], mutants_in: Callable[[str], Collection[Mutant]]) -> list[Pardon]:
    """The entries that mean no mutant any more."""
    there = {mutant.identity for file in {one.file for one in known} for mutant in mutants_in(file)}
    return [one for one in known if one.identity not in there]
