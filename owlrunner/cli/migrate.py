"""This is the room for ``owlrunner migrate``."""

import click

from owlrunner.cli.local import on_database
from owlrunner.cli.options import Shared, config_option, format_option, pass_shared
from owlrunner.cli.printing import print_json, say
from owlrunner.plugins import Catalog
from owlrunner.storage.migration_files import Migration, wanted_migrations
from owlrunner.storage.migrations import migrate as apply_missing
from owlrunner.storage.postgres import Database


@click.command()
@config_option
@format_option
@pass_shared
def migrate(shared: Shared) -> None:
    """Bring the database to the version that this OwlRunner needs.

    Each migration is one transaction, under a lock that all servers share. Those of the plugins come after OwlRunner's own.
    """
    done = on_database(shared, _migrate, may_create=True)
    names = [f"{migration.owner}/{migration.number:04}_{migration.name}" for migration in done]
    if shared.wants_json:
        print_json({"applied": names})
        return
    for name in names:
        say(f"applied {name}")
    if not names:
        say("nothing to do: the database is up to date")


async def _migrate(db: Database, catalog: Catalog) -> list[Migration]:
    return await apply_missing(db, wanted_migrations(catalog))
