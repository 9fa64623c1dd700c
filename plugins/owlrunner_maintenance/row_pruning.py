"""This is the room for the last resort: deleting the oldest rows when no old partition is left to drop."""

import functools
import math
from typing import Any

import attrs
import psycopg

import owlrunner
from owlrunner_maintenance.candidates import Candidate, Found
from owlrunner_maintenance.months import as_instant
from owlrunner_maintenance.names import Name
from owlrunner_maintenance.oldest import UNKNOWN, OldRow, Space, room_to_leave, rows_to_go
from owlrunner_maintenance.queries import changed, rows
from owlrunner_maintenance.sizes import Sizes
from owlrunner_maintenance.space import oldest_rows
from owlrunner_maintenance.units import GONE, LockBusy, Units, reason_of

ROUNDS = 3
"""How often a run looks whether what it deleted was enough."""


class ChangedMeanwhileError(Exception):
    """A partition is not any more what was decided upon."""


@attrs.define
class Done:
    """What a run has done so far."""

    deleted: int = 0
    """Rows."""
    tried: int = 0
    """Rows, with those that somebody else was quicker to delete."""
    audit: list[dict[str, object]] = attrs.field(factory=list)
    failed: dict[str, str] = attrs.field(factory=dict)
    """Partition → why it was passed over."""
    entries: dict[str, dict[str, object]] = attrs.field(factory=dict)
    """Partition → its entry in the audit, if it lost rows."""

    def add(self, label: str, batch: list[OldRow], went: int) -> None:
        """So many rows of a batch were there and are deleted."""
        self.deleted += went
        self.tried += len(batch)
        if label not in self.entries:
            self.entries[label] = {"partition": label, "action": "deleted_rows", "rows": 0}
            self.audit.append(self.entries[label])
        entry = self.entries[label]
        entry |= {"rows": int(str(entry["rows"])) + went, "until": as_instant(batch[-1].written)}


@attrs.frozen
class RowPruning:
    """Deletes rows of the partitions that stay, by age over all of them, until enough space can be used again.

    What cannot be worked on is noted in ``failed`` with the reason, and passed over.
    """

    units: Units
    found: Found
    sizes: Sizes
    done: Done

    async def carry_out(self) -> None:
        """Delete until it fits, counting what new rows can use as free; ``max_pruned_rows`` at most."""
        for _ in range(ROUNDS):
            before = self.done.deleted
            for candidate, listed in (await self.going()).items():
                await self._delete(candidate, listed)
            await self.sizes.look_at_database()
            # Newer rows are not the ones to go because older ones are locked.
            if self.done.deleted == before or self.done.failed:
                break

    async def going(self) -> dict[Candidate, list[OldRow]]:
        """The rows whose turn it is."""
        needed, most = self.sizes.excess, self.units.settings.max_pruned_rows - self.done.tried
        if needed <= 0 or most <= 0:
            return {}
        spaces = [self.sizes.spaces.get(one, UNKNOWN) for one in self.found.staying]
        needed += round(room_to_leave(spaces, self.units.settings.batch_rows))
        oldest: dict[Candidate, list[OldRow]] = {}
        cut: set[Candidate] = set()
        for candidate in self.found.staying:
            space = self.sizes.spaces.get(candidate)
            if space is None or not space.rows or candidate.label in self.done.failed:
                continue
            wanted = min(most, _rows_for(space, needed) + self.units.settings.batch_rows)
            listed = await self._look(candidate, space, wanted)
            if listed:
                oldest[candidate] = listed
                cut |= {candidate} if len(listed) == wanted else set()
        counts = rows_to_go(oldest, needed, most, frozenset(cut))
        return {candidate: listed[: counts[candidate]] for candidate, listed in oldest.items() if counts[candidate]}

    async def _look(self, candidate: Candidate, space: Space, wanted: int) -> list[OldRow]:
        async def work(connection: owlrunner.Connection) -> list[OldRow]:
            return await oldest_rows(connection, candidate.relation, candidate.parent.column, space, wanted)

        self.units.stop_if_cancelled()
        try:
            return await self.units.patiently(candidate.label, work)
        except (psycopg.Error, LockBusy) as error:
            self._pass_over(candidate, error)
            return []

    def _pass_over(self, candidate: Candidate, error: Exception) -> None:
        if self.units.connection.closed:
            raise error
        if not isinstance(error, (*GONE, ChangedMeanwhileError)):
            self.done.failed[candidate.label] = reason_of(error).removeprefix(f"{candidate.label}: ")
        self.sizes.spaces.pop(candidate, None)
        self.units.ctx.log.warning("%s is left alone: %s", candidate.label, reason_of(error))

    async def _delete(self, candidate: Candidate, listed: list[OldRow]) -> None:
        """Delete these rows of one partition and measure it; what was deleted is in the audit however it ends."""
        deleted, step = 0, self.units.settings.batch_rows
        is_all = len(listed) >= self.sizes.spaces[candidate].rows
        try:
            for start in range(0, len(listed), step):
                batch = listed[start : start + step]
                went = await self.units.patiently(
                    candidate.label, functools.partial(_delete_batch, candidate=candidate, batch=batch)
                )
                deleted += went
                self.done.add(candidate.label, batch, went)
                self.units.ctx.progress(start + len(batch), len(listed), f"{candidate.label}: {deleted:,} rows deleted")
        except (psycopg.Error, LockBusy, ChangedMeanwhileError) as error:
            self._pass_over(candidate, error)
        finally:
            self._count_as_free(candidate, sum(row.size for row in listed[:deleted]))
            if deleted:
                until = self.done.entries[candidate.label]["until"]
                self.units.ctx.log.info("deleted %d rows of %s, until %s", deleted, candidate.label, until)
        # One of a month that is over and without a row is emptied next, which gives the space of its indexes back too.
        if not (is_all and self.found.is_over(candidate)):
            await self._vacuum(candidate)
        if candidate in self.sizes.spaces and (problem := await self.sizes.look_again_at(candidate)):
            self.done.failed[candidate.label] = problem

    def _count_as_free(self, candidate: Candidate, freed: float) -> None:
        if space := self.sizes.spaces.get(candidate):
            self.sizes.spaces[candidate] = attrs.evolve(space, reusable=space.reusable + round(freed))

    async def _vacuum(self, candidate: Candidate) -> None:
        """Free the space for new rows. Autovacuum would do it, some time."""
        self.units.stop_if_cancelled()
        try:
            await rows(self.units.connection, "vacuum", partition=candidate.relation.identifier)
        except psycopg.Error as error:
            if self.units.connection.closed:
                raise
            self.units.ctx.log.warning("vacuum of %s: %s", candidate.label, reason_of(error))


async def _delete_batch(connection: owlrunner.Connection, candidate: Candidate, batch: list[OldRow]) -> int:
    partition = candidate.relation.identifier
    await rows(connection, "lock_for_deletion", partition=partition)
    if not await candidate.is_as_found(connection):
        raise ChangedMeanwhileError("it is not a partition with these bounds any more")
    params: dict[str, Any] = {"places": [row.place for row in batch], "until": batch[-1].written}
    return await changed(connection, "delete_oldest", params, partition=partition, column=Name(candidate.parent.column))


def _rows_for(space: Space, needed: float) -> int:
    """About how many rows of a partition have to go to make ``needed`` bytes free."""
    return min(space.rows, math.ceil(max(needed, 0.0) / space.bytes_per_row))
