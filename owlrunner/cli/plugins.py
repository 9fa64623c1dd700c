"""This is the room for ``owlrunner plugins``."""

import click

from owlrunner.cli.local import catalog_of, configured
from owlrunner.cli.options import Shared, config_option, format_option, pass_shared
from owlrunner.cli.printing import clean, print_json, say
from owlrunner.storage.migration_files import wanted_migrations


@click.group()
def plugins() -> None:
    """See what the installed plugins offer."""


@plugins.command("list")
@config_option
@format_option
@pass_shared
def list_plugins(shared: Shared) -> None:
    """List the plugins with their job types and notifiers."""
    catalog = catalog_of(configured(shared))
    if shared.wants_json:
        print_json(
            [
                {
                    "name": plugin.name,
                    "origin": plugin.origin,
                    "job_types": [job_type.name for job_type in plugin.job_types],
                    "notifiers": sorted(plugin.notifiers),
                }
                for plugin in catalog.plugins
            ]
        )
        return
    for plugin in catalog.plugins:
        say(f"{plugin.name} ({clean(plugin.origin)})")
        for job_type in plugin.job_types:
            say(f"  job type {job_type.name}, scope {job_type.scope.value}: {clean(job_type.label)}")
        for notifier in sorted(plugin.notifiers):
            say(f"  notifier {clean(notifier)}")
    if not catalog.plugins:
        say("no plugins are installed")


@plugins.command()
@config_option
@format_option
@pass_shared
def check(shared: Shared) -> None:
    """Load the plugins with their settings, as a starting server does."""
    catalog = catalog_of(configured(shared))
    # Read as `migrate` and `serve` read them: gaps in their numbers, and plugins that must come first.
    wanted_migrations(catalog)
    if shared.wants_json:
        print_json({"ok": True, "plugins": len(catalog.plugins), "job_types": len(catalog.job_types)})
    else:
        say(f"ok: {len(catalog.plugins)} plugin(s), {len(catalog.job_types)} job type(s)")
