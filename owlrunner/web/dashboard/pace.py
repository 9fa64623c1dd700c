"""This is the room for how fast a run comes along: its curve, and when it will have ended if it goes on like this."""

from collections.abc import Sequence
from datetime import datetime

import attrs

from owlrunner.storage.job_runs import ProgressAt

WIDTH, HEIGHT = 600, 80
ENOUGH = 3.0
"""Seconds that must have been seen before anything is foretold."""


@attrs.frozen
class Pace:
    """What a run had done at which time, from its start to the latest that is known."""

    points: list[ProgressAt]

    @classmethod
    def of(cls, started: datetime, kept: Sequence[ProgressAt], latest: ProgressAt | None) -> "Pace":
        """From what is on record, and what stands in the row."""
        later = [one for one in kept if latest is None or one.at < latest.at]
        total = latest.total if latest is not None else kept[-1].total if kept else 0
        return cls([ProgressAt(started, 0, total), *later, *([latest] if latest is not None else [])])

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is done, at the pace of the last third; None where that cannot be told."""
        last = self.points[-1]
        whole = (last.at - self.points[0].at).total_seconds()
        if not last.total or last.processed >= last.total or whole < ENOUGH:
            return None
        since = last.at - (last.at - self.points[0].at) / 3
        begin = [one for one in self.points if one.at <= since][-1]
        done, seconds = last.processed - begin.processed, (last.at - begin.at).total_seconds()
        return (last.total - last.processed) * seconds / done if done > 0 else None

    @property
    def curve(self) -> str:
        """The points of an SVG polyline in a box of WIDTH and HEIGHT; nothing where there is no curve to see."""
        seconds = (self.points[-1].at - self.points[0].at).total_seconds()
        highest = max(max(one.processed, one.total) for one in self.points)
        if len(self.points) < 3 or seconds <= 0 or highest <= 0:
            return ""
        return " ".join(
            f"{(one.at - self.points[0].at).total_seconds() / seconds * WIDTH:.1f},"
            f"{HEIGHT - one.processed / highest * HEIGHT:.1f}"
            for one in self.points
        )
