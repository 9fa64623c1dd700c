"""The record of a session: one JSON object for each case that was played, written when its verdict is known.

A session of hours that is interrupted is resumed from it.
"""

import json
from pathlib import Path

import attrs

from tests.lab.faults import Case
from tests.lab.play import Played
from tests.lab.session import Verdict

NAME = "cases.jsonl"


@attrs.frozen
class Record:
    """The record in a folder."""

    folder: Path

    def read(self) -> list[Verdict]:
        """What is on record, the latest verdict of each case."""
        if not self._file.exists():
            return []
        return list({str(one.case): one for one in map(_verdict, self._file.read_text("utf-8").splitlines())}.values())

    def begin(self, kept: list[Verdict]) -> None:
        """Begin a record anew, with what is kept of an earlier one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file.write_text("".join(map(_line, kept)), "utf-8")

    def add(self, verdict: Verdict) -> None:
        """Add a case."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(_line(verdict))

    @property
    def _file(self) -> Path:
        return self.folder / NAME


def _line(verdict: Verdict) -> str:
    played = verdict.played
    about = {
        "case": str(verdict.case),
        "struck": played.struck,
        "broken": played.broken,
        "seconds": round(played.seconds, 1),
    }
    return json.dumps(about if played.holds else about | {"log": played.log}) + "\n"


def _verdict(line: str) -> Verdict:
    about = json.loads(line)
    played = Played(about["broken"], about["struck"], [], about["seconds"], about.get("log", []))
    return Verdict(Case.parse(about["case"]), played)
