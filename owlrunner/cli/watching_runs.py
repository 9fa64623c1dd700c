"""This is the room for watching all runs of a team from a terminal: a table that stays true there, lines elsewhere."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from owlrunner.cli.printing import note, one_line, print_json_line, say
from owlrunner.cli.run_text import moment, progress_text, status_of, waiting_text
from owlrunner.cli.waiting import Watcher
from owlrunner.errors import OwlRunnerError

Json = dict[str, Any]


@contextmanager
def watching_runs(*, wants_json: bool) -> Iterator[Watcher]:
    """What shows runs as they change."""
    if wants_json or not sys.stdout.isatty():
        yield _Lines(wants_json=wants_json)
        return
    from owlrunner.cli.live_table import LiveTable  # noqa: PLC0415 - rich is wanted for this alone

    with LiveTable() as table:
        yield table


class _Lines:
    """A line for each change."""

    def __init__(self, *, wants_json: bool) -> None:
        self._wants_json = wants_json

    def show(self, run: Json) -> None:
        if self._wants_json:
            print_json_line(run)
        else:
            say(_line(run))

    def tell_outage(self, error: OwlRunnerError) -> None:
        note(f"{error}; trying again")


def _line(run: Mapping[str, Any]) -> str:
    at = moment(run.get("completed_at") or run.get("started_at") or run.get("created_at"))
    what = " ".join(filter(None, (progress_text(run), waiting_text(run, ticking=False))))
    return f"{at} {run['id']} {status_of(run):<10} {one_line(str(run['job_type']))} {what}".rstrip()
