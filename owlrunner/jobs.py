"""This is the one door to runs: trigger, cancel, view, list, logs.

The API, the dashboard and the owner's commands all come through here. Who may do what, which job types may be triggered by
whom, whether params fit, and what counts as a duplicate is decided in this module and nowhere else.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import attrs
import msgspec

from owlrunner.actor import Actor, OperatorActor, Role, TeamActor, in_team, require_permissions, require_team
from owlrunner.decoding import holds_unstorable_text
from owlrunner.durations import parse_duration, parse_instant
from owlrunner.errors import (
    InvalidParams,
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
from owlrunner.plugins import Catalog
from owlrunner.storage import job_runs
from owlrunner.storage.job_runs import Cursor, Filters, NewRun, StoredLogLine
from owlrunner.storage.postgres import Database

READ = "jobs:read"
WRITE = "jobs:write"
PRIORITIES = range(-100, 101)
RUN_AT_YEARS = range(1970, 3000)
MAX_PARAMS_BYTES = 256 * 1024
MAX_BATCH = 10_000
"""How many runs one ``trigger_many`` creates."""
NO_PROJECT = "Project not found"
UNSTORABLE = "params: text with NUL characters or lone surrogates cannot be stored"


@attrs.frozen
class TriggerRequest:
    """What somebody wants to be run, as it came in: texts are not yet checked."""

    job_type: str | None
    project_id: str | None = None
    params: Any = None
    notify: bool = False
    run_at: str | None = None
    """An ISO 8601 time, or a delay such as ``10m``; None for now."""
    priority: int = 0
    """-100 to 100; higher is claimed first."""


@attrs.frozen
class Page:
    """Some runs, newest first, and where to go on."""

    runs: list[JobRun]
    next: Cursor | None


@attrs.frozen
class Jobs:
    """The door, for one database and one catalog. Every method raises DatabaseUnavailable when PostgreSQL is away."""

    db: Database
    catalog: Catalog

    async def trigger(self, actor: Actor, team_id: UUID | None, wanted: TriggerRequest) -> JobRun:
        """Create a pending run for a project of the team and return it.

        Raises PermissionDenied, UnknownJobType, NotTriggerable, InvalidRequest, InvalidParams, NotFound (the project), and
        RunAlreadyActive with the id of the run that holds the slot.
        """
        _require_writer(actor, team_id)
        answer = await job_runs.insert_pending(self.db, self._new_run(actor, team_id, wanted), actor)
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
        answers: list[UUID | Refused | None] = [None] * len(wanted)
        runs: list[NewRun] = []
        numbers: list[int] = []
        # One statement cannot create a run and meet it again, so of those who want one slot the first one asks for all.
        asks: dict[tuple[str, UUID | None], int] = {}
        others: list[tuple[int, int]] = []
        for number, one in enumerate(wanted):
            try:
                run = self._new_run(actor, team_id, one)
            except Refused as refusal:
                answers[number] = refusal
                continue
            if run.exclusive:
                place = asks.setdefault((run.job_type, run.project_id), len(runs))
                if place < len(runs):
                    others.append((number, place))
                    continue
            runs.append(run)
            numbers.append(number)
        told = await job_runs.insert_many(self.db, team_id, runs, actor) if runs else []
        for number, answer in zip(numbers, told, strict=True):
            if answer is not None:
                created, run_id = answer
                answers[number] = run_id if created else RunAlreadyActive(run_id)
        for number, place in others:
            answer = told[place]
            answers[number] = RunAlreadyActive(answer[1]) if answer is not None else None
        return [answer if answer is not None else NotFound(NO_PROJECT) for answer in answers]

    def _new_run(self, actor: Actor, team_id: UUID | None, wanted: TriggerRequest) -> NewRun:
        """What was asked for, with every text checked."""
        job_type = self._triggerable(actor, wanted.job_type)
        project_id = _project_id(job_type, wanted.project_id)
        if wanted.priority not in PRIORITIES:
            raise InvalidRequest(
                f"priority: expected a number from {PRIORITIES[0]} to {PRIORITIES[-1]}, got {wanted.priority}"
            )
        due = _due(wanted.run_at)
        return NewRun(
            job_type=job_type.name,
            team_id=team_id if project_id else None,
            project_id=project_id,
            triggered_by=actor.triggered_by,
            params=_checked_params(job_type, wanted.params),
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

    async def page(
        self, actor: TeamActor, team_id: UUID | None, filters: Filters, before: Cursor | None, limit: int
    ) -> Page:
        """Return one page of a team's runs, newest first. System runs belong to no team, so they never appear.

        Raises PermissionDenied.
        """
        require_permissions(actor, [READ])
        require_team(actor, team_id, Role.ADMIN)
        assert team_id is not None  # noqa: S101 - nobody is in team None
        runs = await job_runs.page(self.db, team_id, filters, before, limit + 1)
        shown = runs[:limit]
        return Page(shown, Cursor(shown[-1].created_at, shown[-1].id) if len(runs) > limit else None)

    async def logs(self, actor: Actor, run_id: UUID, after: tuple[int, int], limit: int) -> list[StoredLogLine]:
        """Return lines of a run's log in order, after the line (attempt, seq). Raises NotFound and PermissionDenied."""
        await self._visible(actor, run_id, READ)
        return await job_runs.log_page(self.db, run_id, after, limit)

    def _triggerable(self, actor: Actor, name: str | None) -> AnyJobType:
        """The job type, if the actor may trigger it by hand."""
        job_type = self.catalog.job_types.get(name or "")
        if job_type is None:
            raise UnknownJobType(self.catalog.job_types)
        if job_type.scope is Scope.SYSTEM and not isinstance(actor, OperatorActor):
            raise NotTriggerable(job_type.name)
        return job_type

    async def _visible(self, actor: Actor, run_id: UUID, permission: str) -> JobRun:
        """The run, if the actor may know of it and do what the permission says."""
        if not isinstance(actor, OperatorActor):
            require_permissions(actor, [permission])
        run = await job_runs.by_id(self.db, run_id)
        if run is None:
            raise NotFound("Job run not found")
        if not isinstance(actor, OperatorActor):
            if run.team_id is None or not in_team(actor, run.team_id):
                raise NotFound("Job run not found")
            require_team(actor, run.team_id, Role.ADMIN)
        return run


