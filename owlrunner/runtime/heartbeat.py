"""This is the room for keeping this server alive in the eyes of the others, and for noticing when it is not.

The beat comes from a small OS thread with a connection of its own, so that a handler that blocks the event loop does not lapse
the lease of every run on the server. The thread also watches the loop: it names the handler that blocks it, and it stops
beating when the loop has shown no life for too long.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from uuid import UUID, uuid4

import attrs
import trio

from owlrunner.errors import DatabaseTrouble
from owlrunner.runtime import execution
from owlrunner.runtime.execution import Attempt, Cut
from owlrunner.runtime.held_runs import HeldRuns
from owlrunner.storage import servers
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import BlockingHeartbeat, Registration

LOOK_INTERVAL = 0.5
"""Seconds between two looks of the thread at the loop, and of the loop at the thread."""
STALL_WORTH_TELLING = 2.0
"""Seconds without a sign of life after which a blocked loop is told in the log."""
JOIN_PATIENCE = 3.0
"""Seconds that the thread gets to end; it may be waiting for a database that does not answer."""

logger = logging.getLogger(__name__)


class Heartbeat:
    """One server's membership among the living: registered, renewed, and registered anew when it was taken for dead."""

    def __init__(
        self,
        db: Database,
        registration: Registration,
        *,
        held: HeldRuns,
        stall_limit: float,
        on_return: Callable[[], None],
    ) -> None:
        self._db = db
        self._registration = registration
        self._held = held
        self._stall_limit = stall_limit
        self._on_return = on_return

    @property
    def server_id(self) -> UUID:
        """Under which id this server claims now."""
        return self._registration.id

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Register and stay alive for ever. Ready once registered. Raises DatabaseUnavailable before that."""
        await self._register()
        task_status.started()
        while True:
            await self._live(self._registration)
            logger.error("this server was taken for dead: its runs are cancelled (lease lost), and it starts over")
            self._held.cut_off(Cut.LEASE_LOST, self._registration.id)
            self._registration = attrs.evolve(self._registration, id=uuid4())
            await self._register_patiently()
            self._on_return()

    async def _register(self) -> None:
        async with self._db.session() as session:
            await servers.register(session, self._registration)

    async def _register_patiently(self) -> None:
        while True:
            try:
                await self._register()
            except DatabaseTrouble as error:
                logger.warning("cannot register: %s", error)
                await trio.sleep(LOOK_INTERVAL * 2)
            else:
                return

    async def _live(self, registration: Registration) -> None:
        """Beat until the server has been buried."""
        beat = _Beat(registration, self._db.conninfo, self._stall_limit, threading.get_ident())
        thread = threading.Thread(target=beat.run, name="owlrunner heartbeat", daemon=True)
        thread.start()
        fenced = False
        try:
            while not beat.buried:
                beat.loop_seen = time.monotonic()
                if beat.lapsed and not fenced:
                    logger.error(
                        "the lease could not be renewed in time: the runs held under it are cancelled (lease lost)"
                    )
                    self._held.cut_off(Cut.LEASE_LOST, registration.id)
                fenced = beat.lapsed
                await trio.sleep(LOOK_INTERVAL)
        finally:
            beat.stop.set()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + JOIN_PATIENCE):
                # A daemon: where it waits for a database that does not answer, the process ends without it.
                await trio.to_thread.run_sync(thread.join, JOIN_PATIENCE)


class _Beat:
    """The thread's side. Plain attributes carry the news between it and the loop: each is written by one of them only."""

    def __init__(self, registration: Registration, conninfo: str, stall_limit: float, loop_thread: int) -> None:
        self.stop = threading.Event()
        self.loop_seen = time.monotonic()
        self.buried = False
        self._lease = registration.lease
        self._stall_limit = stall_limit
        self._loop_thread = loop_thread
        self._connection = BlockingHeartbeat(conninfo, registration.id, registration.lease)
        # Taken before each beat is sent: the database's lease ends no earlier than this plus the lease.
        self._renewed = time.monotonic()
        self._failing = False
        self._stall: _Stall | None = None

    @property
    def lapsed(self) -> bool:
        """Whether the others may take us for dead, so that what we hold must end.

        A beat that fails means that the database cannot be reached: end in time. Without an answer either way (the process was
        stopped for a while, and has just come back) the next beat decides, unless it takes long too.
        """
        age = time.monotonic() - self._renewed
        return age > self._lease * 0.9 if self._failing else age > self._lease + 1.0

    def run(self) -> None:
        """Look at the loop often, and beat three times in a lease."""
        next_beat = 0.0
        try:
            while not self.stop.wait(LOOK_INTERVAL) and not self.buried:
                stalled_for = self._watch_loop()
                if stalled_for < self._stall_limit and time.monotonic() >= next_beat:
                    next_beat = time.monotonic() + (self._lease / 3 if self._beat() else LOOK_INTERVAL)
        finally:
            self._connection.close()

    def _beat(self) -> bool:
        """Renew the lease; False where that failed."""
        sent = time.monotonic()
        try:
            self.buried = not self._connection.beat()
        except DatabaseTrouble as error:
            if not self._failing:
                logger.warning("heartbeat failed: %s", error)
            self._failing = True
            return False
        self._renewed = sent
        self._failing = False
        return True

    def _watch_loop(self) -> float:
        """Seconds since the loop's last sign of life; a stall is told when it begins, again at each doubling, and when it ends."""
        silent_for = time.monotonic() - self.loop_seen
        if silent_for < STALL_WORTH_TELLING:
            if self._stall is not None:
                self._stall.over()
                self._stall = None
            return silent_for
        if self._stall is None:
            self._stall = _Stall(self.loop_seen)
        if silent_for >= self._stall.tell_at:
            self._stall.tell(sys._current_frames().get(self._loop_thread))  # noqa: SLF001 - the documented way to see another thread's stack
            if silent_for >= self._stall_limit:
                logger.error(
                    "the event loop has shown no life for %.0f s: the heartbeat stops, and other servers may take over",
                    silent_for,
                )
        return silent_for


class _Stall:
    """One time during which the loop showed no life."""

    def __init__(self, since: float) -> None:
        self._since = since
        self.tell_at = STALL_WORTH_TELLING
        self._who = "something"

    def tell(self, frame: FrameType | None) -> None:
        """Say who blocks the loop, where, and for how long by now."""
        duration = time.monotonic() - self._since
        self.tell_at = duration * 2
        attempt, place = _culprit(frame)
        self._who = (
            f"job type {attempt.job_type.name} (run {attempt.ctx.run_id})" if attempt is not None else "something"
        )
        advice = "use trio.to_thread.run_sync for blocking calls"
        message = f"{self._who} has been blocking the event loop for {duration:.1f} s at {place}; {advice}"
        logger.warning("%s", message)
        if attempt is not None:
            attempt.ctx.store_log_line("warning", __name__, message)

    def over(self) -> None:
        """Say that it has ended."""
        logger.warning("%s blocked the event loop for %.1f s", self._who, time.monotonic() - self._since)


def _culprit(frame: FrameType | None) -> tuple[Attempt | None, str]:
    """The attempt whose handler is on the loop's stack, and the innermost file and line of Python code."""
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "an unknown place"
    while frame is not None:
        if frame.f_code is execution.execute.__code__:
            return frame.f_locals.get("attempt"), place
        frame = frame.f_back
    return None, place
