"""This is the room for removing one soft-deleted root with all that hangs on it, unless it was restored meanwhile."""

from collections import Counter
from datetime import datetime
from typing import Any

import attrs
import psycopg
from psycopg import sql

import owlrunner
from owlrunner_maintenance.foreign_keys import Below, Chain
from owlrunner_maintenance.names import Names, Relation
from owlrunner_maintenance.queries import changed, columns, query, rows
from owlrunner_maintenance.settings import LinkedTable
from owlrunner_maintenance.units import Units


@attrs.frozen
class RootTable:
    """A table each row of which is the root of what hangs on it."""

    written: str
    """As the settings name it."""
    relation: Relation
    key: str
    """The one column of its primary key."""
    below: tuple[Below, ...]


@attrs.frozen
class Linked:
    """A linked table that exists."""

    settings: LinkedTable
    root: RootTable
    relation: Relation
    leaves: tuple[Relation, ...]
    """Where its rows are stored: its partitions, or itself."""


@attrs.frozen
class Root:
    """One row to be removed."""

    table: RootTable
    id: Any

    def __str__(self) -> str:
        """As people find it."""
        return f"{self.table.written} {self.id}"


@attrs.frozen
class Removal:
    """Removes roots that were deleted before ``cutoff``. What it counts is rows by the name of their table."""

    units: Units
    cutoff: datetime
    linked: tuple[Linked, ...]

    async def remove(self, root: Root, removed: Counter[str]) -> bool:
        """Remove one root and count what went; False if it is not there any more, or not to go any more."""
        if not await self._remove_batches(root, removed):
            return False

        async def work(connection: owlrunner.Connection) -> Counter[str] | None:
            return await self._remove_root(connection, root)

        went = await self.units.patiently(str(root), work)
        if went is None:
            return False
        removed.update(went)
        return True

    async def _remove_batches(self, root: Root, removed: Counter[str]) -> bool:
        """Remove what may be millions of rows, a batch per transaction, for as long as the root is still to go."""
        for linked in self.linked:
            if not linked.settings.batches:
                continue
            ids = await self._linked_ids(root, linked)
            for leaf in linked.leaves if ids else ():
                while True:
                    deleted = await self._remove_batch(root, linked, leaf, ids)
                    if deleted is None:
                        return False
                    if not deleted:
                        break
                    removed[linked.relation.name] += deleted
                    self._tell(root, linked, removed)
        return True

    def _tell(self, root: Root, linked: Linked, removed: Counter[str]) -> None:
        progress = self.units.ctx.last_progress
        if progress is not None:
            message = f"{root}: {removed[linked.relation.name]:,} rows of {linked.settings.table} deleted so far"
            self.units.ctx.progress(progress.processed, progress.total, message)

    async def _linked_ids(self, root: Root, linked: Linked) -> list[Any]:
        async def work(connection: owlrunner.Connection) -> list[Any]:
            return await self._ids(connection, root, linked.root)

        return await self.units.once(work)

    async def _remove_batch(self, root: Root, linked: Linked, leaf: Relation, ids: list[Any]) -> int | None:
        """Delete one batch and return its rows; None when the root is not to go any more."""

        async def work(connection: owlrunner.Connection) -> int | None:
            if not await self._still_goes(connection, root, "hold_root"):
                return None
            return await changed(
                connection,
                "delete_linked_batch",
                {"ids": ids, "rows": self.units.settings.batch_rows},
                table=leaf.identifier,
                column=sql.Identifier(linked.settings.column),
            )

        try:
            return await self.units.patiently(str(root), work)
        except psycopg.errors.UndefinedTable:
            # The partition was dropped meanwhile, and its rows with it.
            return 0

    async def _remove_root(self, connection: owlrunner.Connection, root: Root) -> Counter[str] | None:
        """The root's transaction: children first, then the root."""
        if not await self._still_goes(connection, root, "lock_root"):
            return None
        went: Counter[str] = Counter()
        for linked in self.linked:
            # Those in batches too: some may have come in since.
            ids = await self._ids(connection, root, linked.root)
            if ids:
                went[linked.relation.name] += await changed(
                    connection,
                    "delete_linked",
                    {"ids": ids},
                    table=linked.relation.identifier,
                    column=sql.Identifier(linked.settings.column),
                )
        for table, chains in root.table.below:
            for chain in chains:
                went[table.name] += await changed(
                    connection,
                    "delete_below",
                    {"id": root.id},
                    table=table.identifier,
                    columns=columns(chain[-1].child_columns),
                    above=_above(root.table, chain[:-1], chain[-1].parent_columns),
                )
        key = sql.Identifier(root.table.key)
        went[root.table.relation.name] += await changed(
            connection, "delete_root", {"id": root.id}, root=root.table.relation.identifier, key=key
        )
        return went

    async def _still_goes(self, connection: owlrunner.Connection, root: Root, how: str) -> bool:
        found = await rows(
            connection,
            how,
            {"id": root.id, "cutoff": self.cutoff},
            root=root.table.relation.identifier,
            key=sql.Identifier(root.table.key),
            deleted_at=sql.Identifier(self.units.settings.deleted_at_column),
        )
        return bool(found)

    async def _ids(self, connection: owlrunner.Connection, root: Root, wanted: RootTable) -> list[Any]:
        """The keys of the rows of ``wanted`` that go with the root."""
        if wanted.relation == root.table.relation:
            return [root.id]
        found: dict[Any, None] = {}
        for table, chains in root.table.below:
            for chain in chains if table == wanted.relation else ():
                statement = _above(root.table, chain, (wanted.key,))
                cursor = await connection.execute(statement, {"id": root.id})
                found |= {key: None for (key,) in await cursor.fetchall()}
        return list(found)


def _above(root: RootTable, chain: Chain, wanted: tuple[str, ...]) -> sql.Composed:
    """The columns of the rows at the end of a chain."""
    if not chain:
        key = sql.Identifier(root.key)
        return query("root_row", columns=columns(wanted), root=root.relation.identifier, key=key)
    last = chain[-1]
    return query(
        "keys_below",
        columns=columns(wanted),
        table=last.child.identifier,
        reference=columns(last.child_columns),
        above=_above(root, chain[:-1], last.parent_columns),
    )


def find_linked(settings: LinkedTable, root: RootTable, found: list[tuple[Any, ...]]) -> Linked | None:
    """A linked table from what PostgreSQL says of it; None where there is no such table."""
    tables = [(Relation(oid, schema, name), itself, plain) for oid, schema, name, itself, plain in found]
    for table, itself, _ in tables:
        if itself:
            return Linked(settings, root, table, tuple(leaf for leaf, _, plain in tables if plain))
    return None


def names_of(written: str) -> dict[str, str | None]:
    """A configured name as parameters of a query."""
    names = Names.of(written)
    return {"schema": names.schema, "name": names.name}
