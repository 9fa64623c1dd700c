"""This is the room for the root command: which commands there are, and how everything that goes wrong ends as one sentence."""

import importlib
import logging
import os
import sys
from typing import Any

import click

from owlrunner.cli.log_output import is_logging
from owlrunner.cli.options import Shared, api_options, format_option
from owlrunner.cli.printing import complain
from owlrunner.errors import OwlRunnerError
from owlrunner.version import VERSION

TRACEBACK = "OWLRUNNER_TRACEBACK"

COMMANDS = {
    "serve": "Run a server until it is told to stop.",
    "demo": "Run everything with made-up data, to try it out.",
    "jobs": "Trigger, watch and cancel runs through a server's API.",
    "system": "See and do what the owner may, straight on the database: system runs, schedules, servers, notifications.",
    "schedules": "See what the file of schedules means, without a database.",
    "plugins": "See what the installed plugins offer.",
    "config": "Check the configuration.",
    "migrate": "Bring the database to the version that this OwlRunner needs.",
    "admin": "Set up teams, projects, users, keys and integrations, and take away what people hold, straight on the database.",
}
"""Each command with its summary. It lives in the module of its name, which is imported when it is wanted: a server's
libraries take longer to import than a look at a run takes."""


class RootGroup(click.Group):
    """The commands, and what becomes of their errors: a sentence and an exit status, never a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands, in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"owlrunner.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Show the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself explains what is wrong with the command line."""
        # A name in the database may hold what the terminal's encoding has no sign for.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        if os.environ.get("NO_COLOR"):
            # https://no-color.org; rich heeds it by itself.
            ctx.color = False
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except BaseException as error:  # noqa: BLE001 - the last one to catch it
            status = _explain(error, as_json=ctx.ensure_object(Shared).wants_json)
            ctx.exit(status)


def _explain(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong, and return the exit status."""
    error = _one_of(error)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        complain("interrupted", as_json=as_json)
        return 130
    if isinstance(error, OwlRunnerError):
        complain(error, as_json=as_json)
    elif isinstance(error, OSError) and (error.filename or not is_logging()):
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}", as_json=as_json)
    else:
        _report_bug(error, as_json=as_json)
    return 1


def _one_of(error: BaseException) -> BaseException:
    """The one exception of a group that tells most: what nobody expected, else what OwlRunner can explain."""
    leaves = [error]
    while any(isinstance(leaf, BaseExceptionGroup) for leaf in leaves):
        leaves = [
            part for leaf in leaves for part in (leaf.exceptions if isinstance(leaf, BaseExceptionGroup) else [leaf])
        ]

    def expected(leaf: BaseException) -> int:
        return 2 if isinstance(leaf, OwlRunnerError) else 1 if isinstance(leaf, (KeyboardInterrupt, OSError)) else 0

    return min(leaves, key=expected)


def _report_bug(error: BaseException, *, as_json: bool) -> None:
    """A server's log must hold the traceback; whoever typed a command gets it when they ask."""
    sentence = f"this is a bug in OwlRunner or a plugin: {type(error).__name__}: {error}"
    if is_logging():
        logging.getLogger("owlrunner").critical("%s", sentence, exc_info=error)
    elif os.environ.get(TRACEBACK):
        raise error
    else:
        complain(f"{sentence} (set {TRACEBACK}=1 to see where)", as_json=as_json)


@click.group(cls=RootGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(VERSION, prog_name="owlrunner", message="%(prog)s %(version)s")
@api_options
@format_option
def cli() -> None:
    """Background jobs for Trio and PostgreSQL."""


def main() -> None:
    """Run the command line."""
    cli(prog_name="owlrunner")
