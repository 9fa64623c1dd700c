"""Writing to the database who was synced or tried: a second's worth at a time."""

import logging
from uuid import UUID

import psycopg
import trio

import owlrunner
from owlrunner_revenuecat.storage import SyncedUser, mark_tried, save_users
from owlrunner_revenuecat.tally import Tally

SAVE_EVERY = 1.0
"""Seconds between two writes. What a killed server loses is asked again by the next sync."""
MOST_IN_ONE_WRITE = 500
OUTAGE_PATIENCE = 120.0
"""Seconds for which a database that is away is waited for; RevenueCat is asked on meanwhile."""
LAST_WRITE_PATIENCE = 5.0
"""Seconds that the last write may take when the run is being cancelled."""

_TROUBLE = (psycopg.Error, owlrunner.OwlRunnerError)

logger = logging.getLogger(__name__)


class NotSaved(owlrunner.OwlRunnerError):
    """Users were asked about whom the database did not take; the next sync asks for them again."""


class Saving:
    """The users who were asked about, and of whom the database does not know it yet.

    Every write opens a connection of its own: a sync takes up to hours, and a connection that mostly idles is one that
    breaks at the wrong moment.
    """

    def __init__(self, ctx: owlrunner.JobContext, project_id: UUID, tally: Tally) -> None:
        self._ctx = ctx
        self._project_id = project_id
        self._tally = tally
        self._waiting: list[SyncedUser] = []
        self._tried: list[str] = []
        self._trouble: Exception | None = None
        self._failing_since: float | None = None

    def add(self, user: SyncedUser) -> None:
        """Take one user over, to be written soon."""
        self._waiting.append(user)

    def add_tried(self, user_id: str) -> None:
        """Take over that RevenueCat was asked about a user in vain, to be written soon."""
        self._tried.append(user_id)

    async def keep_saving(self, finished: trio.Event) -> None:
        """Write what has gathered, once a second, until there will be no more. A write that is under way then is completed.

        Raises NotSaved when the database has been away for too long.
        """
        while not finished.is_set():
            with trio.move_on_after(SAVE_EVERY):
                await finished.wait()
                return
            await self._try_to_save()

    async def save_all(self) -> None:
        """Write everything, however often that takes. Raises NotSaved like ``keep_saving``."""
        await self._try_to_save()
        while self._waiting or self._tried:
            await trio.sleep(SAVE_EVERY)
            await self._try_to_save()

    async def save_rest(self) -> None:
        """Write what is left, even while the run is being cancelled: shielded, but bounded."""
        with trio.move_on_after(LAST_WRITE_PATIENCE, shield=True):
            try:
                await self._save()
            except _TROUBLE as error:
                self._trouble = error
                logger.warning("the last users could not be written: %s", error)

    def require_saved(self) -> None:
        """Raise NotSaved unless every user is in the database."""
        count = len(self._waiting) + len(self._tried)
        if count:
            why = self._trouble or f"the database did not answer within {LAST_WRITE_PATIENCE:g} seconds"
            raise NotSaved(f"{count} users could not be written: {why}") from self._trouble

    async def _try_to_save(self) -> None:
        try:
            await self._save()
        except _TROUBLE as error:
            self._trouble = error
            self._failing_since = trio.current_time() if self._failing_since is None else self._failing_since
            logger.warning("users could not be written, and are kept: %s", error)
            if trio.current_time() - self._failing_since > OUTAGE_PATIENCE:
                self.require_saved()
        else:
            self._failing_since = None

    async def _save(self) -> None:
        if not self._waiting and not self._tried:
            return
        async with self._ctx.connect() as connection:
            while batch := self._waiting[:MOST_IN_ONE_WRITE]:
                # Taken off only once written. Written twice, after a lost answer, is written the same.
                for filled in await save_users(connection, self._project_id, batch):
                    self._tally.count_filled(filled)
                del self._waiting[: len(batch)]
            while tried := self._tried[:MOST_IN_ONE_WRITE]:
                await mark_tried(connection, self._project_id, tried)
                del self._tried[: len(tried)]
