"""The run that makes users of RevenueCat's customers: page by page, each page in a statement of its own."""

import logging
from functools import partial

import attrs

import owlrunner
from owlrunner_revenuecat.api import open_revenuecat
from owlrunner_revenuecat.customer import ANONYMOUS
from owlrunner_revenuecat.integration import integration_of
from owlrunner_revenuecat.settings import SyncParams, SyncSettings, can_be_user_id
from owlrunner_revenuecat.sharing import SharedLimit
from owlrunner_revenuecat.storage import insert_users

logger = logging.getLogger(__name__)


@attrs.define
class Listed:
    """What has become of RevenueCat's customers so far."""

    customers: int = 0
    created: int = 0
    existing: int = 0
    skipped_anonymous: int = 0
    unusable: int = 0
    """Those whose ids are too long for a user's, or hold what cannot be stored."""

    def message(self) -> str:
        """The line for people."""
        return f"Listed {self.customers} customers: {self.created} users created, {self.existing} there already"


async def backfill_project(ctx: owlrunner.JobContext, settings: SyncSettings, params: SyncParams) -> dict[str, object]:
    """Create the users of the run's project whom RevenueCat knows and the project does not; return counts.

    What is there already stays as it is, so a run that was cut off is done again, and finds most of it there. A run that is asked
    to cancel returns what it has, with ``cancelled_at``, the number of customers listed.

    Raises OtherProject, IntegrationMissing, RevenueCatError, and DatabaseUnavailable.
    """
    project_id, integration = await integration_of(ctx, params)
    listed, cursor, seen = Listed(), None, set[str]()
    shared = partial(SharedLimit, ctx, integration.api_key)
    async with open_revenuecat(settings, integration.api_key, shared) as revenuecat:
        revenuecat_project = await revenuecat.project_id(integration.revenuecat_project)
        while not ctx.is_cancelled():
            ids, cursor = await revenuecat.customer_ids(revenuecat_project, cursor)
            own = [one for one in ids if not one.startswith(ANONYMOUS)]
            usable = set(filter(can_be_user_id, own))
            async with ctx.connect() as connection:
                created = await insert_users(connection, project_id, sorted(usable))
            listed.customers += len(ids)
            listed.skipped_anonymous += len(ids) - len(own)
            listed.unusable += len(own) - len(usable)
            listed.created += created
            listed.existing += len(usable) - created
            # RevenueCat does not say how many there are.
            ctx.progress(listed.customers, 0, listed.message())
            if cursor is None:
                return attrs.asdict(listed)
            if cursor in seen:
                logger.warning("RevenueCat's list of customers goes round in circles: read no further")
                return attrs.asdict(listed)
            seen.add(cursor)
    return attrs.asdict(listed) | {"cancelled_at": listed.customers}
