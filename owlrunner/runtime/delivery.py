"""This is the room for sending what the outbox holds: each notification by its notifier, again and again until sent or given up.

Whatever a notifier does, hang, raise or be slow, happens to that notification alone: no run waits for it, nor any other notifier.
"""

import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

import attrs
import trio

from owlrunner.config import NotificationsConfig
from owlrunner.errors import DatabaseTrouble, Undeliverable
from owlrunner.job_run import JobRun
from owlrunner.job_type import AnyJobType
from owlrunner.notification import Notification, Notifier
from owlrunner.raised_errors import describe, is_a, without
from owlrunner.retry import Retry
from owlrunner.runtime.execution import is_from_the_outside
from owlrunner.runtime.trio_guard import close_abandoned_nurseries, open_nurseries
from owlrunner.storage import notifications
from owlrunner.storage.notifications import ClaimedNotification
from owlrunner.storage.postgres import Database
from owlrunner.storage.wakeups import Bell

MAX_SENDING = 8
"""How many notifications one notifier sends at once."""
LONGEST_DELAY = 3600.0
OUTAGE_DELAY = 1.0
SETTLE_PATIENCE = 5.0
"""Seconds that writing down a try gets when the server is stopping: what was sent must not be sent again."""

logger = logging.getLogger(__name__)


@attrs.frozen
class Deliverer:
    """What delivering needs to know: the notifiers, what runs are called, and where they can be looked at."""

    notifiers: Mapping[str, Notifier]
    job_types: Mapping[str, AnyJobType]
    public_url: str

    def compose(self, claimed: ClaimedNotification) -> Notification:
        """What is handed to the notifier."""
        run = claimed.run
        return Notification(
            id=claimed.id,
            recipient=claimed.recipient,
            run=run,
            label=self._label(run.job_type) if run is not None else "",
            attempt=claimed.attempt,
            created_at=claimed.created_at,
            missed_fires=claimed.missed_fires,
            project=claimed.project,
            team=claimed.team,
            stranded=claimed.stranded,
            # System runs have no page: only the owner may see them.
            link=self._link(run) if run is not None else None,
        )

    def _label(self, name: str) -> str:
        job_type = self.job_types.get(name)
        # Another server's plugin may have run it.
        return job_type.label if job_type is not None else name.replace("_", " ").title()

    def _link(self, run: JobRun) -> str | None:
        return f"{self.public_url.rstrip('/')}/dashboard/jobs/{run.id}" if self.public_url and run.team_id else None


