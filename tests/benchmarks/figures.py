"""This is the room for what was measured: figures by stage and contestant, goals as ratios within a round, and the tables."""

import json
import platform
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import attrs
from rich.console import Console
from rich.table import Table


class Key(NamedTuple):
    """What a figure is about."""

    stage: str
    contestant: str
    metric: str


@attrs.frozen
class Goal:
    """What shall hold: a figure, or its ratio to another of the same round, by the median of all rounds."""

    text: str
    figure: Key
    at_least: float | None = None
    at_most: float | None = None
    over: Key | None = None

    def met(self, value: float) -> bool:
        """Whether a median is good enough."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@attrs.define
class Figures:
    """All figures, each with one value a round."""

    values: dict[Key, list[float]] = attrs.field(factory=dict)
    on_new: Callable[[Key, float], None] | None = None

    def add(self, stage: str, contestant: str, **metrics: float) -> None:
        """One more round of these."""
        for metric, value in metrics.items():
            key = Key(stage, contestant, metric)
            self.values.setdefault(key, []).append(value)
            if self.on_new is not None:
                self.on_new(key, value)

    def of(self, goal: Goal) -> list[float]:
        """The goal's values, one a round; none where it was not measured."""
        values = self.values.get(goal.figure, [])
        if goal.over is None:
            return values
        return [value / other for value, other in zip(values, self.values.get(goal.over, []), strict=False) if other]

    def write_goals(self, file: Path, goals: list[Goal]) -> None:
        """Write the goals as a table for docs/explanation/performance.md."""
        lines = ["| goal | n | min | median | max | wanted | met |", "|---|---|---|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in _judged(self, goals)]
        file.write_text("\n".join([*lines, ""]))

    def write(self, file: Path, goals: list[Goal]) -> None:
        """Write everything as JSON."""
        judged = [
            {"goal": goal.text, "values": self.of(goal), "met": goal.met(statistics.median(self.of(goal)))}
            for goal in goals
            if self.of(goal)
        ]
        figures = [key._asdict() | {"values": values} for key, values in self.values.items()]
        told: dict[str, Any] = {"machine": machine(), "figures": figures, "goals": judged}
        file.write_text(json.dumps(told, indent=1))


def machine() -> str:
    """On what it was measured."""
    return f"{platform.machine()}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def show(figures: Figures, goals: list[Goal], console: Console) -> None:
    """Print all figures, then the goals."""
    for stage in dict.fromkeys(key.stage for key in figures.values):
        table = Table("contestant", "metric", "n", "min", "median", "max", title=stage, title_justify="left")
        for key, values in figures.values.items():
            if key.stage == stage:
                spread = (min(values), statistics.median(values), max(values))
                table.add_row(key.contestant, key.metric, str(len(values)), *map(_short, spread))
        console.print(table)
    table = Table("goal", "n", "min", "median", "max", "wanted", "met", title="goals", title_justify="left")
    for row in _judged(figures, goals):
        table.add_row(*row)
    console.print(table)


def _judged(figures: Figures, goals: list[Goal]) -> Iterator[tuple[str, ...]]:
    for goal in goals:
        values = figures.of(goal)
        if values:
            median = statistics.median(values)
            wanted = f"≥ {goal.at_least:g}" if goal.at_least is not None else f"≤ {goal.at_most:g}"
            yield (
                goal.text,
                str(len(values)),
                _short(min(values)),
                _short(median),
                _short(max(values)),
                wanted,
                "yes" if goal.met(median) else "NO",
            )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
