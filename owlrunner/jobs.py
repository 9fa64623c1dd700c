"""This is the one door to runs: trigger, cancel, view, list, logs.

The API, the dashboard and the owner's commands all come through here. Who may do what, which job types may be triggered by
whom, whether params fit, and what counts as a duplicate is decided in this module and nowhere else.
"""

import contextlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import attrs
import trio

from owlrunner.actor import (
    Actor,
    OperatorActor,
    ProviderActor,
    Role,
    TeamActor,
    in_team,
    require_permissions,
    require_team,
)
from owlrunner.errors import (
    InvalidRequest,
    NotFound,
    NotTriggerable,
    Refused,
    RunAlreadyActive,
    RunAlreadyEnded,
    UnknownJobType,
)
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.job_type import AnyJobType, Scope
from owlrunner.large_input import decoded, size_of
from owlrunner.plugins import Catalog
from owlrunner.run_reports import AboutRun, LookBack, Page
from owlrunner.storage import job_runs, new_runs, overview
from owlrunner.storage.job_runs import Cursor, Filters, LogFilter, StoredLogLine
from owlrunner.storage.living_offers import LivingOffers
from owlrunner.storage.new_runs import NewRun
from owlrunner.storage.overview import Count, StoredNotification
from owlrunner.storage.postgres import Database
from owlrunner.storage.seen_runs import SeenRun, see
from owlrunner.trigger_batch import Batch
from owlrunner.trigger_request import NO_PROJECT, TriggerRequest, checked_due, checked_params, checked_project
from owlrunner.waiting import Surroundings, wait_of

READ = "jobs:read"
WRITE = "jobs:write"
PRIORITIES = range(-100, 101)
MAX_BATCH = 10_000
"""How many runs one ``trigger_many`` creates."""
SIZE_OF_REQUEST = 100
"""What a request of a batch takes to check besides its params, as bytes of JSON."""
COUNTED = 10_000
"""How many runs of a status are counted."""
LOOKED_AT = 50_000
"""How many of a team's newest runs are looked at for an overview."""
# To look through a long log takes PostgreSQL a processor for half a second, and on a small machine there are few.
_searching = trio.CapacityLimiter(1)
LONGEST_SHOWN = 32_000
"""Bytes of JSON up to which the report on one run holds its params and its result."""
MOST_NOTIFICATIONS = 20
"""How many notifications of one run are shown."""


