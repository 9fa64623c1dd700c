"""Read what the handlers have written down: which attempt was executed when, by which process."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import psutil


@attrs.define(eq=False)
class Execution:
    """One time that a handler was at work."""

    run: UUID
    attempt: int
    pid: int
    start: float
    end: float | None = None
    how: str = ""
    """``returned``, or the class of what was raised; empty while it is at work, or where its process died."""

    @property
    def goes_on(self) -> bool:
        """Whether it is at work now."""
        return self.end is None and psutil.pid_exists(self.pid)


@attrs.frozen
class Diary:
    """The file of one case."""

    file: Path

    @property
    def executions(self) -> list[Execution]:
        """All of them, in the order in which they began."""
        found: list[Execution] = []
        for entry in self._entries():
            if entry["event"] == "notified":
                continue
            about = (UUID(entry["run"]), entry.get("attempt"), entry["pid"])
            if entry["event"] == "start":
                found.append(Execution(about[0], entry["attempt"], entry["pid"], entry["at"]))
            elif entry["event"] == "end":
                one = next(one for one in reversed(found) if (one.run, one.attempt, one.pid) == about)
                one.end, one.how = entry["at"], entry["how"]
        return found

    def of(self, run: UUID) -> list[Execution]:
        """Those of one run."""
        return [one for one in self.executions if one.run == run]

    @property
    def notified(self) -> list[UUID]:
        """The notifications that were sent, once for each time."""
        return [UUID(entry["notification"]) for entry in self._entries() if entry["event"] == "notified"]

    def _entries(self) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text("utf-8").splitlines()]
