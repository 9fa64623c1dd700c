"""This is the room for NOTIFY as a doorbell: it says "look now" and nothing else, and a lost ring costs only time."""

import logging
from contextlib import aclosing

import trio

from owlrunner.errors import DatabaseTrouble
from owlrunner.storage.postgres import Database, mapped_errors

RECONNECT_DELAY = 1.0

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

    async def run(self, db: Database, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen for ever, over connections that come and go. Ready once the first LISTEN stands."""
        started = False
        while True:
            try:
                async with db.dedicated() as connection:
                    with mapped_errors():
                        for channel in self._by_channel:
                            await connection.execute(f"listen {channel}".encode())
                    self.ring_all()
                    if not started:
                        task_status.started()
                        started = True
                    with mapped_errors():
                        async with aclosing(connection.notifies()) as notifications:
                            async for notification in notifications:
                                self._by_channel[notification.channel].ring()
            except DatabaseTrouble as error:
                if not started:
                    raise
                logger.warning("not listening for wakeups, polling meanwhile: %s", error)
            await trio.sleep(RECONNECT_DELAY)