@attrs.frozen
class Jobs:
    """The door, for one database and one catalog. Every method raises DatabaseUnavailable when PostgreSQL is away."""

    db: Database
    catalog: Catalog
    _offers: LivingOffers = attrs.field(factory=LivingOffers, init=False, repr=False, eq=False)

    async def trigger(
        self, actor: Actor | ProviderActor, team_id: UUID | None, wanted: TriggerRequest, *, permission: str = WRITE
    ) -> JobRun:
        """Create a pending run for a project of the team and return it. ``permission`` is what an API key needs.

        Raises PermissionDenied, UnknownJobType, NotTriggerable, InvalidRequest, InvalidParams, NotFound (the project), and
        RunAlreadyActive with the id of the run that holds the slot.
        """
        _require_writer(actor, team_id, permission)
        new = await decoded(partial(self._new_run, actor, team_id, wanted), size_of(wanted.params))
        answer = await new_runs.insert_pending(self.db, new, actor)
        if answer is None:
            raise NotFound(NO_PROJECT)
        if isinstance(answer, UUID):
            raise RunAlreadyActive(answer)
        return answer

    async def trigger_many(
        self, actor: Actor, team_id: UUID | None, wanted: Sequence[TriggerRequest]
    ) -> list[UUID | Refused]:
        """Create many pending runs in one transaction; for each, in order, the run's id or what ``trigger`` would have raised.

        What is refused keeps nothing else from being created. Of two that want the same slot the first gets it.

        Raises PermissionDenied, and InvalidRequest for more than MAX_BATCH.
        """
        _require_writer(actor, team_id)
        if len(wanted) > MAX_BATCH:
            raise InvalidRequest(f"runs: at most {MAX_BATCH:,} at once, got {len(wanted):,}")
        size = sum(SIZE_OF_REQUEST + size_of(one.params) for one in wanted)
        batch = await decoded(partial(Batch.of, wanted, partial(self._new_run, actor, team_id)), size)
        return batch.answers(await new_runs.insert_many(self.db, team_id, batch.runs, actor) if batch.runs else [])

    def _new_run(self, actor: Actor | ProviderActor, team_id: UUID | None, wanted: TriggerRequest) -> NewRun:
        """What was asked for, with every text checked."""
        job_type = self._triggerable(actor, wanted.job_type)
        project_id = checked_project(job_type, wanted.project_id)
        if wanted.priority not in PRIORITIES:
            raise InvalidRequest(
                f"priority: expected a number from {PRIORITIES[0]} to {PRIORITIES[-1]}, got {wanted.priority}"
            )
        due = checked_due(wanted.run_at)
        return NewRun(
            job_type=job_type.name,
            team_id=team_id if project_id else None,
            project_id=project_id,
            triggered_by=actor.triggered_by,
            params=checked_params(job_type, wanted.params),
            notify=wanted.notify,
            priority=wanted.priority,
            exclusive=job_type.exclusive,
            requeue_on_restart=job_type.requeue_on_restart,
            max_attempts=job_type.retry.max_attempts,
            run_at=due if isinstance(due, datetime) else None,
            delay=due if isinstance(due, timedelta) else None,
        )

    async def cancel(self, actor: Actor, run_id: UUID) -> RunStatus:
        """Ask for a run to be cancelled. Returns *cancelled* where it was pending, *running* where its handler must end first.

        Raises NotFound, PermissionDenied, and RunAlreadyEnded.
        """
        await self._visible(actor, run_id, WRITE)
        status = await job_runs.request_cancel(self.db, run_id, actor)
        if status is None:
            raise RunAlreadyEnded((await self._visible(actor, run_id, WRITE)).status)
        return status

    async def view(self, actor: Actor, run_id: UUID) -> JobRun:
        """Return one run. Raises NotFound (also for other teams' runs and system runs) and PermissionDenied."""
        return await self._visible(actor, run_id, READ)

    async def see(self, runs: Sequence[JobRun]) -> list[SeenRun]:
        """Return runs that this door has handed out with what each waits for, and the names of who started and cancelled it."""
        return await see(self.db, runs)

    def require_reader(self, actor: TeamActor, team_id: UUID | None) -> UUID:
        """Return the team, if the actor may read its runs. Raises PermissionDenied."""
        return _readable(actor, team_id)

    async def view_many(self, actor: Actor, run_ids: Collection[UUID]) -> list[JobRun]:
        """Return those of these runs that the actor may see, in one look at the database."""
        runs = []
        for run in await job_runs.by_ids(self.db, run_ids):
            with contextlib.suppress(NotFound):
                runs.append(_seen_by(actor, run, READ))
        return runs

    async def see_new(self, run: JobRun, actor: Actor) -> SeenRun:
        """Return a run that this actor has just triggered likewise; what servers there are is remembered for a second."""
        alive, offered = await self._offers.of(self.db, run.job_type)
        wait = wait_of(run, Surroundings(run.created_at, is_server_alive=alive, is_offered=offered))
        return SeenRun(run, wait, actor.called, None, run.created_at)

    async def see_one(self, run: JobRun) -> SeenRun:
        """Return one run likewise."""
        (seen,) = await see(self.db, [run])
        return seen

    async def page(
        self, actor: TeamActor, team_id: UUID | None, filters: Filters, before: Cursor | None, limit: int
    ) -> Page:
        """Return one page of a team's runs, newest first. System runs belong to no team, so they never appear.

        Raises PermissionDenied.
        """
        runs = await job_runs.page(self.db, _readable(actor, team_id), filters, before, limit + 1)
        shown = runs[:limit]
        return Page(shown, Cursor(shown[-1].created_at, shown[-1].id) if len(runs) > limit else None)

    async def counts(self, actor: TeamActor, team_id: UUID | None, filters: Filters) -> dict[RunStatus, Count]:
        """Return how many of a team's runs are in which status, whatever status the filters ask for.

        Of each status up to COUNTED runs are looked at: where there are more, the count says that it is not all.

        Raises PermissionDenied.
        """
        return await overview.counts(self.db, _readable(actor, team_id), filters, COUNTED)

    async def latest_failures(self, actor: TeamActor, team_id: UUID | None, limit: int) -> list[JobRun]:
        """Return the runs of a team that failed last, the latest failure first. Raises PermissionDenied."""
        return await overview.latest_failures(self.db, _readable(actor, team_id), limit)

    async def look_back(self, actor: TeamActor, team_id: UUID | None, span: timedelta, steps: int) -> LookBack:
        """Return what became of a team's newest LOOKED_AT runs of a span before now. Raises PermissionDenied."""
        team = _readable(actor, team_id)
        async with self.db.session() as session:
            activity = await overview.activity(session, team, span, span / steps, LOOKED_AT)
            return LookBack(span, steps, activity, await overview.typical(session, team, span, LOOKED_AT))

    async def logs(self, actor: Actor, run_id: UUID, after: tuple[int, int], limit: int) -> list[StoredLogLine]:
        """Return lines of a run's log in order, after the line (attempt, seq). Raises NotFound and PermissionDenied."""
        await self._visible(actor, run_id, READ)
        return await job_runs.log_page(self.db, run_id, after, limit)

    async def about(
        self, actor: Actor, run_id: UUID, wanted: LogFilter, after: tuple[int, int], limit: int
    ) -> AboutRun:
        """Return one run with what stands around it, and the newest lines of its log after the line (attempt, seq).

        Params and result that are longer than LONGEST_SHOWN stand in ``omitted`` instead.

        Raises NotFound and PermissionDenied.
        """
        # Before there is a connection: what waits for its turn to search keeps none from others.
        async with _searching if wanted.text else contextlib.nullcontext(), self.db.session() as session:
            found = await overview.inspect_run(session, run_id, LONGEST_SHOWN)
            run = _seen_by(actor, found.run if found is not None else None, READ)
            assert found is not None  # noqa: S101 - or there were no run
            (seen,) = await see(session, [run])
            told = await overview.list_notifications(session, MOST_NOTIFICATIONS, run_id=run_id)
            if not isinstance(actor, OperatorActor):
                told = [_for_team(one, seen) for one in told]
            pace = await job_runs.progress_of(session, run_id)
            earlier = await job_runs.earlier_attempts(session, run_id) if run.attempt else []
            # Looked at after the run: what an ended run has logged is all there.
            lines = await job_runs.newest_lines(session, run_id, wanted, after, limit)
            is_whole = (
                after != (0, 0)
                or not (wanted.levels or wanted.text)
                or await job_runs.is_searched_whole(session, run_id)
            )
            return AboutRun(seen, found.server, told, pace, earlier, lines, is_whole)

    def _triggerable(self, actor: Actor | ProviderActor, name: str | None) -> AnyJobType:
        """The job type, if the actor may trigger it by hand."""
        job_type = self.catalog.job_types.get(name or "")
        if job_type is None:
            # What a team cannot trigger is not its business.
            is_operator = isinstance(actor, OperatorActor)
            known = (
                self.catalog.job_types if is_operator else [one.name for one in self.catalog.of_scope(Scope.PROJECT)]
            )
            raise UnknownJobType(known)
        if job_type.scope is Scope.SYSTEM and not isinstance(actor, OperatorActor):
            raise NotTriggerable(job_type.name)
        return job_type

    async def _visible(self, actor: Actor, run_id: UUID, permission: str) -> JobRun:
        """The run, if the actor may know of it and do what the permission says."""
        return _seen_by(actor, await job_runs.by_id(self.db, run_id), permission)


