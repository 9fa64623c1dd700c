"""Claim pending runs while there is room, and see each to its end.

How it works. One loop claims for the server: as many due runs as there is room for, in one statement, under the
registration that holds. Then it sleeps until the next run is due, or until a ring says that there is one.

A claim that was sent takes effect whether or not its answer arrives: late, after our deadline, or with the connection
gone. Then runs stand in our name that nobody executes. So what the database says is compared with what we hold, after each claim
without an answer and in every half of a lease, and what we do not know goes back to be claimed. Only this loop claims,
so nothing is on its way meanwhile.
"""

import logging
import math
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

import trio

from owlrunner.context import JobContext
from owlrunner.errors import DatabaseTrouble
from owlrunner.fingerprint import fingerprint_of
from owlrunner.job_type import AnyJobType
from owlrunner.runtime.execution import Attempt, execute, holds_an_interrupt, raised, torn_down
from owlrunner.runtime.handler_connections import HandlerConnections
from owlrunner.runtime.held_runs import HeldRuns
from owlrunner.runtime.recorder import Recorder
from owlrunner.runtime.run_logs import CaughtRunLogs
from owlrunner.storage import attempts
from owlrunner.storage.attempts import ClaimedRun, Offer
from owlrunner.storage.postgres import Database
from owlrunner.storage.wakeups import Bell

FEW, MANY = 100, 500
"""One statement claims half of what the server has room for in all, so that the next is under way while these are executed, but
at least FEW, below which statements cost more than that gains, and at most MANY."""
OUTAGE_DELAY = 1.0

logger = logging.getLogger(__name__)


class Membership(Protocol):
    """Under which registration this server may claim."""

    @property
    def is_member(self) -> bool:
        """Whether the latest registration holds."""

    async def joined(self) -> UUID:
        """Wait until there is a registration that holds; after one was lost it is another one."""


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
        held_bell: Bell,
        membership: Membership,
        logs: CaughtRunLogs,
        longest_sleep: float,
        check_interval: float,
        on_round: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._db = db
        self._connections = connections
        self._job_types = {job_type.name: job_type for job_type in job_types}
        self._offers = [
            Offer(job_type.name, fingerprint_of(job_type), job_type.max_running)
            for job_type in self._job_types.values()
        ]
        self._fingerprints = {offer.job_type: offer.fingerprint for offer in self._offers}
        self._held = held
        self._most_at_once = min(MANY, max(FEW, held.capacity // 2))
        self._recorder = recorder
        self._bell = bell
        self._held_bell = held_bell
        self._membership = membership
        self._logs = logs
        # Whoever compares the database with what we hold must not meet a claim that is on its way.
        self._claiming = trio.Lock()
        self._longest_sleep = longest_sleep
        self._check_interval = check_interval
        self._on_round = on_round
        self._next_check = -math.inf

    async def claim(self, runs: trio.Nursery) -> None:
        """Claim for ever, and start each run in the nursery.

        The nursery outlives this loop: at shutdown no more is claimed, but runs go on.
        """
        while True:
            server_id = await self._membership.joined()
            rung = self._bell.listen()
            try:
                if trio.current_time() >= self._next_check:
                    await self.release_unstarted(server_id)
                    self._next_check = trio.current_time() + self._check_interval
                await self._wait_for_room()
                claimed = await self._claim_once(server_id, runs)
                sleep = 0.0 if claimed else min(await self._until_due(), self._next_check - trio.current_time())
            except DatabaseTrouble as error:
                logger.warning("cannot claim: %s", error)
                # The claim may take effect though its answer was lost; nobody would execute those runs.
                self._next_check = -math.inf
                sleep = OUTAGE_DELAY
            else:
                self._on_round(max(sleep, 0.0))
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
        if self._room <= 0:
            # However long the runs take that are executed.
            self._on_round(math.inf)
        while self._room <= 0:
            if len(self._held) < self._held.capacity:
                await self._recorder.next_flush()
            else:
                await self._held.one_ended()

    async def _claim_once(self, server_id: UUID, runs: trio.Nursery) -> int:
        """Claim what there is room for, and return how many that were."""
        # A cancel request that comes after the claim and before we hold the run rings for nothing, unless we ring again.
        asked = self._held_bell.listen()
        # A claim that was sent takes effect even if we are cancelled before its answer is read. So the answer is always
        # read, for as long as the pool waits for any; a stopping server then starts those runs, and they share the fate
        # of the others.
        async with self._claiming_alone():
            with trio.CancelScope(shield=True):
                async with self._db.session() as session:
                    claimed = await attempts.claim_pending(
                        session, server_id, self._offers, min(self._room, self._most_at_once)
                    )
            if not self._membership.is_member:
                # Lost while the answer was on its way. What was claimed is given back before this server joins anew.
                return 0
            self._start(claimed, server_id, runs)
        if claimed and asked.is_set():
            self._held_bell.ring()
        return len(claimed)

    @asynccontextmanager
    async def _claiming_alone(self) -> AsyncIterator[None]:
        """Hold the lock, without a checkpoint where it is free: claims overlap with the work that the last one brought."""
        try:
            self._claiming.acquire_nowait()
        except trio.WouldBlock:
            await self._claiming.acquire()
        try:
            yield
        finally:
            self._claiming.release()

    async def release_unstarted(self, server_id: UUID) -> None:
        """Give back what was claimed in our name without our knowing. Raises DatabaseTrouble."""
        async with self._claiming_alone(), self._db.session() as session:
            # Taken now, because waiting for the connection takes time.
            known = [(attempt.ctx.run_id, attempt.ctx.attempt) for attempt in self._held] + self._recorder.unwritten
            released = await attempts.release_unstarted(session, server_id, known)
        for run_id in released:
            logger.warning("run %s was claimed by a statement whose answer was lost; it goes back", run_id)

    async def _until_due(self) -> float:
        """Seconds to sleep unless woken."""
        async with self._db.session() as session:
            due = await attempts.next_due(session, list(self._job_types))
        if due is None:
            return self._longest_sleep
        # What is due already but was not claimed waits for its job type's limit, or for another server's lock.
        return min(due, self._longest_sleep) if due > 0 else OUTAGE_DELAY

    def _start(self, claimed: list[ClaimedRun], server_id: UUID, runs: trio.Nursery) -> None:
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
            attempt = Attempt(
                self._job_types[run.job_type], ctx, server_id, run.max_attempts, self._fingerprints[run.job_type]
            )
            if self._held.add(attempt):
                self._recorder.watch(attempt)
                runs.start_soon(self._see_to_its_end, attempt, run.params, name=run.job_type)

    def _tell_of_lost_lines(self) -> None:
        """Say in every log that may lack lines of other loggers than ``ctx.log`` that it does."""
        message = (
            "a handler on this server has reconfigured logging; lines of other loggers than ctx.log may be missing here"
        )
        logger.warning("%s", message)
        for attempt in self._held:
            attempt.ctx.store_log_line("warning", __name__, message)

    async def _see_to_its_end(self, attempt: Attempt, params: object) -> None:
        try:
            try:
                outcome = await execute(attempt, params)
            except BaseException as error:
                if not holds_an_interrupt(error):
                    # The server is being torn down. Where the recorder is not, what became of the run is written.
                    self._recorder.ended(attempt, torn_down(attempt))
                    raise
                # Signals end a server by its own handlers, so this is the job's own.
                outcome = raised(attempt, error)
            if self._logs.put_back():
                self._tell_of_lost_lines()
            self._recorder.ended(attempt, outcome)
        finally:
            self._held.remove(attempt)
