"""Keep this server alive in the eyes of the others, and notice when it is not.

How it works. A registration is a row in ``servers`` with a lease. A small OS thread with a connection of its own renews it three
times in a lease, so that a handler that blocks the event loop does not lapse the lease of every run on the server. The thread also
watches the loop: it names the handler that blocks it, and stops beating when the loop has shown no life for ``stall_limit``.

The loop watches the thread. When no beat has been answered for 0.9 of a lease the registration is lost, whether the beats fail,
hang, or the thread is gone: what is held under it is cut, and nothing is claimed, fired or sent under it any more,
although the row may still look alive to others. The database decides who was right. Then the server joins anew, under
another id: first it writes the outcomes that waited (they are true, and refused if somebody else has acted), gives back
what it claimed but never started, and registers.

A server that finds a living server of its own name in its place has been superseded: it ends. Two of one name would bury each
other for ever.
"""

import logging
import math
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import attrs
import trio

from owlrunner.errors import DatabaseTrouble, Superseded
from owlrunner.runtime.execution import Cut
from owlrunner.runtime.held_runs import HeldRuns
from owlrunner.runtime.stalls import STALL_WORTH_TELLING, Stall
from owlrunner.storage import job_runs, servers
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import BlockingHeartbeat, Registration

LOOK_INTERVAL = 0.5
"""Seconds between two looks of the thread at the loop, and of the loop at the thread; less where the lease is short."""
LOST_AFTER = 0.9
"""Share of a lease without an answered beat after which the registration counts as lost."""
JOIN_PATIENCE = 3.0
"""Seconds that the thread gets to end; it may be waiting for a database that does not answer."""
STALLED_EXIT_CODE = 70
"""How the process ends when its loop has been blocked for too long: EX_SOFTWARE of sysexits.h."""

logger = logging.getLogger(__name__)


def _now() -> float:
    """Return seconds that also count while the machine is suspended, where the system can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Heartbeat:
    """One server's membership: registered, renewed, and registered anew when it was lost."""

    def __init__(
        self,
        db: Database,
        registration: Registration,
        *,
        held: HeldRuns,
        stall_limit: float,
        exit_when_stalled: bool,
        pooled: bool,
        on_return: Callable[[], None],
        settle: Callable[[UUID], Awaitable[None]],
    ) -> None:
        self._db = db
        self._registration = registration
        self._held = held
        self._stall_limit = stall_limit
        self._exit_when_stalled = exit_when_stalled
        self._pooled = pooled
        self._on_return = on_return
        self._settle = settle
        self._joined = trio.Event()

    @property
    def server_id(self) -> UUID:
        """The id of the latest registration, whether it still holds or not."""
        return self._registration.id

    @property
    def is_member(self) -> bool:
        """Whether the latest registration holds, as far as this server knows."""
        return self._joined.is_set()

    async def joined(self) -> UUID:
        """Wait until there is a registration that holds, and return its id: under it one may claim, fire and send."""
        # No checkpoint where there is nothing to wait for: the next claim is sent before what the last one brought is executed.
        while not self._joined.is_set():
            await self._joined.wait()
        return self._registration.id

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Register and stay alive for ever. Ready once registered.

        Raises DatabaseTrouble before that, and Superseded.
        """
        await self._register()
        self._joined.set()
        task_status.started()
        while True:
            why = await self._live(self._registration)
            # From here on nothing is claimed, fired or sent.
            self._joined = trio.Event()
            logger.error("%s: the runs of this server are cancelled (lease lost), and it starts over", why)
            self._held.cut_off(Cut.LEASE_LOST, self._registration.id)
            await self._join_again()
            self._on_return()

    async def _register(self) -> None:
        async with self._db.session() as session:
            await servers.register(session, self._registration)
            # What the others could not read may be for us.
            offer = self._registration.job_types, self._registration.fingerprints
            while await job_runs.release_set_aside(session, *offer):
                pass

    async def _join_again(self) -> None:
        """Settle what belongs to the lost registration, and register under a new id, however long that takes."""
        while True:
            try:
                await self._refuse_to_be_two()
                await self._settle(self._registration.id)
                self._registration = attrs.evolve(self._registration, id=uuid4())
                await self._register()
            except DatabaseTrouble as error:
                logger.warning("cannot register: %s", error)
                await trio.sleep(LOOK_INTERVAL * 2)
            else:
                self._joined.set()
                return

    async def _refuse_to_be_two(self) -> None:
        """Raise Superseded where a living server has our name."""
        async with self._db.session() as session:
            if await servers.is_superseded(session, self._registration):
                raise Superseded(
                    f"another server has started under the name {self._registration.name!r}, and this one ends; "
                    "give each server a name of its own (server.name)"
                )

    async def _live(self, registration: Registration) -> str:
        """Beat until the registration is lost or marked dead, and return the reason."""
        beat = _Beat(
            registration,
            BlockingHeartbeat(self._db.conninfo, registration.id, registration.lease, pooled=self._pooled),
            self._stall_limit,
            threading.get_ident(),
            exits=self._exit_when_stalled,
        )
        thread = threading.Thread(target=beat.run, name="owlrunner heartbeat", daemon=True)
        thread.start()
        looked = _now()
        patience = -math.inf
        try:
            while True:
                beat.loop_seen = time.monotonic()
                if beat.marked_dead:
                    return "this server was taken for dead"
                if _now() - looked > LOOK_INTERVAL + STALL_WORTH_TELLING:
                    # The process was stopped, or the loop blocked. The next beat decides: a lease that has run out can
                    # be renewed until somebody acts upon it.
                    patience = _now() + min(1.0, registration.lease / 10)
                looked = _now()
                if beat.age > registration.lease * LOST_AFTER and looked > patience:
                    return "the lease could not be renewed in time"
                if not thread.is_alive():
                    return "the heartbeat's thread has ended"
                await trio.sleep(beat.interval)
        finally:
            beat.stop.set()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + JOIN_PATIENCE):
                # A daemon: where it waits for a database that does not answer, the process ends without it.
                await trio.to_thread.run_sync(thread.join, JOIN_PATIENCE, abandon_on_cancel=True, limiter=_joining)


_joining = trio.CapacityLimiter(10)
"""Not the handlers' limit on threads: forty of theirs that block must not keep a server from starting over."""