class Delivery:
    """The loop of one server."""

    def __init__(
        self,
        db: Database,
        deliverer: Deliverer,
        config: NotificationsConfig,
        *,
        bell: Bell,
        joined: Callable[[], Awaitable[UUID]],
        longest_sleep: float,
        on_round: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._db = db
        self._deliverer = deliverer
        self._config = config
        self._retry = Retry(first_delay=config.retry_delay, max_delay=max(LONGEST_DELAY, config.retry_delay))
        self._bell = bell
        # Waits while this server has no registration that holds: somebody else may be sending by then.
        self._joined = joined
        self._longest_sleep = longest_sleep
        self._on_round = on_round
        self._sending: Counter[str] = Counter()
        self._idle = Bell()

    async def run(self) -> None:
        """Deliver for ever."""
        async with trio.open_nursery() as sends:
            while True:
                server_id = await self._joined()
                rung = self._bell.listen()
                try:
                    sleep = 0.0 if await self._claim(sends, server_id) else await self._until_due()
                except DatabaseTrouble as error:
                    logger.warning("cannot look for notifications: %s", error)
                    sleep = OUTAGE_DELAY
                else:
                    self._on_round(min(sleep, self._longest_sleep))
                with trio.move_on_after(min(sleep, self._longest_sleep)):
                    await rung.wait()

    async def all_settled(self) -> None:
        """Wait until nothing is being sent."""
        while self._sending.total():
            await self._idle.listen().wait()

    @property
    def _rooms(self) -> dict[str, int]:
        """How many more each notifier may send; those that are busy are left out."""
        rooms = {name: MAX_SENDING - self._sending[name] for name in self._deliverer.notifiers}
        return {name: room for name, room in rooms.items() if room > 0}

    async def _claim(self, sends: trio.Nursery, server_id: UUID) -> int:
        """Start sending what is due, and return how many those are."""
        rooms = self._rooms
        if not rooms:
            return 0
        # Twice the time of a try: one that is on its way must have been cut off before anybody else begins.
        patience = 2 * self._config.send_timeout
        async with self._db.session() as session:
            claimed = await notifications.claim_due(session, server_id, rooms, patience)
        for one in claimed:
            self._sending[one.notifier] += 1
            sends.start_soon(self._see_to, one, server_id, name=f"{one.notifier} {one.id}")
        return len(claimed)

    async def _until_due(self) -> float:
        """Seconds to sleep unless woken."""
        rooms = self._rooms
        if not rooms:
            return math.inf
        async with self._db.session() as session:
            due = await notifications.next_due(session, list(rooms))
        # What is due but was not taken is in another server's hands this very moment.
        return math.inf if due is None else max(due, OUTAGE_DELAY)

    async def _see_to(self, claimed: ClaimedNotification, server_id: UUID) -> None:
        """Try to send one, and write down how that ended, however long the database is away."""
        try:
            error = await self._send(claimed)
            written = await self._write_down(claimed, server_id, error)
            while not written:
                await trio.sleep(OUTAGE_DELAY)
                written = await self._write_down(claimed, server_id, error)
        finally:
            self._sending[claimed.notifier] -= 1
            self._bell.ring()
            self._idle.ring()

    async def _send(self, claimed: ClaimedNotification) -> BaseException | None:
        """Let the notifier try, and return what it raised."""
        notification = self._deliverer.compose(claimed)
        nurseries = open_nurseries()
        try:
            with trio.fail_after(self._config.send_timeout):
                await self._deliverer.notifiers[claimed.notifier].send(notification)
        except trio.TooSlowError:
            return TimeoutError(f"not sent within {self._config.send_timeout:g} seconds")
        except BaseException as error:
            if is_from_the_outside(error):
                raise
            return without(error, trio.Cancelled)
        finally:
            close_abandoned_nurseries(nurseries)
        return None

    async def _write_down(self, claimed: ClaimedNotification, server_id: UUID, error: BaseException | None) -> bool:
        """Store how the try ended. False: the database did not take it."""
        status: str | None = None
        why = None if error is None else describe(error)
        # A stopping server still writes down what it has sent.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + SETTLE_PATIENCE) as writing:
            try:
                async with self._db.session() as session:
                    status = await notifications.settle(
                        session,
                        server_id,
                        claimed,
                        error=why,
                        for_good=error is not None and is_a(error, Undeliverable),
                        retry_in=self._retry.delay_after(claimed.attempt),
                        give_up_after=self._config.give_up_after,
                    )
            except DatabaseTrouble as trouble:
                logger.warning("the end of a try to send %s waits for the database: %s", claimed.id, trouble)
                return False
        if writing.cancelled_caught:
            return False
        _tell(claimed, status, why)
        return True


def _tell(claimed: ClaimedNotification, status: str | None, why: str | None) -> None:
    """Say it in the log: what is given up is nothing that anybody would notice otherwise."""
    about = f"run {claimed.run.id}" if claimed.run is not None else "missed fire times"
    what = f"notification {claimed.id} about {about} to {claimed.recipient} by {claimed.notifier}"
    match status:
        case "sent":
            logger.info("%s: sent", what)
        case "given_up":
            logger.error("%s: given up at try %d: %s", what, claimed.attempt, why)
        case "pending":
            logger.warning("%s: try %d failed, to be tried again: %s", what, claimed.attempt, why)
        case _:
            logger.warning("%s: another server has taken it over", what)