def _require_writer(actor: Actor, team_id: UUID | None) -> None:
    """Raise PermissionDenied unless the actor may trigger for the team."""
    if not isinstance(actor, OperatorActor):
        require_permissions(actor, [WRITE])
        require_team(actor, team_id, Role.ADMIN)


def _project_id(job_type: AnyJobType, text: str | None) -> UUID | None:
    """The project that a run is for: needed for the project scope, refused for the system scope."""
    if job_type.scope is Scope.SYSTEM:
        if text:
            raise InvalidRequest(f"project_id: {job_type.name} is a system job and works for no project")
        return None
    if not text:
        raise InvalidRequest("project_id is required for project-scoped jobs")
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise InvalidRequest(f"project_id: expected a uuid, got {text[:60]!r}") from None


def _checked_params(job_type: AnyJobType, params: Any) -> str | None:
    """Params as the JSON text to store, exactly as they were sent, once they have proved to fit."""
    job_type.decode_params(params)
    if params is None:
        return None
    try:
        text = msgspec.json.encode(params)
    except UnicodeEncodeError:  # half a surrogate pair
        raise InvalidParams(UNSTORABLE) from None
    # Also what only looks like NUL, such as a text about JSON, is looked at closely.
    if b"\\u0000" in text and holds_unstorable_text(params):
        raise InvalidParams(UNSTORABLE)
    if len(text) > MAX_PARAMS_BYTES:
        raise InvalidParams(f"params: at most {MAX_PARAMS_BYTES:,} bytes as JSON, got {len(text):,}")
    return text.decode()


def _due(text: str | None) -> datetime | timedelta | None:
    """When a run is due: an instant, a delay, or None for now."""
    if text is None:
        return None
    delay = parse_duration(text)
    due = delay if delay is not None else parse_instant(text)
    if due is None:
        raise InvalidRequest(f"run_at: expected an ISO 8601 time or a delay such as 10m, got {text[:60]!r}")
    # A time at the very end of the calendar could be stored, but not read back by a session in another time zone.
    if isinstance(due, datetime) and due.year not in RUN_AT_YEARS:
        raise InvalidRequest(
            f"run_at: expected a time in the years {RUN_AT_YEARS[0]} to {RUN_AT_YEARS[-1]}, got {text[:60]!r}"
        )
    return due
