"""Know the runs that this server holds, and what happens to them behind its back."""

import logging
from collections.abc import Callable, Iterator
from uuid import UUID

import trio

from owlrunner.errors import DatabaseTrouble
from owlrunner.runtime.execution import Attempt, Cut
from owlrunner.storage import attempts
from owlrunner.storage.postgres import Database
from owlrunner.storage.wakeups import Bell

logger = logging.getLogger(__name__)


class HeldRuns:
    """The attempts being executed now, by run and attempt."""

    def __init__(self, *, capacity: int) -> None:
        self.capacity = capacity
        self._attempts: dict[tuple[UUID, int], Attempt] = {}
        self._empty = Bell()
        self._not_full = Bell()

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(list(self._attempts.values()))

    def __repr__(self) -> str:
        return f"<HeldRuns {len(self)} of {self.capacity}>"

    def add(self, attempt: Attempt) -> bool:
        """Hold an attempt that has been claimed, or return False: it is held already.

        A failover that lost our first claim lets us claim the very same attempt again. Two executions under one key
        could not be told apart by anybody, so the first one is ended, and its end is the run's.
        """
        key = attempt.ctx.run_id, attempt.ctx.attempt
        first = self._attempts.get(key)
        if first is not None:
            logger.error(
                "run %s was claimed a second time, which a failover can bring about: its handler is cancelled",
                attempt.ctx.run_id,
            )
            first.cut_off(Cut.LEASE_LOST)
            return False
        self._attempts[key] = attempt
        return True

    def remove(self, attempt: Attempt) -> None:
        """Let go of an attempt whose handler has ended."""
        was_full = len(self._attempts) >= self.capacity
        del self._attempts[attempt.ctx.run_id, attempt.ctx.attempt]
        if was_full:
            self._not_full.ring()
        if not self._attempts:
            self._empty.ring()

    async def one_ended(self) -> None:
        """Wait until one of as many as we may hold has ended."""
        await self._not_full.listen().wait()

    async def all_ended(self) -> None:
        """Wait until no handler is running."""
        while self._attempts:
            await self._empty.listen().wait()

    def cut_off(self, cut: Cut, server_id: UUID | None = None) -> None:
        """End all attempts, or those claimed under one registration, now."""
        for attempt in self:
            if server_id is None or attempt.server_id == server_id:
                attempt.cut_off(cut)

    async def hear_news(self, db: Database, bell: Bell, interval: float, on_round: Callable[[float], None]) -> None:
        """Ask for ever, at each ring and each interval, which held runs were cancelled or lost, and act on it."""
        while True:
            rung = bell.listen()
            try:
                await self._ask(db)
            except DatabaseTrouble as error:
                logger.warning("cannot ask after held runs: %s", error)
            else:
                on_round(interval)
            with trio.move_on_after(interval):
                await rung.wait()

    async def _ask(self, db: Database) -> None:
        by_server: dict[UUID, list[tuple[UUID, int]]] = {}
        for (run_id, number), attempt in self._attempts.items():
            by_server.setdefault(attempt.server_id, []).append((run_id, number))
        for server_id, held in by_server.items():
            async with db.session() as session:
                news = await attempts.held_news(session, server_id, held)
            for item in news:
                # It may have ended while we asked.
                held_attempt = self._attempts.get((item.id, item.attempt))
                if held_attempt is None:
                    continue
                if item.lost:
                    logger.warning(
                        "run %s of %s is not ours any more: its handler is cancelled",
                        item.id,
                        held_attempt.job_type.name,
                    )
                    held_attempt.cut_off(Cut.LEASE_LOST)
                else:
                    held_attempt.request_cancel()
