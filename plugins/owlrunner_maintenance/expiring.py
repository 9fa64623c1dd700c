"""This is the room for finding the tables in which things are soft-deleted, and what hangs on what."""

from datetime import datetime

import attrs

import owlrunner
from owlrunner_maintenance.foreign_keys import ForeignKeys, foreign_keys
from owlrunner_maintenance.hanging import Hanging
from owlrunner_maintenance.names import Names, Relation
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.roots import Linked, RootTable
from owlrunner_maintenance.settings import LinkedTable, MaintenanceSettings
from owlrunner_maintenance.space import stored_bytes
from owlrunner_maintenance.units import MaintenanceFailed


@attrs.frozen
class Tables:
    """The configured tables that exist, children before their parents."""

    cutoff: datetime
    """What was deleted before this moment goes."""
    roots: tuple[RootTable, ...]
    leaves: tuple[Relation, ...]
    linked: tuple[Linked, ...]
    keys: ForeignKeys
    counted: tuple[str, ...]
    """Every table of which rows may be counted, those that do not exist too: a result says of each what it was."""


async def look(connection: owlrunner.Connection, settings: MaintenanceSettings) -> Tables:
    """Find the tables that the settings name.

    Raises MaintenanceFailed for one that cannot be soft-deleted, has no key by which to name a row, or would take roots with it.
    """
    ((cutoff,),) = await rows(connection, "cutoff", {"grace_days": settings.grace_days})
    keys = await foreign_keys(connection)
    found: dict[str, tuple[Relation, str]] = {}
    for written in settings.soft_deleted_roots:
        for relation, key in await _soft_deletable(connection, written, settings.deleted_at_column):
            if len(key) != 1:
                raise MaintenanceFailed(f"soft_deleted_roots: {written} needs a primary key of one column")
            found[written] = relation, key[0]
    linked = [
        await _linked(connection, one, found[one.root], Relation(*row), keys)
        for one in settings.linked_tables
        if one.root in found
        for row in await rows(connection, "linked_table", attrs.asdict(Names.of(one.table)))
    ]
    belonged_to = {one.root for one in linked}
    roots = {
        relation: RootTable(written, relation, key, keys.below(relation, belonged_to))
        for written, (relation, key) in found.items()
    }
    leaves = [
        relation
        for written in settings.soft_deleted_leaves
        for relation, _ in await _soft_deletable(connection, written, settings.deleted_at_column)
    ]
    for leaf in leaves:
        if taken := sorted(roots[one].written for one in ({leaf} | keys.reached_from(leaf)) & roots.keys()):
            raise MaintenanceFailed(
                f"soft_deleted_leaves: {leaf.name} would take rows of {', '.join(taken)} with it; "
                "name it in soft_deleted_roots alone"
            )
    return Tables(
        cutoff,
        tuple(roots[one] for one in keys.children_first(roots)),
        tuple(keys.children_first(leaves)),
        tuple(linked),
        keys,
        (
            *(Names.of(written).name for written in settings.soft_deleted_roots),
            *(Names.of(written).name for written in settings.soft_deleted_leaves),
            *(Names.of(one.table).name for one in settings.linked_tables),
            *(table.name for root in roots.values() for table in root.below.order),
            *(table.relation.name for one in linked if one.hanging for table in one.hanging.tables),
        ),
    )


async def _linked(
    connection: owlrunner.Connection, one: LinkedTable, root: tuple[Relation, str], table: Relation, keys: ForeignKeys
) -> Linked:
    return Linked(
        one,
        *root,
        table,
        await stored_bytes(connection, table),
        await Hanging.on(connection, keys, table) if one.batches else None,
    )


async def _soft_deletable(
    connection: owlrunner.Connection, written: str, deleted_at: str
) -> list[tuple[Relation, list[str]]]:
    """The table that a setting names, with its primary key; nothing where there is no such table."""
    params = attrs.asdict(Names.of(written)) | {"deleted_at": deleted_at}
    found = []
    for oid, schema, name, key, can_be_deleted in await rows(connection, "soft_deletable_table", params):
        if not can_be_deleted:
            raise MaintenanceFailed(
                f"table {written} has no column {deleted_at} that holds a time, so it cannot be soft-deleted"
            )
        found.append((Relation(oid, schema, name), key))
    return found
