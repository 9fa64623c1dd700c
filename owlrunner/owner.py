"""This is the room for the owner's view, straight from the database: runs of all scopes, schedules, servers, notifications.

Nobody is asked for a permission here: whoever can reach the database is the owner. Starting and ending runs is for the one
door, see ``owlrunner.jobs``.
"""

import enum
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import attrs

from owlrunner.cron import Cron, InvalidCron, describe
from owlrunner.decoding import holds_unstorable_text
from owlrunner.errors import InvalidRequest, NotFound
from owlrunner.storage import accounts, audit, job_runs, overview
from owlrunner.storage.audit import AuditEntry, AuditFilters, SecurityEvent
from owlrunner.storage.job_runs import Filters, StoredLogLine
from owlrunner.storage.overview import (
    DecidedFire,
    DeployedSchedule,
    KnownServer,
    LastFire,
    StoredNotification,
    SurroundedRun,
)
from owlrunner.storage.postgres import Database
from owlrunner.storage.seen_runs import SeenRun, see

MOST_NOTIFICATIONS = 100
"""How many notifications of one run are shown."""
LOG_LINES = 1000
"""How many lines of a log are asked for at once."""


class ServerState(enum.StrEnum):
    """How a server is doing, as far as the database can tell."""

    ALIVE = "alive"
    LAPSED = "lapsed"
    """Its lease has run out, and nobody has buried it: because there is nobody, or not yet."""
    DEAD = "dead"


@attrs.frozen
class ScheduleView:
    """A schedule as it is deployed: what it means, what came of it last, and when it fires next."""

    name: str
    job_type: str
    definition: dict[str, Any]
    words: str
    last_fire: LastFire | None
    next_fire: datetime | None
    """None where this OwlRunner cannot read the expression; ``words`` says so then."""


@attrs.frozen
class ServerView:
    """A server with the state that its lease says, and since when."""

    known: KnownServer
    state: ServerState
    since: datetime


@attrs.frozen
class OwnedRun:
    """A run, by the names that it goes by, and with what it waits for."""

    surrounded: SurroundedRun
    seen: SeenRun


@attrs.frozen
class RunView:
    """Everything about one run except for its log."""

    owned: OwnedRun
    notifications: list[StoredNotification]


@attrs.frozen
class Owner:
    """What the owner of one database sees. Every method raises DatabaseUnavailable when PostgreSQL is away."""

    db: Database

    async def runs(self, filters: Filters, limit: int, *, of_teams: bool = False) -> tuple[list[OwnedRun], bool]:
        """Return the newest system runs, or those of everybody, and whether there are more. Raises InvalidRequest."""
        if holds_unstorable_text(filters.job_type):
            raise InvalidRequest("job_type: text with NUL characters or lone surrogates is no name")
        runs = await overview.list_runs(self.db, filters, limit + 1, of_teams=of_teams)
        return await self._owned(runs[:limit]), len(runs) > limit

    async def run(self, run_id: UUID) -> RunView:
        """Return one run, whoever it belongs to. Raises NotFound."""
        surrounded = await overview.inspect_run(self.db, run_id)
        if surrounded is None:
            raise NotFound("Job run not found")
        (owned,) = await self._owned([surrounded])
        return RunView(owned, await overview.list_notifications(self.db, MOST_NOTIFICATIONS, run_id=run_id))

    async def _owned(self, runs: Sequence[SurroundedRun]) -> list[OwnedRun]:
        seen = await see(self.db, [one.run for one in runs])
        return [OwnedRun(surrounded, one) for surrounded, one in zip(runs, seen, strict=True)]

    async def log(self, run_id: UUID) -> list[StoredLogLine]:
        """Return a run's whole log; empty where there is no such run."""
        lines: list[StoredLogLine] = []
        while page := await job_runs.log_page(self.db, run_id, lines[-1][:2] if lines else (0, 0), LOG_LINES):
            lines += page
        return lines

    async def schedules(self) -> list[ScheduleView]:
        """Return what is deployed, by name."""
        return [_schedule_view(deployed) for deployed in await overview.list_schedules(self.db)]

    async def fires(
        self, schedule: str | None, outcome: str | None, since: datetime | timedelta | None, limit: int
    ) -> tuple[list[DecidedFire], bool]:
        """Return the latest fire times that have been decided, newest first, and whether there are more. Raises InvalidRequest."""
        if holds_unstorable_text(schedule):
            raise InvalidRequest("schedule: text with NUL characters or lone surrogates is no name")
        found = await overview.list_fires(self.db, schedule, outcome, since, limit + 1)
        return found[:limit], len(found) > limit

    async def servers(self, limit: int) -> list[ServerView]:
        """Return the servers, the living first; the dead are on record for a week."""
        return [_server_view(known) for known in await overview.list_servers(self.db, limit)]

    async def notifications(self, status: str | None, limit: int) -> tuple[list[StoredNotification], bool]:
        """Return the newest notifications, and whether there are more."""
        found = await overview.list_notifications(self.db, limit + 1, status=status)
        return found[:limit], len(found) > limit

    async def audit(
        self, team: str | None, since: datetime | timedelta | None, limit: int
    ) -> tuple[list[AuditEntry], list[SecurityEvent]]:
        """Return the newest ``limit`` entries of the audit log, of one team (id or slug) or all, and events about sign-ins.

        Those belong to no team, and are left out where one is asked for. Raises NotFound.
        """
        found = await accounts.find_team(self.db, team) if team is not None else None
        if team is not None and found is None:
            raise NotFound(f"there is no team {team!r}")
        filters = AuditFilters(since=since)
        entries = await audit.page(self.db, found.id if found is not None else None, filters, None, limit)
        return entries, [] if found is not None else await audit.security_events(self.db, since, limit)

    async def anybody_for(self, job_type: str | None) -> tuple[bool, bool]:
        """Return whether any server is alive, and whether a living one offers the job type."""
        return await overview.anybody_for(self.db, job_type)


def _schedule_view(deployed: DeployedSchedule) -> ScheduleView:
    """The schedule in words. It was deployed by whichever OwlRunner and time zone database a server has."""
    expression, timezone = deployed.definition["cron"], deployed.definition["timezone"]
    next_fire = None
    try:
        next_fire = Cron.parse(expression, timezone).next(deployed.now)
        words = describe(expression)
    except (InvalidCron, OverflowError) as problem:
        words = f"cannot be read here: {problem}"
    return ScheduleView(deployed.name, deployed.job_type, deployed.definition, words, deployed.last_fire, next_fire)


def _server_view(known: KnownServer) -> ServerView:
    if known.buried_at is not None:
        return ServerView(known, ServerState.DEAD, known.buried_at)
    if known.lease_left <= 0:
        return ServerView(known, ServerState.LAPSED, known.lease_expires_at)
    return ServerView(known, ServerState.ALIVE, known.started_at)
