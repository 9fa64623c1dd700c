"""This is the room for ``owlrunner serve``."""

import click
import trio

from owlrunner.cli.garbage import calm_collector
from owlrunner.cli.leaving import PATIENCE, end_within
from owlrunner.cli.local import catalog_of, configured
from owlrunner.cli.log_output import set_up_logging
from owlrunner.cli.options import Shared, config_option, pass_shared
from owlrunner.config import Config
from owlrunner.plugins import Catalog
from owlrunner.process_signals import stopped_by_signals
from owlrunner.server import run_server


@click.command()
@config_option
@pass_shared
def serve(shared: Shared) -> None:
    """Run a server until it is told to stop.

    SIGTERM or Ctrl-C stops it in an orderly way: runs get the time that server.shutdown_grace says. The second one ends it at once.
    """
    config = configured(shared)
    catalog = catalog_of(config)
    set_up_logging(config.log.level)
    calm_collector()
    status = 1
    try:
        trio.run(_serve, config, catalog)
        status = 0
    finally:
        end_within(PATIENCE, status)


async def _serve(config: Config, catalog: Catalog) -> None:
    stop = trio.Event()
    with stopped_by_signals(stop):
        await run_server(config, catalog, stop)
