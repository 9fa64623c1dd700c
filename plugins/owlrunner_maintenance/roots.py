"""This is the room for removing one soft-deleted root with all that hangs on it, unless it was restored meanwhile."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import attrs
import psycopg
from psycopg import sql

import owlrunner
from owlrunner_maintenance.foreign_keys import Below, ForeignKey
from owlrunner_maintenance.hanging import Hanging, WeighedRemoval, batches
from owlrunner_maintenance.names import Name, Relation
from owlrunner_maintenance.queries import changed, columns, query, rows
from owlrunner_maintenance.settings import LinkedTable
from owlrunner_maintenance.units import MaintenanceFailed, Units

T = TypeVar("T")

LOOK_AHEAD = 100_000
"""For how many rows one look finds the places, from which batches then delete."""

Place = tuple[int, str]
"""Where a locked row is: its table's ``oid`` and its ``ctid`` there."""
Going = dict[Relation, set[Place]]
"""The rows that go with a root, as far as they must be known."""


@attrs.frozen
class RootTable:
    """A table each row of which is the root of what hangs on it."""

    written: str
    """As the settings name it."""
    relation: Relation
    key: str
    """The one column of its primary key."""
    below: Below


@attrs.frozen
class Linked:
    """A linked table that exists."""

    settings: LinkedTable
    root: Relation
    root_key: str
    relation: Relation
    stored: sql.Composed
    """The bytes of one of its rows."""
    hanging: Hanging | None
    """What hangs on its rows, to be weighed and counted where they go in batches."""

    @property
    def parts(self) -> dict[str, sql.Composable]:
        """What queries about it need."""
        return {"table": self.relation.identifier, "column": Name(self.settings.column)}


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
    tell: Callable[[str], None]
    """Takes a line about what was done."""

    async def remove(self, root: Root, removed: Counter[str]) -> bool:
        """Remove one root and count what went; False if it is not there any more, or not to go any more.

        Raises psycopg.Error, LockBusy or MaintenanceFailed when it could not be removed: then it is whole, but for what went in
        batches.
        """
        for linked in self.linked:
            in_batches = linked.settings.batches and linked.root in root.table.below.spine
            if in_batches and not await self._remove_batches(root, linked, removed):
                return False
        went = await self._unit(root, "update", lambda connection, going: self._remove_root(connection, root, going))
        removed.update(went)
        return went is not None

    async def is_there(self, root: Root) -> bool:
        """Whether a root is there, to go or not."""
        return await self.units.patiently(str(root), lambda connection: _is_there(connection, root))

    async def _remove_batches(self, root: Root, linked: Linked, removed: Counter[str]) -> bool:
        """Remove what may be millions of rows, a batch per transaction; False once the root is not to go any more."""
        name, step = linked.relation.name, self.units.settings.batch_rows
        most = max(step, LOOK_AHEAD)

        async def look(connection: owlrunner.Connection, going: Going) -> list[tuple[Any, ...]]:
            params = {"ids": await _ids(connection, linked, going), "batch": step, "rows": most}
            params["bytes"] = self.units.settings.batch_bytes
            parts = linked.parts | {"stored": linked.stored}
            return await rows(connection, "linked_places", params, **parts) if params["ids"] else []

        deleted = most
        # A look that was not full was the last: what comes in meanwhile goes with the root, else a busy writer kept us here.
        while deleted == most:
            found = await self._unit(root, "share", look)
            if found is None:
                return False
            deleted = 0
            for schema, table, places in found:
                try:
                    batch = await self._remove_places(root, linked, Name(schema, table), places)
                except psycopg.errors.UndefinedTable:
                    # The partition was dropped meanwhile, and its rows with it.
                    batch = Counter()
                if batch is None:
                    return False
                deleted += batch[name]
                removed.update(batch)
                self.tell(f"{root}: {removed[name]:,} rows of {linked.settings.table} deleted so far")
        return True

    async def _remove_places(self, root: Root, linked: Linked, stored_in: Name, places: str) -> Counter[str] | None:
        """Remove one batch of rows with what hangs on them; None once the root is not to go any more."""
        parts = linked.parts | {"table": stored_in}
        if linked.hanging is not None:
            removal = WeighedRemoval(self.units.settings, linked.hanging, parts | {"stored": linked.stored})
            return await self._remove_weighed(root, linked, removal, places)

        async def work(connection: owlrunner.Connection, going: Going) -> Counter[str]:
            # Asked again each time: what was moved away from the root in the meantime keeps its rows.
            params = {"ids": await _ids(connection, linked, going), "places": places}
            return Counter({linked.relation.name: await changed(connection, "delete_linked_batch", params, **parts)})

        return await self._unit(root, "share", work)

    async def _remove_weighed(
        self, root: Root, linked: Linked, removal: WeighedRemoval, places: str
    ) -> Counter[str] | None:
        """Remove rows with what hangs on them in as many transactions as that takes."""

        async def unit(work: Callable[[owlrunner.Connection, list[Any]], Awaitable[T]]) -> T | None:
            async def with_ids(connection: owlrunner.Connection, going: Going) -> T:
                return await work(connection, await _ids(connection, linked, going))

            return await self._unit(root, "share", with_ids)

        gone: Counter[str] = Counter()
        for batch in batches(await unit(partial(removal.weigh, places=places)) or [], self.units.settings):
            keys = [one.key for one in batch]
            if batch[0].weight.exceeds(self.units.settings):
                while piece := await unit(partial(removal.lighten, keys=keys)):
                    gone += piece
            went = await unit(partial(removal.delete, keys=keys, name=linked.relation.name))
            if went is None:
                return None
            gone += went
        return gone

    async def _remove_root(self, connection: owlrunner.Connection, root: Root, going: Going) -> Counter[str]:
        """The root's transaction: first what refuses, last the root."""
        ids = [(linked, await _ids(connection, linked, going)) for linked in self.linked]
        went = await _delete_linked(connection, ids)
        for table in root.table.below.order:
            for key in root.table.below.hanging:
                if key.child == table:
                    at = _at(going.get(key.parent, ()))
                    went[table.name] += await changed(connection, "delete_hanging", at, **_names(key))
            if places := going.get(table):
                parts = {"table": table.identifier, "at_places": query("at_places")}
                await changed(connection, "delete_at_places", _at(places), **parts)
                # In a circle PostgreSQL's cascade may have been there first.
                went[table.name] += len(places)
        if await _is_there(connection, root):
            raise MaintenanceFailed("the database has kept it: a trigger or a rule stands in the way")
        # Those who write without a lock on what their rows belong to may have written meanwhile.
        return went + await _delete_linked(connection, ids)

    async def _unit(
        self, root: Root, strength: str, work: Callable[[owlrunner.Connection, Going], Awaitable[T]]
    ) -> T | None:
        """Do a unit of work on a root that is locked and all that goes with it; None when it is not to go any more."""

        async def locked(connection: owlrunner.Connection) -> T | None:
            going = await self._lock(connection, root, sql.SQL(strength))
            return None if going is None else await work(connection, going)

        return await self.units.patiently(str(root), locked)

    async def _lock(self, connection: owlrunner.Connection, root: Root, strength: sql.SQL) -> Going | None:
        """Lock a root, then downwards whatever of the spine hangs on it, so that nothing can come in between or leave."""
        found = await rows(
            connection,
            "lock_root",
            {"id": root.id, "cutoff": self.cutoff},
            root=root.table.relation.identifier,
            key=Name(root.table.key),
            deleted_at=Name(self.units.settings.deleted_at_column),
            strength=strength,
        )
        if not found:
            return None
        going: Going = {root.table.relation: set(found)}
        waiting: list[tuple[Relation, Iterable[Place]]] = [(root.table.relation, found)]
        while waiting:
            parent, places = waiting.pop()
            for key in root.table.below.hops:
                if key.parent == parent:
                    below = set(await rows(connection, "lock_below", _at(places), strength=strength, **_names(key)))
                    # Without those that are known already: tables may refer to each other in a circle.
                    new = below - going.setdefault(key.child, set())
                    going[key.child] |= new
                    waiting += [(key.child, new)] if new else []
        return going


