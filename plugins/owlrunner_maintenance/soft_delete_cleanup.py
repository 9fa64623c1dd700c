"""This is the room for removing for good what was deleted and not restored within its days of grace."""

from collections import Counter
from datetime import datetime
from typing import Any

import attrs
import psycopg
from psycopg import sql

import owlrunner
from owlrunner_maintenance.foreign_keys import ForeignKeys, foreign_keys
from owlrunner_maintenance.names import Relation, in_camel_case
from owlrunner_maintenance.queries import changed, query, rows
from owlrunner_maintenance.roots import Linked, Removal, Root, RootTable, find_linked, names_of
from owlrunner_maintenance.settings import MaintenanceSettings
from owlrunner_maintenance.units import LockBusy, MaintenanceFailed, Stopped, Units, reason_of, units_of

NAMED_AT_MOST = 20
"""How many of the things that could not be removed a result names."""


@attrs.define
class _Report:
    """What a run has done."""

    removed: Counter[str] = attrs.field(factory=Counter)
    """Table → rows."""
    restored: int = 0
    failed: dict[str, str] = attrs.field(factory=dict)
    handled: int = 0

    def result(self, *, cancelled: bool = False) -> dict[str, object]:
        """The run's result: rows removed by table, in camel case; ``notRemoved`` and ``restored`` only where there are any."""
        result: dict[str, object] = {in_camel_case(name): count for name, count in self.removed.items()}
        if self.restored:
            result["restored"] = self.restored
        if self.failed:
            result["notRemoved"] = dict(list(self.failed.items())[:NAMED_AT_MOST])
            result["notRemovedCount"] = len(self.failed)
        if cancelled:
            result["cancelled_at"] = self.handled
        return result


@attrs.frozen
class _Tables:
    """The configured tables that exist, children before their parents."""

    roots: tuple[RootTable, ...]
    leaves: tuple[Relation, ...]
    linked: tuple[Linked, ...]
    keys: ForeignKeys


async def clean_up(ctx: owlrunner.JobContext, settings: MaintenanceSettings) -> dict[str, object]:
    """Remove what was soft-deleted more than ``grace_days`` ago, and return ``_Report.result``.

    Tables that do not exist are left out: they may belong to a plugin that is not installed. A run that is asked to cancel
    returns what it has.

    Raises MaintenanceFailed for a table that cannot be soft-deleted, and when nothing at all could be removed.
    """
    report = _Report()
    async with units_of(ctx, settings) as units:
        try:
            cutoff, tables = await units.patiently("looking at the tables", lambda connection: _look(connection, units))
            report.removed.update(_zeros(tables, settings))
            await _remove_all(units, report, cutoff, tables)
        except Stopped:
            return report.result(cancelled=True)
    if report.failed and not report.removed.total():
        reasons = "; ".join(f"{what}: {reason}" for what, reason in list(report.failed.items())[:NAMED_AT_MOST])
        raise MaintenanceFailed(f"nothing could be removed: {reasons}")
    return report.result()


def _zeros(tables: _Tables, settings: MaintenanceSettings) -> Counter[str]:
    """Everything that may be counted, so that a result says of each what it was."""
    written = [
        *settings.soft_deleted_roots,
        *settings.soft_deleted_leaves,
        *(linked.table for linked in settings.linked_tables),
    ]
    names = [
        *(name.rpartition(".")[2] for name in written),
        *(one.table.name for root in tables.roots for one in root.below),
    ]
    zeros: Counter[str] = Counter()
    zeros.update(dict.fromkeys(names, 0))
    return zeros


async def _remove_all(units: Units, report: _Report, cutoff: datetime, tables: _Tables) -> None:
    """Remove expired roots, those of children before those of parents, then expired leaves."""
    removal = Removal(units, cutoff, tables.linked)
    expired = [Root(table, key) for table in tables.roots for key in await _expired(units, table, cutoff)]
    total = len(expired) + len(tables.leaves)
    units.ctx.progress(0, total, f"{len(expired)} to remove")
    for root in expired:
        units.stop_if_cancelled()
        try:
            if await removal.remove(root, report.removed):
                units.ctx.log.info("removed %s", root)
            else:
                report.restored += await _exists(units, root)
        except (psycopg.Error, LockBusy) as error:
            _note(units, report, str(root), error)
        report.handled += 1
        units.ctx.progress(report.handled, total, f"{root} done")
    for leaf in tables.leaves:
        try:
            await _remove_leaves(units, report, leaf, cutoff, tables.keys)
        except (psycopg.Error, LockBusy) as error:
            _note(units, report, leaf.name, error)
        report.handled += 1
        units.ctx.progress(report.handled, total, f"{leaf.name} done")


