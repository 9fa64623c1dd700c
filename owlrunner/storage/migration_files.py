"""Which migrations this code and its plugins have: numbered SQL files, in the order in which they apply."""

import hashlib
import re
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import attrs

from owlrunner.errors import PluginError
from owlrunner.plugins import Catalog, Plugin

CORE = "owlrunner"

_COMPATIBLE = re.compile(rb"(?:--[^\n]*\n)*-- compatible: yes\n")
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


@attrs.frozen
class Migration:
    """One numbered SQL file of one owner: the core, or a plugin."""

    owner: str
    number: int
    name: str
    sql: bytes = attrs.field(repr=False)

    @property
    def file(self) -> str:
        """What messages call it."""
        return f"{self.owner}/{self.number:04}_{self.name}.sql"

    @property
    def checksum(self) -> str:
        """A hash of its text, the same whatever a checkout does to line ends."""
        return hashlib.sha256(self.sql.replace(b"\r\n", b"\n")).hexdigest()

    @property
    def compatible(self) -> bool:
        """Whether code that does not know it may go on, as a line of its first comment says: ``-- compatible: yes``.

        That is so where it only adds what older statements do not see. What takes something away needs all servers to be new.
        """
        return _COMPATIBLE.match(self.sql) is not None


def wanted_migrations(catalog: Catalog) -> list[Migration]:
    """Return all migrations of this code and its plugins, in the order in which they apply: the core's first.

    Plugins go by name, and each behind those that it says it comes after.

    Raises PluginError for a plugin's folder that cannot be used, or an order that cannot be.
    """
    wanted = _in_folder(CORE, files("owlrunner.storage") / "migrations")
    for plugin in _in_order(catalog.plugins):
        if plugin.migrations is not None:
            wanted += _in_folder(plugin.name, plugin.migrations.folder)
    return wanted


def _in_order(plugins: Iterable[Plugin]) -> list[Plugin]:
    """The plugins in the order of their migrations."""
    by_name = {plugin.name: plugin for plugin in sorted(plugins, key=lambda plugin: plugin.name)}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, plugin in by_name.items():
        before = plugin.migrations.after if plugin.migrations is not None else ()
        for other in before:
            if other not in by_name:
                raise PluginError(f"plugin {name}: its migrations come after those of {other}, which is not installed")
        sorter.add(name, *before)
    ordered: list[Plugin] = []
    try:
        sorter.prepare()
    except CycleError as error:
        raise PluginError(
            f"the migrations of plugins come after each other in a circle: {' < '.join(error.args[1])}"
        ) from None
    while sorter.is_active():
        # Of those that are ready the first by name: the same order everywhere.
        ready = sorted(sorter.get_ready())
        ordered += [by_name[name] for name in ready]
        sorter.done(*ready)
    return ordered


def _in_folder(owner: str, folder: Path | Traversable) -> list[Migration]:
    """The folder's migrations by number, without gaps."""
    found = []
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise PluginError(f"plugin {owner}: its folder of migrations cannot be read: {error}") from None
    for entry in entries:
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE.fullmatch(entry.name)
        if match is None:
            raise PluginError(f"plugin {owner}: a migration is named like 0001_what_it_does.sql, got {entry.name}")
        found.append(Migration(owner, int(match[1]), match[2], entry.read_bytes()))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise PluginError(
            f"plugin {owner}: migrations are numbered 0001, 0002, … without gaps, got {[migration.number for migration in found]}"
        )
    return found
