"""This is the room for the stream of a team's runs: which of them have changed since the client was told."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from owlrunner.actor import TeamActor
from owlrunner.job_run import ACTIVE, JobRun, RunStatus
from owlrunner.jobs import Jobs
from owlrunner.storage.job_runs import Filters
from owlrunner.storage.seen_runs import SeenRun
from owlrunner.web.exchange import encode
from owlrunner.web.fingerprints import fingerprint, split
from owlrunner.web.rendering import run_body
from owlrunner.web.slices import in_slices
from owlrunner.web.streams import Sight, event
from owlrunner.web.wire import OneRun

MOST_IN_ID = 500
"""How many runs the id of an event says that the client knows. It comes back as a header; what is older is sent again then."""


class WatchedRuns:
    """A team's newest runs, and all that are active besides, as one client knows them."""

    def __init__(
        self,
        jobs: Jobs,
        who: Callable[[], Awaitable[TeamActor]],
        team_id: UUID | None,
        *,
        filters: Filters,
        limit: int,
        last_event_id: str,
    ) -> None:
        self._jobs = jobs
        # Asked at each look: what a client may see can end while it listens.
        self._who = who
        self._team_id = team_id
        self._filters = filters
        self._limit = limit
        self._seen = split(last_event_id)
        self._active: set[UUID] = set()

    async def look(self) -> Sight:
        """Tell what has changed, the oldest first. Raises Unauthenticated and PermissionDenied."""
        actor = await self._who()
        runs = {run.id: run for run in await self._page(actor, None)}
        for status in ACTIVE:
            runs |= {run.id: run for run in await self._page(actor, status)}
        # What was active and is in neither any more has ended meanwhile, or newer ones have come in front of it.
        gone = self._active - runs.keys()
        if gone:
            runs |= {run.id: run for run in await self._jobs.view_many(actor, gone)}
        self._active = {run.id for run in runs.values() if run.status in ACTIVE}
        newest_last = sorted(runs.values(), key=lambda run: (run.created_at, run.id))
        return self._told(await in_slices(await self._jobs.see(newest_last), _encoded))

    async def _page(self, actor: TeamActor, status: RunStatus | None) -> list[JobRun]:
        filters = Filters(self._filters.job_type, status, self._filters.project_id)
        return (await self._jobs.page(actor, self._team_id, filters, None, self._limit)).runs

    def _told(self, runs: list[tuple[bytes, str]]) -> Sight:
        prints = [of_body for _, of_body in runs]
        news = [body for body, of_body in runs if of_body not in self._seen]
        self._seen = frozenset(prints)
        # The id stands for all of them, so it goes with the last.
        events = [event(body, name="run") for body in news[:-1]]
        identity = "".join(prints[-MOST_IN_ID:])
        events += [event(body, name="run", identity=identity) for body in news[-1:]]
        return Sight(b"".join(events), bool(self._active))


def _encoded(run: SeenRun) -> tuple[bytes, str]:
    """A run as it is sent, and its fingerprint."""
    body = encode(OneRun(run_body(run)))
    return body, fingerprint(body)