async def _is_there(connection: owlrunner.Connection, root: Root) -> bool:
    parts = {"root": root.table.relation.identifier, "key": Name(root.table.key)}
    return bool(await rows(connection, "root_row", {"id": root.id}, **parts))


async def _ids(connection: owlrunner.Connection, linked: Linked, going: Going) -> list[Any]:
    """The keys of the rows that go to which rows of a linked table belong."""
    places = going.get(linked.root)
    if not places:
        return []
    parts = {
        "table": linked.root.identifier,
        "key": Name(linked.root_key),
        "at_places": query("at_places"),
    }
    return [key for (key,) in await rows(connection, "keys_at_places", _at(places), **parts)]


async def _delete_linked(connection: owlrunner.Connection, ids: list[tuple[Linked, list[Any]]]) -> Counter[str]:
    """Delete what belongs to the rows of these keys, and count it."""
    went: Counter[str] = Counter()
    for linked, keys in ids:
        if keys:
            went[linked.relation.name] += await changed(connection, "delete_linked", {"ids": keys}, **linked.parts)
    return went


def _at(places: Iterable[Place]) -> dict[str, Any]:
    """Places as parameters of ``at_places``."""
    relations, places_in_them = [], []
    for relation, place in places:
        relations.append(relation)
        places_in_them.append(place)
    return {"relations": relations, "places": places_in_them}


def _names(key: ForeignKey) -> dict[str, sql.Composable]:
    """What queries that go down a foreign key need."""
    return {
        "child": key.child.identifier,
        "columns": columns(key.child_columns),
        "parent": key.parent.identifier,
        "referred": columns(key.parent_columns),
        "at_places": query("at_places"),
    }