class _Beat:
    """The thread's side. Plain attributes carry the news between it and the loop: each is written by one of them only."""

    def __init__(
        self,
        registration: Registration,
        connection: BlockingHeartbeat,
        stall_limit: float,
        loop_thread: int,
        *,
        exits: bool,
    ) -> None:
        self.stop = threading.Event()
        self.loop_seen = time.monotonic()
        self.marked_dead = False
        self.interval = min(LOOK_INTERVAL, registration.lease / 40)
        """Seconds between two looks."""
        self._lease = registration.lease
        self._stall_limit = stall_limit
        self._loop_thread = loop_thread
        self._exits = exits
        self._connection = connection
        # Taken before each beat is sent: the database's lease ends no earlier than this plus the lease.
        self._renewed = _now()
        self._failing = False
        self._stall: Stall | None = None

    @property
    def age(self) -> float:
        """Seconds since the last beat that was answered had been sent."""
        return _now() - self._renewed

    def run(self) -> None:
        """Look at the loop often, and beat three times in a lease."""
        next_beat = -math.inf
        try:
            while not self.stop.wait(self.interval) and not self.marked_dead:
                stalled_for = self._watch_loop()
                if stalled_for < self._stall_limit and _now() >= next_beat:
                    next_beat = _now() + (self._lease / 3 if self._beat() else LOOK_INTERVAL)
        except Exception:
            # Whatever it is, the loop sees that the thread has ended.
            logger.exception("the heartbeat's thread has failed")
        finally:
            self._connection.close()

    def _beat(self) -> bool:
        """Renew the lease; False where that failed."""
        sent = _now()
        try:
            self.marked_dead = not self._connection.beat()
        except DatabaseTrouble as error:
            if not self._failing:
                logger.warning("heartbeat failed: %s", error)
            self._failing = True
            return False
        if not self.marked_dead:
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
            self._stall = Stall(self.loop_seen)
        if silent_for >= self._stall.tell_at:
            self._stall.tell(sys._current_frames().get(self._loop_thread))  # noqa: SLF001 - the documented way to see another thread's stack
        if silent_for >= self._stall_limit:
            self._give_up(silent_for)
        return silent_for

    def _give_up(self, silent_for: float) -> None:
        """Say that the heartbeat stops; end the process where nobody else would."""
        if not self._stall_told:
            self._stall_told = True
            logger.error(
                "the event loop has shown no life for %.0f s: the heartbeat stops, and other servers may take over",
                silent_for,
            )
        if self._exits:
            logger.critical("this process ends (server.exit_when_stalled), so that its supervisor starts it anew")
            logging.shutdown()
            # The loop is blocked, so nothing of ours can end in order; its runs are recovered like those of a crash.
            os._exit(STALLED_EXIT_CODE)

    _stall_told = False
