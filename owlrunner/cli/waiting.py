"""This is the room for watching a run from a terminal: a live bar there, plain lines elsewhere, or nothing."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import click

from owlrunner.cli.run_text import progress_text, status_of, waiting_text
from owlrunner.client import Client
from owlrunner.errors import OwlRunnerError

Json = dict[str, Any]

STATUSES = {"completed": 0, "failed": 1, "cancelled": 2}
"""How a run ended, as the exit status of whoever waited for it."""


class Watcher(Protocol):
    """Whatever shows how a run comes along."""

    def show(self, run: Json) -> None:
        """Show where the run is now."""

    def tell_outage(self, error: OwlRunnerError) -> None:
        """Show that the server is away, and that we go on asking."""


def wait_for(client: Client, run: Json, *, quiet: bool) -> Json:
    """Watch a run until it has ended and return it. Shows everything on standard error, or nothing at all."""
    with watching(run, quiet=quiet) as watcher:
        watcher.show(run)
        for latest in client.watch(run["id"], watcher.tell_outage):
            run = latest
            watcher.show(run)
    return run


def watching(run: Json, *, quiet: bool) -> AbstractContextManager[Watcher]:
    """What shows a run on standard error as long as the block lasts."""
    if quiet:
        return _nothing(run)
    return _live_bar(run) if sys.stderr.isatty() else _plain_lines(run)


class _Nothing:
    def show(self, run: Json) -> None:
        pass

    def tell_outage(self, error: OwlRunnerError) -> None:
        pass


@contextmanager
def _nothing(run: Json) -> Iterator[Watcher]:  # noqa: ARG001
    yield _Nothing()


class _PlainLines:
    """A line for each thing that is new; the watching itself gets slower, so that long runs do not make long logs."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, run: Json) -> None:
        # Words that count down would be a new line at each look.
        what = " ".join(filter(None, (progress_text(run), waiting_text(run, ticking=False))))
        self._tell(f"{status_of(run)} {what}".rstrip())

    def tell_outage(self, error: OwlRunnerError) -> None:
        self._tell(f"{error}; trying again")

    def _tell(self, line: str) -> None:
        if line != self._last:
            click.echo(line, err=True)
            self._last = line


@contextmanager
def _plain_lines(run: Json) -> Iterator[Watcher]:
    click.echo(f"Waiting for run {run['id']} to end...", err=True)
    yield _PlainLines()


@contextmanager
def _live_bar(run: Json) -> Iterator[Watcher]:
    from owlrunner.cli.live_bar import LiveBar  # noqa: PLC0415 - rich is wanted for this alone

    with LiveBar(run) as bar:
        yield bar
