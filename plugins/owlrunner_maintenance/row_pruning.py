"""This is the room for the last resort: deleting the oldest rows when no old partition is left to drop."""

import math
from collections.abc import Sequence
from typing import Any

import attrs
import psycopg
from psycopg import sql

import owlrunner
from owlrunner_maintenance.queries import changed, rows
from owlrunner_maintenance.space import MARGIN, Space, measure
from owlrunner_maintenance.tables import Partition
from owlrunner_maintenance.units import IN_THE_WAY, LockBusy, Units, reason_of

_GONE = psycopg.errors.UndefinedTable
_LEAVE_ALONE: tuple[type[psycopg.Error], ...] = (*IN_THE_WAY, _GONE)


@attrs.define
class Pruned:
    """What was deleted so far, and the space that deletions, earlier ones too, have left for new rows."""

    deleted: int = 0
    reusable_in: dict[str, int] = attrs.field(factory=dict)
    """Partition → bytes."""
    audit: list[dict[str, object]] = attrs.field(factory=list)

    @property
    def reusable(self) -> int:
        """Bytes that can be used before the database grows."""
        return sum(self.reusable_in.values())


@attrs.frozen
class Part:
    """A plain partition to delete from, by its column of time."""

    label: str
    column: str
    partition: Partition


@attrs.frozen
class RowPruning:
    """Deletes from partitions, the oldest first, until enough space can be used again."""

    units: Units
    parts: Sequence[Part]
    pruned: Pruned
    failed: dict[str, str]

    async def carry_out(self, excess: int) -> None:
        """Delete until ``excess`` bytes are free for new rows, counting what is free already; ``max_pruned_rows`` at most."""
        spaces = [(part, await self._measure(part)) for part in self.parts]
        needed = float(excess - self.pruned.reusable)
        for part, space in spaces:
            wanted = min(_wanted(space, needed), self.units.settings.max_pruned_rows - self.pruned.deleted)
            if space is None or wanted <= 0:
                continue
            before = self.pruned.deleted
            try:
                await self._delete(part, wanted)
            except LockBusy as error:
                self.failed[part.label] = str(error).removeprefix(f"{part.label}: ")
            except psycopg.Error as error:
                if self.units.connection.closed:
                    raise
                if not isinstance(error, _GONE):
                    self.failed[part.label] = reason_of(error)
            finally:
                freed = (self.pruned.deleted - before) * space.bytes_per_row
                self.pruned.reusable_in[part.label] += round(freed)
                needed -= freed
            await self._vacuum(part.partition)
            # VACUUM gives back what lies at the end of a table: that is free, but no longer ours.
            await self._measure(part)

    async def plan(self, excess: int) -> int:
        """How many rows ``carry_out`` would delete."""
        spaces = [await self._measure(part) for part in self.parts]
        needed, to_go = float(excess - self.pruned.reusable), 0
        for space in spaces:
            wanted = min(_wanted(space, needed), self.units.settings.max_pruned_rows - to_go)
            if space is not None and wanted > 0:
                to_go += wanted
                needed -= wanted * space.bytes_per_row
        return to_go

    async def _measure(self, part: Part) -> Space | None:
        """The space of a partition; None for one that is locked or gone."""

        async def work(connection: owlrunner.Connection) -> Space:
            return await measure(connection, part.partition)

        self.units.stop_if_cancelled()
        try:
            space = await self.units.once(work)
        except _LEAVE_ALONE as error:
            self.units.ctx.log.warning("%s is left alone: %s", part.label, reason_of(error))
            return None
        self.pruned.reusable_in[part.label] = space.reusable
        return space

    async def _delete(self, part: Part, wanted: int) -> None:
        """Delete the oldest rows of one partition, batch by batch; what was deleted is in the audit however it ends."""
        label = part.label
        parts = {"partition": part.partition.relation.identifier, "column": sql.Identifier(part.column)}

        async def look(connection: owlrunner.Connection) -> list[tuple[Any, ...]]:
            return await rows(connection, "oldest_rows", {"rows": wanted}, **parts)

        oldest = await self.units.patiently(label, look)
        if not oldest:
            return
        entry: dict[str, object] = {"partition": label, "action": "deleted_rows", "rows": 0, "until": ""}
        first = self.pruned.deleted
        step = self.units.settings.batch_rows
        for start in range(0, len(oldest), step):
            batch = oldest[start : start + step]
            until = batch[-1][1]

            async def delete(connection: owlrunner.Connection, batch: Any = batch, until: str = until) -> int:
                places = [place for place, _ in batch]
                return await changed(connection, "delete_oldest", {"places": places, "until": until}, **parts)

            self.pruned.deleted += await self.units.patiently(label, delete)
            entry |= {"rows": self.pruned.deleted - first, "until": until}
            if start == 0:
                self.pruned.audit.append(entry)
            self.units.ctx.progress(start + len(batch), len(oldest), f"{label}: {entry['rows']:,} rows deleted")

    async def _vacuum(self, partition: Partition) -> None:
        """Free the space for new rows. Autovacuum would do it, some time."""
        self.units.stop_if_cancelled()
        try:
            await rows(self.units.connection, "vacuum", partition=partition.relation.identifier)
        except psycopg.Error as error:
            if self.units.connection.closed:
                raise
            self.units.ctx.log.warning("vacuum of %s: %s", partition.relation.name, reason_of(error))


def _wanted(space: Space | None, needed: float) -> int:
    """How many rows of a partition have to go to make ``needed`` bytes free."""
    if space is None or not space.rows or needed <= 0:
        return 0
    return min(space.rows, math.ceil((needed + space.total * MARGIN) / space.bytes_per_row))
