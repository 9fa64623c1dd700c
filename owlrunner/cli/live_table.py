"""This is the room for the live table: a team's newest runs, as many as the terminal has lines, drawn anew as they change."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from owlrunner.cli.printing import one_line
from owlrunner.cli.run_text import (
    COLOURS,
    duration,
    moment,
    progress_of,
    share,
    status_of,
    triggered_by,
    waiting_text,
)
from owlrunner.client import ENDED
from owlrunner.errors import OwlRunnerError

KEPT = 200
"""How many runs are remembered."""
WIDE = 150
"""Columns from which on there is room for ids, which one wants to copy."""
AROUND = 6
"""Lines of the table that are no run: title, header, rules, the line below."""


class LiveTable:
    """A table on the whole terminal, which is as it was before when the watching ends."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._runs: dict[str, dict[str, Any]] = {}
        self._outage = ""
        # Drawn twice a second also when nothing comes: durations go on.
        self._live = Live(get_renderable=self.drawn, console=self._console, screen=True, refresh_per_second=2)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, run: dict[str, Any]) -> None:
        """Take in a run as it is now."""
        self._outage = ""
        self._runs[run["id"]] = run
        for run_id in sorted(self._runs, key=lambda run_id: str(self._runs[run_id]["created_at"]))[:-KEPT]:
            del self._runs[run_id]

    def tell_outage(self, error: OwlRunnerError) -> None:
        """Say below the table that it is not up to date."""
        self._outage = f"{one_line(str(error))}; trying again"

    def drawn(self) -> RenderableType:
        """The table as it is now."""
        table = Table(expand=True, box=None, header_style="bold", padding=(0, 1))
        has_ids = self._console.width >= WIDE
        if has_ids:
            table.add_column("ID", no_wrap=True)
        for head, settings in {
            "Status": {"no_wrap": True},
            "Type": {"no_wrap": True, "ratio": 2},
            "Progress": {"no_wrap": True, "ratio": 2},
            "": {"no_wrap": True, "ratio": 3},
            "Duration": {"no_wrap": True},
            "By": {"no_wrap": True},
            "Created": {"no_wrap": True},
        }.items():
            table.add_column(head, **settings)  # type: ignore[arg-type]
        # The drawing is another thread's: the runs are looked at as they are at one moment.
        runs = sorted(
            self._runs.copy().values(), key=lambda run: (str(run["created_at"]), str(run["id"])), reverse=True
        )
        for run in runs[: max(1, self._console.height - AROUND)]:
            table.add_row(*([Text(str(run["id"]))] if has_ids else []), *_cells(run))
        active = sum(run["status"] not in ENDED for run in runs)
        below = Text(self._outage, style="yellow") if self._outage else Text(f"{active} active · Ctrl-C ends", "dim")
        return Group(table, Text(), below)


def _cells(run: dict[str, Any]) -> list[RenderableType]:
    processed, total, message = progress_of(run) or (0, 0, "")
    bar: RenderableType = Text(share(processed, total)) if processed or total else Text()
    if total and run["status"] == "running":
        bar = ProgressBar(total=total, completed=processed)
    return [
        Text(status_of(run), style=COLOURS.get(status_of(run), "")),
        Text(one_line(str(run["job_type"])), overflow="ellipsis"),
        bar,
        Text(one_line(str(run["error"])) if run.get("error") else waiting_text(run) or message, overflow="ellipsis"),
        Text(duration(run)),
        Text(triggered_by(run)),
        Text(moment(run.get("created_at"))),
    ]
