"""The run itself: who is asked for, by how many workers, and how it ends early when it must."""

import logging
from functools import partial

import attrs
import trio

import owlrunner
from owlrunner_revenuecat.answers import KeyRefused, RevenueCatError, Unknown
from owlrunner_revenuecat.api import RevenueCat, open_revenuecat
from owlrunner_revenuecat.customer import ANONYMOUS, Customer, Names
from owlrunner_revenuecat.integration import integration_of
from owlrunner_revenuecat.properties import attribution, properties, revenue_cents
from owlrunner_revenuecat.saving import LAST_WRITE_PATIENCE, NotSaved, Saving
from owlrunner_revenuecat.settings import SyncParams, SyncSettings, UserSyncParams
from owlrunner_revenuecat.sharing import SharedLimit
from owlrunner_revenuecat.storage import Integration, SyncedUser, insert_users, users
from owlrunner_revenuecat.tally import Tally

LOOK_FOR_CANCEL = 0.2
"""Seconds between two looks. The workers look too, but one may sit out a pause of a minute."""
CANCEL_PATIENCE = 3.0
"""Seconds that users under way get after a cancel request; with the last write, less than the job's cancel_grace."""
MOST_ERRORS_IN_A_ROW = 50
"""After so many users about whom RevenueCat gave no answer of use it counts as down, and the run fails without asking on."""
FEWEST_TO_DOUBT = 10
"""How many users must have been asked about before "RevenueCat knows none of them" is taken for a mistake in the set-up."""

logger = logging.getLogger(__name__)


class NobodyKnown(owlrunner.OwlRunnerError):
    """RevenueCat knows none of many users: the key is another project's, or the app's user ids are not RevenueCat's."""

    def __init__(self, asked: int) -> None:
        super().__init__(
            f"RevenueCat knows none of the {asked} users that it was asked about: most likely the API key belongs to"
            " another RevenueCat project, or the app does not log in to RevenueCat with its own user ids"
        )


async def sync_project(ctx: owlrunner.JobContext, settings: SyncSettings, params: SyncParams) -> dict[str, object]:
    """Sync the users of the run's project and return the counters of ``Tally.result``.

    A run that is asked to cancel returns what it has, with ``cancelled_at``. However it ends, what was synced is saved.

    Raises OtherProject, IntegrationMissing, RevenueCatError, NotSaved and NobodyKnown.
    """
    project_id, integration = await integration_of(ctx, params)
    async with ctx.connect() as connection:
        everybody = await users(connection, project_id)
    wanted = [user_id for user_id in everybody if not user_id.startswith(ANONYMOUS)]
    tally = Tally(total=len(wanted), skipped_anonymous=len(everybody) - len(wanted))
    if wanted:
        ctx.log.info("%d users to sync; %d anonymous ones are left out", tally.total, tally.skipped_anonymous)
    return await _sync_users(ctx, settings, integration, wanted, tally)


async def sync_some(ctx: owlrunner.JobContext, settings: SyncSettings, params: UserSyncParams) -> dict[str, object]:
    """Sync some users of the run's project, creating those who are not there; returns what ``sync_project`` does.

    Raises IntegrationMissing, RevenueCatError and NotSaved.
    """
    project_id, integration = await integration_of(ctx, SyncParams())
    wanted = sorted(set(params.user_ids))
    async with ctx.connect() as connection:
        await insert_users(connection, project_id, wanted)
    return await _sync_users(ctx, settings, integration, wanted, Tally(total=len(wanted), skipped_anonymous=0))


async def _sync_users(
    ctx: owlrunner.JobContext, settings: SyncSettings, integration: Integration, wanted: list[str], tally: Tally
) -> dict[str, object]:
    if wanted:
        ctx.progress(0, tally.total, "Starting sync...")
    saving = Saving(ctx, integration.project_id, tally)
    shared = partial(SharedLimit, ctx, integration.api_key)
    async with open_revenuecat(settings, integration.api_key, shared) as revenuecat:
        run = _Run(ctx, revenuecat, tally, saving, integration.revenuecat_project)
        try:
            await run.carry_out(wanted, settings.concurrency)
            if run.failure is None and not run.cancelled:
                await saving.save_all()
        finally:
            await saving.save_rest()
    if run.failure is not None:
        raise run.failure
    if run.last_error is not None and not run.cancelled and tally.errors.count == tally.total:
        # However few they are: a run that could do nothing has failed.
        message = f"RevenueCat gave no answer of use about any of {tally.total} users. {run.last_error}"
        raise RevenueCatError(run.last_error.code, message)
    saving.require_saved()
    if tally.not_found.count == tally.total >= FEWEST_TO_DOUBT and not run.cancelled:
        raise NobodyKnown(tally.total)
    ctx.log.info("%s after %d of %d users", "cancelled" if run.cancelled else "done", tally.handled, tally.total)
    return tally.result(cancelled=run.cancelled)


