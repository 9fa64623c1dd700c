"""This is the room for the live bar: how far the run has come, what it says, and how long it has taken."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TimeElapsedColumn
from rich.text import Text

from owlrunner.cli.printing import one_line
from owlrunner.cli.run_text import COLOURS, progress_of, share, status_of, waiting_text
from owlrunner.errors import OwlRunnerError


class _Words(ProgressColumn):
    """One of the task's fields, as it is: no markup."""

    def __init__(self, field: str) -> None:
        super().__init__()
        self._field = field

    def render(self, task: Task) -> Text:
        """Render it on one line, however narrow the terminal is."""
        return Text(
            task.fields[self._field], style=task.fields[f"{self._field}_style"], no_wrap=True, overflow="ellipsis"
        )


class LiveBar:
    """A bar on standard error that stays there when the run has ended."""

    def __init__(self, run: dict[str, Any], console: Console | None = None) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            _Words("status"),
            BarColumn(bar_width=24),
            _Words("share"),
            TimeElapsedColumn(),
            _Words("message"),
            console=console or Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=None, **_fields(run))

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, run: dict[str, Any]) -> None:
        """Show where the run is now; without a total the bar only says that something moves."""
        processed, total, _ = progress_of(run) or (0, 0, "")
        if run["status"] == "completed" and not total:
            processed = total = 1
        if run["status"] != "completed" and total and processed == total:
            # rich stops the clock at a full bar, and the run has not ended.
            self._progress.update(self._task, total=total, completed=total - 1e-6, **_fields(run))
        else:
            self._progress.update(self._task, total=total or None, completed=processed, **_fields(run))
        if run["status"] in {"failed", "cancelled"}:
            self._progress.stop_task(self._task)

    def tell_outage(self, error: OwlRunnerError) -> None:
        """Say that the server is away; the bar stays where it was."""
        self._progress.update(self._task, message=f"{one_line(str(error))}; trying again", message_style="yellow")


def _fields(run: dict[str, Any]) -> dict[str, Any]:
    processed, total, message = progress_of(run) or (0, 0, "")
    status = status_of(run)
    return {
        "status": status,
        "status_style": COLOURS.get(status, ""),
        "share": share(processed, total) if processed or total else "",
        "share_style": "",
        "message": waiting_text(run) or message,
        "message_style": "",
    }
