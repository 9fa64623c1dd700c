"""This is the room for text that is drawn anew on a terminal until Ctrl-C: what ``--watch`` shows."""

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import click
import trio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from owlrunner.cli.options import Shared
from owlrunner.cli.printing import one_line
from owlrunner.errors import DatabaseTrouble

PAUSE = 2.0
"""Seconds between two looks."""

watch_option = click.option("--watch", is_flag=True, help=f"Draw it anew every {PAUSE:g} seconds until Ctrl-C.")


def require_terminal(shared: Shared) -> None:
    """Raise UsageError where text that is drawn anew would be of no use."""
    if shared.wants_json:
        raise click.UsageError("--watch draws a table for people; leave out --format json")
    if not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal, and standard output is none")


async def keep_drawing(look: Callable[[], Awaitable[str]], console: Console | None = None) -> None:
    """Draw what ``look`` returns, again and again. When the database is away it says so, and shows what was seen last."""
    shown = ""
    # Drawn by us alone: the thread that would do it by the clock is not needed.
    with Live(console=console or Console(), auto_refresh=False) as live:
        while True:
            try:
                shown = await look()
                footer = "Ctrl-C ends this"
            except DatabaseTrouble as error:
                footer = f"{one_line(str(error))}; trying again"
            drawn = Text.from_ansi(shown, no_wrap=True, overflow="ellipsis")
            drawn.append(f"\n{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}  {footer}", style="bright_black")
            live.update(drawn, refresh=True)
            await trio.sleep(PAUSE)
