"""The stream of a team's runs: which of them have changed since the client was told."""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import NamedTuple
from uuid import UUID

import attrs

from owlrunner.actor import TeamActor
from owlrunner.job_run import ACTIVE, JobRun, RunStatus
from owlrunner.jobs import Jobs
from owlrunner.storage.job_runs import Filters
from owlrunner.storage.seen_runs import SeenRun
from owlrunner.web.exchange import encode
from owlrunner.web.fingerprints import fingerprint, split
from owlrunner.web.rendering import run_body
from owlrunner.web.shared_looks import Hold, SharedLooks
from owlrunner.web.slices import in_slices
from owlrunner.web.streams import Sight, event
from owlrunner.web.wire import OneRun

MOST_IN_ID = 500
"""How many runs the id of an event says that the client knows. It comes back as a header; what is older is sent again then."""


class Drawn(NamedTuple):
    """A run as it is sent."""

    run: JobRun
    body: bytes
    mark: str
    """The fingerprint of the body."""


SharedRuns = SharedLooks[list[Drawn]]


@attrs.frozen
class Wanted:
    """Which runs of which team, and how many of the newest besides those that are active."""

    team_id: UUID | None
    filters: Filters
    limit: int


class WatchedRuns:
    """A team's newest runs, and all that are active besides, as one client knows them."""

    def __init__(
        self,
        jobs: Jobs,
        who: Callable[[], Awaitable[TeamActor]],
        wanted: Wanted,
        *,
        shared: SharedRuns,
        last_event_id: str,
    ) -> None:
        self._jobs = jobs
        # Asked at each look: what a client may see can end while it listens.
        self._who = who
        self._wanted = wanted
        self._shared = shared
        self._seen = split(last_event_id)
        self._active: set[UUID] = set()

    async def look(self, hold: Hold) -> Sight:
        """Tell what has changed, the oldest first. Raises Unauthenticated and PermissionDenied."""
        actor = await self._who()
        # Somebody else may look for us, who may do it: whether we may is our own question.
        self._jobs.require_reader(actor, self._wanted.team_id)
        found = await self._shared.of(self._wanted, partial(self._newest, actor), hold)
        runs = {one.run.id: one for one in found}
        # What was active and is not there any more has ended meanwhile, or newer ones have come in front of it.
        gone = frozenset(self._active - runs.keys())
        if gone:
            key = (self._wanted.team_id, gone)
            runs |= {one.run.id: one for one in await self._shared.of(key, partial(self._others, actor, gone), hold)}
        # Whoever looked for us may have waited for their turn.
        self._jobs.require_reader(await self._who(), self._wanted.team_id)
        self._active = {one.run.id for one in runs.values() if one.run.status in ACTIVE}
        return self._told(sorted(runs.values(), key=lambda one: (one.run.created_at, one.run.id)))

    async def _newest(self, actor: TeamActor) -> list[Drawn]:
        runs = {run.id: run for run in await self._page(actor, None)}
        for status in ACTIVE:
            runs |= {run.id: run for run in await self._page(actor, status)}
        return await self._drawn(list(runs.values()))

    async def _page(self, actor: TeamActor, status: RunStatus | None) -> list[JobRun]:
        team_id, filters, limit = self._wanted.team_id, self._wanted.filters, self._wanted.limit
        filters = Filters(filters.job_type, status, filters.project_id)
        return (await self._jobs.page(actor, team_id, filters, None, limit)).runs

    async def _others(self, actor: TeamActor, ids: Collection[UUID]) -> list[Drawn]:
        return await self._drawn(await self._jobs.view_many(actor, ids))

    async def _drawn(self, runs: list[JobRun]) -> list[Drawn]:
        return await in_slices(await self._jobs.see(runs), _draw)

    def _told(self, runs: list[Drawn]) -> Sight:
        news = [one for one in runs if one.mark not in self._seen]
        self._seen = frozenset(one.mark for one in runs)
        # The id stands for all of them, so it goes with the last.
        events = [event(one.body, name="run") for one in news[:-1]]
        identity = "".join(one.mark for one in runs[-MOST_IN_ID:])
        events += [event(one.body, name="run", identity=identity) for one in news[-1:]]
        return Sight(b"".join(events), bool(self._active))


def _draw(seen: SeenRun) -> Drawn:
    body = encode(OneRun(run_body(seen)))
    return Drawn(seen.run, body, fingerprint(body))
