"""This is the room for charts: what stands where in an SVG, computed here, so that pages need no script to show one."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import attrs

from owlrunner.job_run import RunStatus
from owlrunner.run_reports import LookBack

WIDTH, HEIGHT = 720, 140
STACK = (RunStatus.COMPLETED, RunStatus.RUNNING, RunStatus.PENDING, RunStatus.CANCELLED, RunStatus.FAILED)
"""From the bottom up."""


@attrs.frozen
class Block:
    """A part of a bar."""

    status: RunStatus
    y: float
    height: float


@attrs.frozen
class Bar:
    """The runs of one step in time."""

    x: float
    width: float
    begin: datetime
    counts: Mapping[RunStatus, int]
    blocks: list[Block]

    @property
    def words(self) -> str:
        """What it shows."""
        return ", ".join(f"{self.counts[status]:,} {status}" for status in reversed(STACK) if self.counts.get(status))


@attrs.frozen
class BarChart:
    """Runs over time, by what became of them."""

    bars: list[Bar]
    highest: int
    """How many runs the highest bar has; it is as high as the chart. 0 where nothing ran."""

    @classmethod
    def of(cls, past: LookBack, now: datetime) -> "BarChart":
        """A bar for each step, the latest on the right."""
        step, width = past.span / past.steps, WIDTH / past.steps
        counts: list[dict[RunStatus, int]] = [{} for _ in range(past.steps)]
        for one in past.activity:
            if 0 <= one.steps_ago < past.steps:
                counts[past.steps - 1 - one.steps_ago][one.status] = one.runs
        highest = max(sum(bar.values()) for bar in counts)
        bars = [
            Bar(at * width, width, now - step * (past.steps - at), bar, _blocks(bar, highest))
            for at, bar in enumerate(counts)
        ]
        return cls(bars, highest)


def _blocks(counts: Mapping[RunStatus, int], highest: int) -> list[Block]:
    blocks: list[Block] = []
    top = float(HEIGHT)
    for status in STACK:
        if counts.get(status):
            # What there is can be seen, however little it is beside the rest.
            height = max(counts[status] / highest * HEIGHT, 2.0)
            top -= height
            blocks.append(Block(status, max(top, 0.0), height))
    return blocks


def step_words(step: timedelta) -> str:
    """What one bar stands for."""
    hours = step.total_seconds() / 3600
    return "hour" if hours == 1 else f"{hours:g} hours"