def _note(units: Units, report: _Report, what: str, error: psycopg.Error | LockBusy) -> None:
    """Note what could not be removed; the others can be."""
    if units.connection.closed:
        raise error
    report.failed[what] = reason_of(error).removeprefix(f"{what}: ")
    units.ctx.log.warning("%s: %s", what, report.failed[what])


async def _look(connection: owlrunner.Connection, units: Units) -> tuple[datetime, _Tables]:
    """Find the configured tables, and what hangs on what."""
    settings = units.settings
    ((cutoff,),) = await rows(connection, "cutoff", {"grace_days": settings.grace_days})
    keys = await foreign_keys(connection)
    roots: dict[Relation, RootTable] = {}
    for written in settings.soft_deleted_roots:
        found = await _soft_deletable(connection, written, settings.deleted_at_column)
        if found is None:
            continue
        relation, key = found
        if len(key) != 1:
            raise MaintenanceFailed(f"soft_deleted_roots: {written} needs a primary key of one column")
        roots[relation] = RootTable(written, relation, key[0], tuple(keys.below(relation)))
    leaves = []
    for written in settings.soft_deleted_leaves:
        found = await _soft_deletable(connection, written, settings.deleted_at_column)
        if found is not None:
            leaves.append(found[0])
    linked = []
    for one in settings.linked_tables:
        for root in roots.values():
            if root.written == one.root:
                table = find_linked(one, root, await rows(connection, "linked_table", names_of(one.table)))
                linked += [table] if table is not None else []
    in_order = tuple(roots[one] for one in keys.children_first(list(roots)))
    return cutoff, _Tables(in_order, tuple(keys.children_first(leaves)), tuple(linked), keys)


async def _soft_deletable(
    connection: owlrunner.Connection, written: str, deleted_at: str
) -> tuple[Relation, list[str]] | None:
    """The table that a setting names, with its primary key; None where there is no such table."""
    found = await rows(connection, "soft_deletable_table", {**names_of(written), "deleted_at": deleted_at})
    if not found:
        return None
    ((oid, schema, name, key, can_be_deleted),) = found
    if not can_be_deleted:
        raise MaintenanceFailed(
            f"table {written} has no column {deleted_at} that holds a time, so it cannot be soft-deleted"
        )
    return Relation(oid, schema, name), key


async def _expired(units: Units, table: RootTable, cutoff: datetime) -> list[Any]:
    """The keys of the rows of a root table whose grace is over."""

    async def work(connection: owlrunner.Connection) -> list[Any]:
        parts = {"root": table.relation.identifier, "key": sql.Identifier(table.key)}
        deleted_at = sql.Identifier(units.settings.deleted_at_column)
        return [
            key
            for (key,) in await rows(connection, "expired_roots", {"cutoff": cutoff}, deleted_at=deleted_at, **parts)
        ]

    return await units.patiently(table.written, work)


async def _exists(units: Units, root: Root) -> bool:
    """Whether a root that was not removed is there: it was restored. Else somebody else removed it."""

    async def work(connection: owlrunner.Connection) -> bool:
        return bool(
            await rows(
                connection,
                "root_row",
                {"id": root.id},
                columns=sql.Identifier(root.table.key),
                root=root.table.relation.identifier,
                key=sql.Identifier(root.table.key),
            )
        )

    return await units.patiently(str(root), work)


async def _remove_leaves(units: Units, report: _Report, leaf: Relation, cutoff: datetime, keys: ForeignKeys) -> None:
    """Remove the expired rows of one table in batches."""
    held = sql.SQL("\n").join(
        query(
            "held_by",
            child=key.child.identifier,
            match=sql.SQL(" and ").join(
                sql.SQL("holder.{} = leaf.{}").format(sql.Identifier(own), sql.Identifier(referred))
                for own, referred in zip(key.child_columns, key.parent_columns, strict=True)
            ),
        )
        for key in keys.refusing(leaf)
    )

    async def work(connection: owlrunner.Connection) -> int:
        deleted_at = sql.Identifier(units.settings.deleted_at_column)
        params = {"cutoff": cutoff, "rows": units.settings.batch_rows}
        return await changed(
            connection, "delete_expired_batch", params, table=leaf.identifier, deleted_at=deleted_at, held=held
        )

    deleted = units.settings.batch_rows
    while deleted == units.settings.batch_rows:
        deleted = await units.patiently(leaf.name, work)
        report.removed[leaf.name] += deleted
