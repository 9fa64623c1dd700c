"""This is the room for removing for good what was deleted and not restored within its days of grace."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import attrs
import psycopg
from psycopg import sql

import owlrunner
from owlrunner_maintenance.expiring import Tables, look
from owlrunner_maintenance.foreign_keys import ForeignKeys
from owlrunner_maintenance.names import Name, Relation, in_camel_case
from owlrunner_maintenance.queries import changed, query, rows
from owlrunner_maintenance.roots import Removal, Root, RootTable
from owlrunner_maintenance.settings import MaintenanceSettings
from owlrunner_maintenance.units import MaintenanceFailed, Stopped, Units, reason_of, units_of

NAMED_AT_MOST = 20
"""How many of the things that could not be removed a result names."""


@attrs.define
class _Report:
    """What a run has done."""

    units: Units
    removed: Counter[str] = attrs.field(factory=Counter)
    """Table → rows."""
    restored: int = 0
    failed: dict[str, str] = attrs.field(factory=dict)
    handled: int = 0
    total: int = 0

    def tell(self, message: str) -> None:
        """Tell people how far the run is."""
        self.units.ctx.progress(self.handled, self.total, message)

    @contextlib.contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """Note what could not be done in the block; other things can be."""
        try:
            yield
        except (psycopg.Error, MaintenanceFailed) as error:
            if self.units.connection.closed:
                raise
            self.failed[what] = reason_of(error).removeprefix(f"{what}: ")
            self.units.ctx.log.warning("%s: %s", what, self.failed[what])

    def done(self, what: str) -> None:
        """One thing more is handled, however it ended."""
        self.handled += 1
        self.tell(f"{what} done")

    def result(self, *, cancelled: bool = False) -> dict[str, object]:
        """The run's result: rows removed by table, in camel case; ``notRemoved`` and ``restored`` only where there are any."""
        result: dict[str, object] = {in_camel_case(name): count for name, count in self.removed.items()}
        if self.restored:
            result["restored"] = self.restored
        if self.failed:
            result["notRemoved"] = self._named()
            result["notRemovedCount"] = len(self.failed)
        if cancelled:
            result["cancelled_at"] = self.handled
        return result

    def raise_if_futile(self) -> None:
        """Raise MaintenanceFailed when there was something to remove, and nothing could be."""
        if self.failed and not self.removed.total():
            reasons = "; ".join(f"{what}: {reason}" for what, reason in self._named().items())
            raise MaintenanceFailed(f"nothing could be removed: {reasons}")

    def _named(self) -> dict[str, str]:
        return dict(list(self.failed.items())[:NAMED_AT_MOST])


async def clean_up(ctx: owlrunner.JobContext, settings: MaintenanceSettings) -> dict[str, object]:
    """Remove what was soft-deleted more than ``grace_days`` ago, and return ``_Report.result``.

    Tables that do not exist are left out: they may belong to a plugin that is not installed. A run that is asked to cancel
    returns what it has.

    Raises MaintenanceFailed for a table that cannot be looked after as the settings want it, and when nothing at all could be
    removed.
    """
    async with units_of(ctx, settings) as units:
        report = _Report(units)
        try:
            tables = await units.patiently("looking at the tables", lambda connection: look(connection, settings))
            report.removed.update(dict.fromkeys(tables.counted, 0))
            await _remove_roots(report, tables)
            for leaf in tables.leaves:
                with report.noting(leaf.name):
                    await _remove_leaves(report, leaf, tables.cutoff, tables.keys)
                report.done(leaf.name)
        except Stopped:
            return report.result(cancelled=True)
    report.raise_if_futile()
    return report.result()


async def _remove_roots(report: _Report, tables: Tables) -> None:
    """Remove expired roots, those of children before those of parents."""
    expired: list[Root] = []
    for table in tables.roots:
        with report.noting(table.written):
            expired += [Root(table, key) for key in await _expired(report.units, table, tables.cutoff)]
    report.total = len(expired) + len(tables.leaves)
    report.tell(f"{len(expired)} to remove")
    removal = Removal(report.units, tables.cutoff, tables.linked, report.tell)
    for root in expired:
        report.units.stop_if_cancelled()
        with report.noting(str(root)):
            if await removal.remove(root, report.removed):
                report.units.ctx.log.info("removed %s", root)
            else:
                # Else somebody else has removed it.
                report.restored += await removal.is_there(root)
        report.done(str(root))


async def _expired(units: Units, table: RootTable, cutoff: datetime) -> list[Any]:
    """The keys of the rows of a root table whose grace is over."""
    parts = {
        "root": table.relation.identifier,
        "key": Name(table.key),
        "deleted_at": Name(units.settings.deleted_at_column),
    }

    async def work(connection: owlrunner.Connection) -> list[Any]:
        return [key for (key,) in await rows(connection, "expired_roots", {"cutoff": cutoff}, **parts)]

    return await units.patiently(table.written, work)


async def _remove_leaves(report: _Report, leaf: Relation, cutoff: datetime, keys: ForeignKeys) -> None:
    """Remove the expired rows of one table in batches."""
    settings = report.units.settings
    parts = {
        "table": leaf.identifier,
        "deleted_at": Name(settings.deleted_at_column),
        "held": _held(leaf, keys),
    }

    async def work(connection: owlrunner.Connection) -> int:
        params = {"cutoff": cutoff, "rows": settings.batch_rows}
        return await changed(connection, "delete_expired_batch", params, **parts)

    # Until nothing goes any more: a row may have been held by one that went just now.
    while deleted := await report.units.patiently(leaf.name, work):
        report.removed[leaf.name] += deleted
        report.tell(f"{leaf.name}: {report.removed[leaf.name]:,} rows deleted so far")


def _held(leaf: Relation, keys: ForeignKeys) -> sql.Composed:
    """The condition that leaves out rows which others hang on by a key that refuses."""
    return sql.SQL("\n").join(
        query(
            "held_by",
            child=key.child.identifier,
            match=sql.SQL(" and ").join(
                sql.SQL("holder.{} = leaf.{}").format(Name(own), Name(referred))
                for own, referred in zip(key.child_columns, key.parent_columns, strict=True)
            ),
        )
        for key in keys.refusing(leaf)
    )
