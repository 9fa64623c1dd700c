"""This is the room for what hangs on rows that go in batches: weighed before, so that no transaction is too big, and counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import attrs
from psycopg import sql

import owlrunner
from owlrunner_maintenance.foreign_keys import ForeignKeys
from owlrunner_maintenance.names import Name, Relation
from owlrunner_maintenance.queries import changed, rows
from owlrunner_maintenance.settings import MaintenanceSettings
from owlrunner_maintenance.space import stored_bytes


@attrs.frozen
class Weight:
    """What goes with a deletion."""

    rows: int
    size: int
    """Bytes, as they are stored."""

    def exceeds(self, settings: MaintenanceSettings) -> bool:
        """Whether it is too much for one transaction."""
        return self.rows > settings.batch_rows or self.size > settings.batch_bytes

    def plus(self, other: "Weight") -> "Weight":
        """Both together."""
        return Weight(self.rows + other.rows, self.size + other.size)


@attrs.frozen
class Weighed:
    """A row that is to go, with how much hangs on it."""

    key: Any
    size: int
    hanging: Counter[str] = attrs.field(factory=Counter)
    """Table → rows."""
    hanging_size: int = 0

    @property
    def weight(self) -> Weight:
        """Its own and that of what hangs on it."""
        return Weight(1 + self.hanging.total(), self.size + self.hanging_size)


def batches(weighed: Iterable[Weighed], settings: MaintenanceSettings) -> Iterator[list[Weighed]]:
    """The rows in lists of which none exceeds what a transaction may be, but for one row that does so by itself."""
    batch: list[Weighed] = []
    together = Weight(0, 0)
    for one in weighed:
        if batch and together.plus(one.weight).exceeds(settings):
            yield batch
            batch, together = [], Weight(0, 0)
        batch.append(one)
        together = together.plus(one.weight)
    if batch:
        yield batch


@attrs.frozen
class HangingTable:
    """A table whose rows go by PostgreSQL's cascade when a row goes that they refer to, by one column."""

    relation: Relation
    column: str
    stored: sql.Composed

    @property
    def parts(self) -> dict[str, sql.Composable]:
        """What queries about it need."""
        return {"table": self.relation.identifier, "column": Name(self.column)}


@attrs.frozen
class Hanging:
    """What hangs on the rows of a table by their key. What hangs on that in turn is left to PostgreSQL's cascade."""

    key: str
    tables: tuple[HangingTable, ...]

    @classmethod
    async def on(cls, connection: owlrunner.Connection, keys: ForeignKeys, table: Relation) -> Self | None:
        """Find it; None where nothing hangs on the table."""
        found = [
            one
            for one in keys.keys
            if one.parent == table and one.child != table and one.on_delete == "c" and len(one.child_columns) == 1
        ]
        if not found:
            return None
        key = found[0].parent_columns
        return cls(
            key[0],
            tuple(
                [
                    HangingTable(one.child, one.child_columns[0], await stored_bytes(connection, one.child))
                    for one in found
                    if one.parent_columns == key
                ]
            ),
        )

    async def weigh(self, connection: owlrunner.Connection, found: Sequence[tuple[Any, int]]) -> list[Weighed]:
        """Weigh rows, of which the keys and the own bytes are known."""
        weighed = {key: Weighed(key, size) for key, size in found}
        for table in self.tables:
            params = {"ids": list(weighed)}
            for key, count, size in await rows(
                connection, "hanging_weights", params, stored=table.stored, **table.parts
            ):
                one = weighed[key]
                one.hanging[table.relation.name] += count
                weighed[key] = attrs.evolve(one, hanging_size=one.hanging_size + size)
        return list(weighed.values())

    async def delete(self, connection: owlrunner.Connection, keys: Sequence[Any]) -> Counter[str]:
        """Delete all that hangs on the rows of these keys, and count it by table."""
        gone: Counter[str] = Counter()
        for table in self.tables:
            gone[table.relation.name] += await changed(connection, "delete_linked", {"ids": list(keys)}, **table.parts)
        return gone

    async def delete_piece(
        self, connection: owlrunner.Connection, keys: Sequence[Any], settings: MaintenanceSettings
    ) -> Counter[str]:
        """Delete as much of it as one transaction may, of one table, and count it; nothing when nothing hangs there any more."""
        params = {"ids": list(keys), "rows": settings.batch_rows, "bytes": settings.batch_bytes}
        for table in self.tables:
            went = await changed(connection, "delete_hanging_piece", params, stored=table.stored, **table.parts)
            if went:
                return Counter({table.relation.name: went})
        return Counter()


@attrs.frozen
class WeighedRemoval:
    """The steps in which rows of a table that belong to others, by ids, go with what hangs on them."""

    settings: MaintenanceSettings
    hanging: Hanging
    parts: dict[str, sql.Composable]
    """What queries about the table need."""

    async def weigh(self, connection: owlrunner.Connection, ids: list[Any], places: str) -> list[Weighed]:
        """Weigh the rows at these places."""
        params = {"ids": ids, "places": places}
        found = await rows(connection, "linked_keys", params, key=Name(self.hanging.key), **self.parts)
        return await self.hanging.weigh(connection, [(key, size) for key, size in found])

    async def lighten(self, connection: owlrunner.Connection, ids: list[Any], keys: list[Any]) -> Counter[str]:
        """Delete a piece of what hangs on rows, and count it."""
        return await self.hanging.delete_piece(connection, await self._lock(connection, ids, keys), self.settings)

    async def delete(
        self, connection: owlrunner.Connection, ids: list[Any], keys: list[Any], name: str
    ) -> Counter[str]:
        """Delete rows and what hangs on them, and count it; the rows under ``name``."""
        locked = await self._lock(connection, ids, keys)
        gone = await self.hanging.delete(connection, locked)
        params = {"keys": locked}
        gone[name] += await changed(connection, "delete_linked_keys", params, key=Name(self.hanging.key), **self.parts)
        return gone

    async def _lock(self, connection: owlrunner.Connection, ids: list[Any], keys: list[Any]) -> list[Any]:
        # What was moved away from the root in the meantime keeps its rows.
        params = {"ids": ids, "keys": keys}
        found = await rows(connection, "lock_linked_keys", params, key=Name(self.hanging.key), **self.parts)
        return [key for (key,) in found]
