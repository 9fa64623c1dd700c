"""This is the room for what a run of db_pruning knows of sizes: that of the database, and the space in each partition."""

import functools

import attrs
import psycopg

import owlrunner
from owlrunner_maintenance.candidates import Candidate, Found
from owlrunner_maintenance.oldest import UNKNOWN, Part, Space, excess
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.space import measure
from owlrunner_maintenance.units import GONE, LockBusy, Units, reason_of


@attrs.define
class Sizes:
    """Sizes in bytes, as they were when they were looked at last."""

    units: Units
    limit: int
    database: int = 0
    spaces: dict[Candidate, Space] = attrs.field(factory=dict)
    """Candidates in the order of their age, without those that are gone."""

    @property
    def reusable(self) -> int:
        """What can be used before the database grows, left by deletions of whoever."""
        return sum(space.reusable for space in self.spaces.values())

    @property
    def excess(self) -> int:
        """What is too much; 0 or less when it fits."""
        return excess(self.database, self.spaces.values(), self.limit)

    def parts(self, found: Found) -> dict[Candidate, Part]:
        """The partitions as decisions need them."""
        return {
            one: Part(space, stays=one in found.staying, over=found.is_over(one)) for one, space in self.spaces.items()
        }

    async def look_at_database(self) -> None:
        """Look how big the database is."""

        async def work(connection: owlrunner.Connection) -> int:
            ((size,),) = await rows(connection, "database_size")
            return int(size)

        self.database = await self.units.once(work)

    async def look_at(self, found: Found) -> None:
        """Measure every partition until it fits.

        Whoever has one locked is not waited for: of that one nothing is known, and nothing counts as free.
        """
        self.spaces = dict.fromkeys([*found.old, *found.staying], UNKNOWN)
        # From the newest on: these are the ones with free space, and the oldest may be about to go.
        for candidate in reversed(self.spaces):
            self.units.stop_if_cancelled()
            try:
                self.spaces[candidate] = await self.units.once(functools.partial(measure_all, candidate=candidate))
            except psycopg.Error as error:
                if self.units.connection.closed:
                    raise
                self.units.ctx.log.info("%s is not measured: %s", candidate.label, reason_of(error))
            if self.excess <= 0:
                break

    async def look_again_at(self, candidate: Candidate) -> str:
        """Measure one partition, patiently. Returns why it could not be measured, or "" - also for one that is gone."""
        try:
            self.spaces[candidate] = await self.units.patiently(
                candidate.label, functools.partial(measure_all, candidate=candidate)
            )
        except GONE:
            self.spaces.pop(candidate, None)
        except LockBusy as error:
            return str(error).removeprefix(f"{candidate.label}: ")
        except psycopg.Error as error:
            if self.units.connection.closed:
                raise
            return reason_of(error)
        return ""


async def measure_all(connection: owlrunner.Connection, candidate: Candidate) -> Space:
    """Measure the plain tables of a candidate together."""
    found = [await measure(connection, leaf) for leaf in candidate.leaves]
    return Space(
        sum(one.total for one in found),
        sum(one.rows for one in found),
        sum(one.reusable for one in found),
        sum(one.live for one in found),
        any(one.emptying_frees for one in found),
    )
