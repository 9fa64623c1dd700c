"""This is the room for ``owlrunner demo``: its options, and what it prints when it is ready."""

import shlex
import sys
from pathlib import Path

import attrs
import click
import trio

from owlrunner.cli.local import find_modules
from owlrunner.cli.log_output import set_up_logging
from owlrunner.cli.printing import print_json_line, say
from owlrunner.demo.show import SYNC_SECONDS, DemoOptions, Ready, run_demo
from owlrunner.process_signals import stopped_by_signals


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8321, show_default=True, help="0 takes any that is free."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".owlrunner/demo"),
    show_default=True,
    help="Where everything is kept, for the next time too.",
)
@click.option(
    "--plugin", "plugins", multiple=True, metavar="MODULE", help="Load this module as a plugin; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready, and nothing else.")
@click.option("--sync-seconds", type=click.FloatRange(0.1, 600), default=SYNC_SECONDS, hidden=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", hidden=True)
def demo(
    *, port: int, data_dir: Path, plugins: tuple[str, ...], as_json: bool, sync_seconds: float, log_level: str
) -> None:
    """Run everything with made-up data, to try it out.

    A PostgreSQL of its own, a stand-in for RevenueCat, a team, a project, users and a key. Ctrl-C stops it all; the data stays.
    """
    set_up_logging(log_level)
    find_modules(plugins)
    options = DemoOptions(port, data_dir.absolute(), plugins, sync_seconds)
    trio.run(_demo, options, as_json)


async def _demo(options: DemoOptions, as_json: bool) -> None:
    def announce(ready: Ready) -> None:
        if as_json:
            print_json_line(attrs.asdict(ready))
        else:
            say(_welcome(ready, options.data_dir))

    stop = trio.Event()
    with stopped_by_signals(stop):
        await run_demo(options, stop, announce)


def _welcome(ready: Ready, data_dir: Path) -> str:
    return f"""
The demo is ready at {ready.url}

  Team        {ready.team_id}
  Project     {ready.project_id}
  API key     {ready.api_key}
  Owner       {ready.email}
  Dashboard   {ready.url}/dashboard (sign in as the owner; the page shows the code)
  RevenueCat  {ready.revenuecat_url} (a stand-in)
  PostgreSQL  {ready.database_url}
  Data        {data_dir}

Paste this into another terminal to sync some 350 customers, and watch:

  export OWLRUNNER_ENDPOINT={ready.url}
  export OWLRUNNER_API_KEY={ready.api_key}
  export OWLRUNNER_PROJECT_ID={ready.project_id}
  {_own_command()} jobs trigger revenuecat_sync --wait

Ctrl-C stops everything; the data stays for the next time.
"""


def _own_command() -> str:
    """How this program was started, so that what is printed works in any folder's terminal."""
    started_as = Path(sys.argv[0]).absolute()
    if started_as.name == "owlrunner":
        return shlex.quote(str(started_as))
    return f"{shlex.quote(sys.executable)} -m owlrunner"
