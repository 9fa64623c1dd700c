"""This is the room for the last resort: deleting the oldest rows when no old partition is left to drop."""

import math
from collections.abc import Sequence
from typing import Any

import attrs
import psycopg

import owlrunner
from owlrunner_maintenance.candidates import Candidate
from owlrunner_maintenance.months import as_instant
from owlrunner_maintenance.names import Name
from owlrunner_maintenance.queries import changed, rows
from owlrunner_maintenance.space import MARGIN, Space, measure
from owlrunner_maintenance.tables import Partition
from owlrunner_maintenance.units import GONE, LockBusy, Units, reason_of


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
class RowPruning:
    """Deletes from plain partitions, the oldest first, until enough space can be used again.

    What cannot be worked on is noted in ``failed`` with the reason, and passed over.
    """

    units: Units
    partitions: Sequence[Candidate]
    pruned: Pruned
    failed: dict[str, str]

    async def carry_out(self, excess: int) -> None:
        """Delete until ``excess`` bytes are free for new rows, counting what is free already; ``max_pruned_rows`` at most."""
        spaces = await self._measure_all()
        needed = float(excess - self.pruned.reusable)
        for candidate, space in spaces:
            wanted = min(_wanted(space, needed), self.units.settings.max_pruned_rows - self.pruned.deleted)
            if wanted <= 0:
                continue
            before = self.pruned.deleted
            try:
                await self._delete(candidate, wanted)
            except psycopg.Error as error:
                self._pass_over(candidate, error)
            except LockBusy as error:
                self.failed[candidate.label] = str(error).removeprefix(f"{candidate.label}: ")
            finally:
                freed = (self.pruned.deleted - before) * space.bytes_per_row
                self.pruned.reusable_in[candidate.label] += round(freed)
                needed -= freed
            await self._vacuum(candidate.partition)
            # VACUUM gives back what lies at the end of a table: that is free, but no longer ours.
            await self._measure(candidate)

    async def plan(self, excess: int) -> int:
        """How many rows ``carry_out`` would delete."""
        spaces = await self._measure_all()
        needed, to_go = float(excess - self.pruned.reusable), 0
        for _, space in spaces:
            wanted = min(_wanted(space, needed), self.units.settings.max_pruned_rows - to_go)
            to_go += wanted
            needed -= wanted * space.bytes_per_row
        return to_go

    def _pass_over(self, candidate: Candidate, error: psycopg.Error) -> None:
        if self.units.connection.closed:
            raise error
        if not isinstance(error, GONE):
            self.failed[candidate.label] = reason_of(error)
        self.units.ctx.log.warning("%s is left alone: %s", candidate.label, reason_of(error))

    async def _measure_all(self) -> list[tuple[Candidate, Space]]:
        found = [(candidate, await self._measure(candidate)) for candidate in self.partitions]
        return [(candidate, space) for candidate, space in found if space is not None]

    async def _measure(self, candidate: Candidate) -> Space | None:
        """The space of a partition; None for one that is passed over."""

        async def work(connection: owlrunner.Connection) -> Space:
            return await measure(connection, candidate.partition)

        self.units.stop_if_cancelled()
        try:
            space = await self.units.once(work)
        except psycopg.Error as error:
            self._pass_over(candidate, error)
            return None
        self.pruned.reusable_in[candidate.label] = space.reusable
        return space

    async def _delete(self, candidate: Candidate, wanted: int) -> None:
        """Delete the oldest rows of one partition, batch by batch; what was deleted is in the audit however it ends."""
        label = candidate.label
        parts = {
            "partition": candidate.partition.relation.identifier,
            "column": Name(candidate.parent.column),
        }

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
            entry |= {"rows": self.pruned.deleted - first, "until": as_instant(until)}
            if start == 0:
                self.pruned.audit.append(entry)
            self.units.ctx.progress(start + len(batch), len(oldest), f"{label}: {entry['rows']:,} rows deleted")
        self.units.ctx.log.info("deleted %s rows of %s, until %s", entry["rows"], label, entry["until"])

    async def _vacuum(self, partition: Partition) -> None:
        """Free the space for new rows. Autovacuum would do it, some time."""
        self.units.stop_if_cancelled()
        try:
            await rows(self.units.connection, "vacuum", partition=partition.relation.identifier)
        except psycopg.Error as error:
            if self.units.connection.closed:
                raise
            self.units.ctx.log.warning("vacuum of %s: %s", partition.relation.name, reason_of(error))


def _wanted(space: Space, needed: float) -> int:
    """How many rows of a partition have to go to make ``needed`` bytes free."""
    if not space.rows or needed <= 0:
        return 0
    return min(space.rows, math.ceil((needed + space.total * MARGIN) / space.bytes_per_row))
