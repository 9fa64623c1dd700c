"""Use NOTIFY as a doorbell: it says "look now" and nothing else, and a lost ring costs only time.

The connection that listens only ever waits, so it would not notice when its peer is gone, or when a pooler in between
has lost what it listens to. Every server's heartbeat rings too; where no ring comes for two of them the connection is replaced.
"""

import logging
from collections.abc import Callable
from contextlib import aclosing

import trio

from owlrunner.errors import DatabaseTrouble, DatabaseUnavailable
from owlrunner.storage.connection import TrioConnection
from owlrunner.storage.postgres import Database, mapped_errors

RECONNECT_DELAY = 1.0
ALIVE = "owlrunner_alive"
"""The channel of the heartbeats."""

logger = logging.getLogger(__name__)


class Bell:
    """Something that tasks wait for and anybody rings. Rings that nobody waits for are gone, so listen before you look."""

    def __init__(self) -> None:
        self._next = trio.Event()

    def listen(self) -> trio.Event:
        """The event that the next ring sets. Take it, look at the database, then wait for it: no ring falls in between."""
        return self._next

    def ring(self) -> None:
        """Wake everybody who listens."""
        self._next.set()
        self._next = trio.Event()


class Wakeups:
    """The doorbells of one server."""

    def __init__(self) -> None:
        self.pending = Bell()
        """A run has been triggered and is due."""
        self.held = Bell()
        """A cancel was requested for a running run."""
        self.notifications = Bell()
        """There is something to be sent."""
        self.accounts = Bell()
        """Something has changed about who may do what."""

    @property
    def _by_channel(self) -> dict[str, Bell]:
        return {
            "owlrunner_pending": self.pending,
            "owlrunner_held": self.held,
            "owlrunner_notifications": self.notifications,
            "owlrunner_accounts": self.accounts,
        }

    def ring_all(self) -> None:
        """Make everybody look: after a time without a connection nobody knows what was missed."""
        for bell in self._by_channel.values():
            bell.ring()

    async def run(
        self,
        db: Database,
        *,
        silence: float = 15.0,
        on_alive: Callable[[float], None] = lambda _: None,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for ever, over connections that come and go. Ready once the first LISTEN stands.

        After ``silence`` seconds without a ring the connection is replaced; ``on_alive`` is called at each, with the
        seconds until the next.
        """
        started = False
        while True:
            try:
                async with db.dedicated("listen") as connection:
                    with mapped_errors(connection):
                        connection.answer_within = db.answer_within
                        for channel in (*self._by_channel, ALIVE):
                            await connection.execute(f"listen {channel}".encode())
                    self.ring_all()
                    if not started:
                        task_status.started()
                        started = True
                    with mapped_errors(connection):
                        on_alive(silence)
                        while await self._hear(connection, silence):
                            on_alive(silence)
                    raise DatabaseUnavailable(
                        f"no heartbeat was heard for {silence:g} s; behind a pooler in transaction mode set server.wakeups to poll"
                    )
            except DatabaseTrouble as error:
                if not started:
                    raise
                logger.warning("not listening for wakeups, polling meanwhile: %s", error)
            await trio.sleep(RECONNECT_DELAY)

    async def _hear(self, connection: TrioConnection, silence: float) -> bool:
        """Ring for what comes in next, and return whether anything came in time."""
        heard = False
        async with aclosing(connection.notifies(timeout=silence, stop_after=1)) as notifications:
            async for notification in notifications:
                heard = True
                if notification.channel in self._by_channel:
                    self._by_channel[notification.channel].ring()
        return heard