def _seen_by(actor: Actor, run: JobRun | None, permission: str) -> JobRun:
    """The run, if there is one of which the actor may know. Raises NotFound and PermissionDenied."""
    if not isinstance(actor, OperatorActor):
        require_permissions(actor, [permission])
    if run is None:
        raise NotFound("Job run not found")
    if not isinstance(actor, OperatorActor):
        if run.team_id is None or not in_team(actor, run.team_id):
            raise NotFound("Job run not found")
        require_team(actor, run.team_id, Role.ADMIN)
    return run


def _for_team(one: StoredNotification, seen: SeenRun) -> StoredNotification:
    """A notification without what is the operator's: whom else it goes to, and what their mail server or webhook said."""
    return one._replace(recipient=one.recipient if one.recipient == seen.triggered_by else "", last_error=None)


def _require_writer(actor: Actor | ProviderActor, team_id: UUID | None, permission: str = WRITE) -> None:
    """Raise PermissionDenied unless the actor may trigger for the team. A provider has shown the team's secret."""
    if not isinstance(actor, OperatorActor | ProviderActor):
        require_permissions(actor, [permission])
        require_team(actor, team_id, Role.ADMIN)


def _readable(actor: TeamActor, team_id: UUID | None) -> UUID:
    """The team, if the actor may read its runs. Raises PermissionDenied."""
    require_permissions(actor, [READ])
    require_team(actor, team_id, Role.ADMIN)
    assert team_id is not None  # noqa: S101 - nobody is in team None
    return team_id
