"""This is the room for ``owlrunner config``."""

from pathlib import Path

import click

from owlrunner.cli.local import catalog_of, configured
from owlrunner.cli.options import Shared, config_option, format_option, pass_shared
from owlrunner.cli.printing import clean, print_json, say
from owlrunner.config import Config, MailConfig, NotificationsConfig, WebConfig
from owlrunner.connection_string import describe
from owlrunner.plugins import Catalog
from owlrunner.schedules_file import read_schedules


@click.group()
def config() -> None:
    """Check the configuration."""


@config.command()
@config_option
@format_option
@pass_shared
def check(shared: Shared) -> None:
    """Load the configuration, the plugins' settings and the schedules, and show what is set up; secrets are left out."""
    loaded = configured(shared)
    catalog = catalog_of(loaded)
    facts = {
        "database": _database(loaded),
        "web": _web(loaded.web),
        "mail": _mail(loaded.mail),
        "alerts": _alerts(loaded.notifications),
        "notifiers": ", ".join(sorted(catalog.named_notifiers(loaded.notifications.notifiers))) or "none",
        "server": f"capacity {loaded.server.capacity}, lease {loaded.server.lease:g} s, wakeups by {loaded.server.wakeups}",
        "log": loaded.log.level,
        "plugins": ", ".join(plugin.name for plugin in catalog.plugins) or "none",
        "schedules": _schedules(loaded, catalog),
    }
    if shared.wants_json:
        print_json({"ok": True} | facts)
        return
    say("ok")
    for what, how in facts.items():
        say(f"{what:<9} {clean(how)}")


def _schedules(loaded: Config, catalog: Catalog) -> str:
    """What recurs, and what does not though it could."""
    schedules = read_schedules(loaded.server.schedules, catalog)
    wanted = ", ".join(one.name for one in schedules.wanted) or "none"
    return wanted + "".join(f"; {name} is off: {reason}" for name, reason in schedules.off.items())


def _database(loaded: Config) -> str:
    """Where the database is, without the password that may stand anywhere in its address."""
    if not loaded.database.url:
        return f"OwlRunner's own PostgreSQL under {Path(loaded.database.data_dir).expanduser().absolute()}"
    return describe(loaded.database.url)


def _web(web: WebConfig) -> str:
    return f"http://{f'[{web.host}]' if ':' in web.host else web.host}:{web.port}" if web.enabled else "off"


def _alerts(notifications: NotificationsConfig) -> str:
    return f"{notifications.alerts}, to {notifications.alert_email}" if notifications.alert_email else "to nobody"


def _mail(mail: MailConfig) -> str:
    return f"{mail.host}:{mail.port}, {mail.security}, from {mail.sender}" if mail.host else "written to the log"
