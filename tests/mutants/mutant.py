"""One change of the code: where it is, and what stands there instead."""

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

import attrs


class Change(NamedTuple):
    """What a mutator proposes: put another text in the place of ``text[start:end]``."""

    start: int
    end: int
    replacement: str
    kind: str


@attrs.frozen
class Mutant:
    """A change of one file. It is known by the lines that it changes, so it outlives changes elsewhere in the file."""

    file: str
    line: int
    last_line: int
    kind: str
    before: str
    """The changed lines as they are, without white space around them."""
    after: str
    nth: int
    """Which it is of those of this file that change equal lines equally; nearly always the first."""
    text: str = attrs.field(repr=False)
    """What the whole file becomes."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        digest = sha256(f"{self.before}\0{self.after}\0{self.nth}".encode()).hexdigest()
        return f"{self.file}:{self.line}:{self.kind}:{digest[:6]}"

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """By what it is found again."""
        return self.file, self.before, self.after, self.nth


def mutants_of(file: str, text: str, changes: Iterable[Change]) -> Iterator[Mutant]:
    """The mutants that these changes of a file make, each once."""
    seen: Counter[tuple[str, str]] = Counter()
    results = {text}
    for start, end, replacement, kind in sorted(changes):
        mutated = text[:start] + replacement + text[end:]
        if mutated in results:
            continue
        results.add(mutated)
        first = text.rfind("\n", 0, start) + 1
        last = text.find("\n", end)
        last = len(text) if last < 0 else last
        before = text[first:last].strip()
        after = (text[first:start] + replacement + text[end:last]).strip()
        seen[before, after] += 1
        line = text.count("\n", 0, start) + 1
        yield Mutant(
            file, line, text.count("\n", 0, end) + 1, kind, before, after, nth=seen[before, after], text=mutated
        )
