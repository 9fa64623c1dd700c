"""RevenueCat for OwlRunner: ``revenuecat_sync`` copies what it knows of users into their properties.

``revenuecat_user_sync`` does so for some, as webhooks ask for it; ``revenuecat_user_backfill`` creates the users whom it knows.

RevenueCat's secret API key (v2) is the project's own: ``project_integrations`` holds it, with provider ``revenuecat``.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable

import owlrunner
from owlrunner_revenuecat.backfill import backfill_project
from owlrunner_revenuecat.settings import SyncParams, SyncSettings, UserSyncParams
from owlrunner_revenuecat.sync import sync_project, sync_some
from owlrunner_revenuecat.webhook import users_of

__all__ = [
    "REVENUECAT",
    "SyncParams",
    "SyncSettings",
    "UserSyncParams",
    "revenuecat_sync_job",
    "revenuecat_user_backfill_job",
    "revenuecat_user_sync_job",
]

LONGEST_RUN = 6 * 3600.0
"""Seconds after which a run is ended: some 57,000 users at RevenueCat's 480 requests a minute and 3 requests a user."""


REVENUECAT = owlrunner.Provider(
    "revenuecat",
    "RevenueCat",
    description="Copies subscription status, revenue and entitlements into the properties of users.",
    fields=(
        owlrunner.ConfigField(
            "api_key",
            "Secret API Key",
            required=True,
            secret=True,
            placeholder="sk_...",
            description="A secret API key (v2) of RevenueCat that may read customer information and project configuration.",
        ),
        owlrunner.ConfigField(
            "project_id",
            "RevenueCat Project",
            placeholder="proj1ab2c3d4",
            description="RevenueCat's own id of the project to read; needed where the key sees several.",
        ),
        owlrunner.ConfigField(
            "webhook_secret",
            "Webhook Secret",
            secret=True,
            description="What RevenueCat's webhooks send as Authorization, behind Bearer. Without one, none is taken.",
        ),
    ),
    webhook_job="revenuecat_user_sync",
    webhook_secret="webhook_secret",  # noqa: S106 - the name of a key
    webhook_params=users_of,
    sync_job="revenuecat_sync",
    sync_count=files(__name__).joinpath("sql", "count_users.sql").read_text("utf-8"),
)
"""What a project's integration with RevenueCat may hold."""


def revenuecat_sync_job(settings: SyncSettings) -> owlrunner.AnyJobType:
    """The job type, holding the settings of the server that runs it."""

    @owlrunner.job_type(scope="project", label="RevenueCat Sync", timeout=LONGEST_RUN, cancel_grace=10.0)
    async def revenuecat_sync(ctx: owlrunner.JobContext, params: SyncParams) -> dict[str, object]:
        """Copy subscription, revenue and attribution of a project's users from RevenueCat into their properties.

        ``params`` may name the project and its integration once more; a run with those of another is refused.

        Returns counters (see ``Tally.result``). Raises OwlRunnerError when the integration is missing, when RevenueCat
        refuses the API key or stays unreachable, or when the users cannot be written.
        """
        return await sync_project(ctx, settings, params)

    return revenuecat_sync


def revenuecat_user_backfill_job(settings: SyncSettings) -> owlrunner.AnyJobType:
    """The job type, holding the settings of the server that runs it."""

    @owlrunner.job_type(scope="project", label="RevenueCat User Backfill", timeout=LONGEST_RUN, cancel_grace=10.0)
    async def revenuecat_user_backfill(ctx: owlrunner.JobContext, params: SyncParams) -> dict[str, object]:
        """Create a project's users from RevenueCat's customers, as far as they are not there; a sync fills in the rest.

        ``params`` may name the project and its integration once more; a run with those of another is refused.

        Returns counts. Raises OwlRunnerError when the integration is missing, when RevenueCat refuses the API key or stays
        unreachable, or when the users cannot be written.
        """
        return await backfill_project(ctx, settings, params)

    return revenuecat_user_backfill


def revenuecat_user_sync_job(settings: SyncSettings) -> owlrunner.AnyJobType:
    """The job type, holding the settings of the server that runs it."""

    @owlrunner.job_type(
        scope="project",
        label="RevenueCat User Sync",
        overlap="allow",
        timeout=600.0,
        cancel_grace=10.0,
        retry=owlrunner.Retry(max_attempts=5, first_delay=30.0),
    )
    async def revenuecat_user_sync(ctx: owlrunner.JobContext, params: UserSyncParams) -> dict[str, object]:
        """Copy subscription, revenue and attribution of some users, as RevenueCat's webhooks ask for it.

        Users who are not there are created. Returns and raises what ``revenuecat_sync`` does.
        """
        return await sync_some(ctx, settings, params)

    return revenuecat_user_sync


@owlrunner.hookimpl
def owlrunner_job_types(settings: owlrunner.Settings) -> list[owlrunner.AnyJobType]:
    """Offer ``revenuecat_sync``, ``revenuecat_user_sync`` and ``revenuecat_user_backfill``."""
    wanted = settings.load(SyncSettings)
    return [revenuecat_sync_job(wanted), revenuecat_user_sync_job(wanted), revenuecat_user_backfill_job(wanted)]


@owlrunner.hookimpl
def owlrunner_providers() -> list[owlrunner.Provider]:
    """The integrations that hold the API keys."""
    return [REVENUECAT]


@owlrunner.hookimpl
def owlrunner_migrations() -> Traversable:
    """The tables of apps and their users."""
    return files(__name__) / "migrations"
