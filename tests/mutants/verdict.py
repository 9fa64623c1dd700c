"""What became of a mutant, and the record of it: one JSON object for each, written when it is known."""

import enum
import json
from pathlib import Path

import attrs

NAME = "mutants.jsonl"


class Fate(enum.StrEnum):
    """How a mutant ended."""

    KILLED = "killed"
    """A test failed."""
    TIMEOUT = "timeout"
    """Tests did not end; so they notice, too."""
    SURVIVED = "survived"
    UNUSED = "unused"
    """No test uses what it changes: it survives without being played."""
    INVALID = "invalid"
    """PostgreSQL refuses the statement before it knows any values. It is not counted."""

    @property
    def is_noticed(self) -> bool:
        """Whether some test noticed."""
        return self in {Fate.KILLED, Fate.TIMEOUT}


@attrs.frozen
class Verdict:
    """What became of one."""

    name: str
    file: str
    kind: str
    before: str
    after: str
    nth: int
    fate: Fate
    seconds: float
    played: int
    """How many tests were to be run."""
    left_out: int
    """How many more use what it changes, and were not run because they take too long."""
    by: str
    """The test that noticed."""

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """As the mutant has it."""
        return self.file, self.before, self.after, self.nth


@attrs.frozen
class Record:
    """The record in a folder."""

    folder: Path

    def read(self) -> list[Verdict]:
        """What is on record, the latest verdict on each mutant."""
        if not self._file.exists():
            return []
        verdicts = map(_verdict, self._file.read_text("utf-8").splitlines())
        return list({one.identity: one for one in verdicts}.values())

    def begin(self, kept: list[Verdict]) -> None:
        """Begin a record anew, with what is kept of an earlier one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file.write_text("".join(map(_line, kept)), "utf-8")

    def add(self, verdict: Verdict) -> None:
        """Add a verdict."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(_line(verdict))

    @property
    def _file(self) -> Path:
        return self.folder / NAME


def _line(verdict: Verdict) -> str:
    return json.dumps(attrs.asdict(verdict)) + "\n"


def _verdict(line: str) -> Verdict:
    about = json.loads(line)
    return Verdict(**{**about, "fate": Fate(about["fate"])})
