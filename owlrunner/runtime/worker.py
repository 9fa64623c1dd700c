"""This is the room for claiming pending runs while there is room, and seeing each to its end."""

import logging
import math
from collections.abc import Callable, Iterable
from uuid import UUID

import trio

from owlrunner.context import JobContext
from owlrunner.errors import DatabaseTrouble
from owlrunner.job_type import AnyJobType
from owlrunner.runtime.execution import Attempt, execute
from owlrunner.runtime.handler_connections import HandlerConnections
from owlrunner.runtime.held_runs import HeldRuns
from owlrunner.runtime.recorder import Recorder
from owlrunner.storage import attempts
from owlrunner.storage.attempts import ClaimedRun
from owlrunner.storage.postgres import Database
from owlrunner.storage.wakeups import Bell

FEW, MANY = 100, 500
"""One statement claims half of what the server has room for in all, so that the next is under way while these are executed, but
at least FEW, below which statements cost more than that gains, and at most MANY."""
OUTAGE_DELAY = 1.0
CLAIM_PATIENCE = 10.0
"""Seconds that a sent claim gets to be answered when the server is stopping."""
UNSURE_TIME = 60.0
"""Seconds for which a claim without an answer may still take effect."""

logger = logging.getLogger(__name__)


class Worker:
    """Claims for one server."""

    def __init__(
        self,
        db: Database,
        *,
        job_types: Iterable[AnyJobType],
        held: HeldRuns,
        recorder: Recorder,
        connections: HandlerConnections,
        bell: Bell,
        server_id: Callable[[], UUID],
        longest_sleep: float,
    ) -> None:
        self._db = db
        self._connections = connections
        self._job_types = {job_type.name: job_type for job_type in job_types}
        self._unlimited = [job_type.name for job_type in self._job_types.values() if job_type.max_running is None]
        self._limited = [
            (job_type.name, job_type.max_running)
            for job_type in self._job_types.values()
            if job_type.max_running is not None
        ]
        self._held = held
        self._most_at_once = min(MANY, max(FEW, held.capacity // 2))
        self._recorder = recorder
        self._bell = bell
        # Asked at each claim: a server that lost its lease registers anew, under a new id.
        self._server_id = server_id
        self._longest_sleep = longest_sleep
        self._unsure_until = -math.inf

    async def claim(self, runs: trio.Nursery) -> None:
        """Claim for ever, and start each run in the nursery.

        The nursery outlives this loop: at shutdown no more is claimed, but runs go on.
        """
        while True:
            rung = self._bell.listen()
            try:
                if trio.current_time() < self._unsure_until:
                    await self._release_unstarted()
                await self._wait_for_room()
                claimed = await self._claim_once(runs)
                sleep = 0.0 if claimed else await self._until_due()
            except DatabaseTrouble as error:
                logger.warning("cannot claim: %s", error)
                # The claim may have taken effect though its answer was lost; nobody would execute those runs.
                self._unsure_until = trio.current_time() + UNSURE_TIME
                sleep = OUTAGE_DELAY
            if sleep > 0:
                with trio.move_on_after(sleep):
                    await rung.wait()

    @property
    def _room(self) -> int:
        """How many more runs may be claimed."""
        # Outcomes that wait are no burden until they are as many as we execute. Beyond that they count: what a slow database does
        # not take must not pile up here, where a crash would lose it.
        return self._held.capacity - len(self._held) - max(0, self._recorder.backlog - self._held.capacity)

    async def _wait_for_room(self) -> None:
        while self._room <= 0:
            if len(self._held) < self._held.capacity:
                await self._recorder.next_flush()
            else:
                await self._held.one_ended()

    async def _claim_once(self, runs: trio.Nursery) -> int:
        """Claim what there is room for, and return how many that were."""
        room = min(self._room, self._most_at_once)
        server_id = self._server_id()
        count = 0
        async with self._db.session() as session:
            # A claim that was sent takes effect even if we are cancelled before its answer is read, and nobody would execute those
            # runs. So the answer is always read; a stopping server then starts them, and they share the fate of the others.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLAIM_PATIENCE):
                if self._unlimited:
                    count += self._start(
                        await attempts.claim_pending(session, server_id, self._unlimited, room), server_id, runs
                    )
                for name, max_running in self._limited:
                    if room > count:
                        count += self._start(
                            await attempts.claim_limited(session, server_id, name, max_running, room - count),
                            server_id,
                            runs,
                        )
        return count

    async def _release_unstarted(self) -> None:
        """Give back what was claimed in our name without our knowing. Only this loop claims, so nothing is on its way here."""
        known = [(attempt.ctx.run_id, attempt.ctx.attempt) for attempt in self._held] + self._recorder.unwritten
        async with self._db.session() as session:
            released = await attempts.release_unstarted(session, self._server_id(), known)
        for run_id in released:
            logger.warning("run %s was claimed by a statement whose answer was lost; it goes back", run_id)

    async def _until_due(self) -> float:
        """Seconds to sleep unless woken."""
        async with self._db.session() as session:
            due = await attempts.next_due(session, self._unlimited + [name for name, _ in self._limited])
        if due is None:
            return self._longest_sleep
        # What is due already but was not claimed waits for its job type's limit, or for another server's lock.
        return min(due, self._longest_sleep) if due > 0 else OUTAGE_DELAY

    def _start(self, claimed: list[ClaimedRun], server_id: UUID, runs: trio.Nursery) -> int:
        for run in claimed:
            ctx = JobContext(
                run_id=run.id,
                job_type=run.job_type,
                project_id=run.project_id,
                team_id=run.team_id,
                attempt=run.attempt,
                connect=self._connections.open,
                on_news=self._recorder.note,
            )
            attempt = Attempt(self._job_types[run.job_type], ctx, server_id, run.max_attempts)
            self._held.add(attempt)
            self._recorder.watch(attempt)
            runs.start_soon(self._see_to_its_end, attempt, run.params, name=run.job_type)
        return len(claimed)

    async def _see_to_its_end(self, attempt: Attempt, params: object) -> None:
        try:
            outcome = await execute(attempt, params)
            self._recorder.ended(attempt, outcome)
        finally:
            self._recorder.forget(attempt)
            self._held.remove(attempt)