@attrs.define
class _Run:
    """One sync under way. A failure is kept while the work stops, so that it arrives bare, not in a group of eight."""

    ctx: owlrunner.JobContext
    revenuecat: RevenueCat
    tally: Tally
    saving: Saving
    revenuecat_project: str
    cancelled: bool = False
    failure: owlrunner.OwlRunnerError | None = None
    errors_in_a_row: int = 0
    last_error: RevenueCatError | None = None
    work: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    heeding: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    finished: trio.Event = attrs.field(factory=trio.Event)

    async def carry_out(self, user_ids: list[str], concurrency: int) -> None:
        """Sync the users, until all are handled, the run is cancelled, or there is no use in going on."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._save)
            nursery.start_soon(self._heed_cancel)
            with self.work:
                await self._work(user_ids, concurrency)
            self.finished.set()
            self.heeding.cancel()
            # A write that is cancelled may have taken effect: written again, it finds nothing left to fill, and counts nothing.
            nursery.cancel_scope.deadline = trio.current_time() + LAST_WRITE_PATIENCE

    async def _work(self, user_ids: list[str], concurrency: int) -> None:
        try:
            # Asked even when there is no user: a wrong key shall not stay unnoticed until the first one comes.
            project_id = await self.revenuecat.project_id(self.revenuecat_project)
            names = await self.revenuecat.names(project_id) if user_ids else Names()
        except RevenueCatError as error:
            self._fail(error)
            return
        if not user_ids:
            return
        # All ids fit: six hours at RevenueCat's pace are some 57,000 users.
        send, receive = trio.open_memory_channel[str](len(user_ids))
        with send:
            for user_id in user_ids:
                send.send_nowait(user_id)
        async with trio.open_nursery() as workers:
            for _ in range(min(concurrency, len(user_ids))):
                workers.start_soon(self._worker, receive.clone(), project_id, names)
            receive.close()

    async def _worker(self, user_ids: trio.MemoryReceiveChannel[str], project_id: str, names: Names) -> None:
        async with user_ids:
            async for user_id in user_ids:
                if self._is_cancelled():
                    return
                await self._sync(user_id, project_id, names)
                self.ctx.progress(self.tally.handled, self.tally.total, self.tally.message())

    async def _sync(self, user_id: str, project_id: str, names: Names) -> None:
        try:
            customer = await self.revenuecat.customer(project_id, user_id)
        except KeyRefused as error:
            self._fail(error)
        except Unknown:
            self.errors_in_a_row = 0
            self.tally.not_found.add(user_id)
            self.saving.add_tried(user_id)
        except RevenueCatError as error:
            logger.warning("user %s: %s", user_id, error)
            self.tally.count_error(user_id, error.code)
            self.last_error = error
            if error.is_about_one_user:
                self.errors_in_a_row = 0
                self.saving.add_tried(user_id)
                return
            self.errors_in_a_row += 1
            if self.errors_in_a_row >= MOST_ERRORS_IN_A_ROW:
                message = f"RevenueCat failed for {self.errors_in_a_row} users in a row. {error}"
                self._fail(RevenueCatError(error.code, message))
        else:
            self.errors_in_a_row = 0
            self._take(user_id, customer, names)

    def _take(self, user_id: str, customer: Customer, names: Names) -> None:
        facts = properties(customer, names)
        origin = attribution(customer.attributes)
        cents = revenue_cents(customer)
        self.saving.add(SyncedUser(user_id, facts, origin, cents))
        self.tally.count_synced(
            active=facts["rc_subscriber"] == "true",
            has_revenue=cents is not None,
            other_network=customer.attributes is not None and not origin,
        )

    async def _save(self) -> None:
        try:
            await self.saving.keep_saving(self.finished)
        except NotSaved as error:
            self._fail(error)

    async def _heed_cancel(self) -> None:
        with self.heeding:
            # The context knows no event loop, so there is no event to wait for.
            while not self._is_cancelled():  # noqa: ASYNC110
                await trio.sleep(LOOK_FOR_CANCEL)
            await trio.sleep(CANCEL_PATIENCE)
            self.work.cancel()

    def _is_cancelled(self) -> bool:
        self.cancelled = self.cancelled or self.ctx.is_cancelled()
        return self.cancelled

    def _fail(self, error: owlrunner.OwlRunnerError) -> None:
        if self.failure is None:
            self.failure = error
        self.work.cancel()
