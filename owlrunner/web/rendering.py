"""This is the room for turning what the doors return into the shapes that go over the wire."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from owlrunner.accounts import ApiKey, Membership, Team, User
from owlrunner.errors import Refused, RunAlreadyActive
from owlrunner.job_run import RunStatus
from owlrunner.storage.accounts import Member
from owlrunner.storage.audit import AuditEntry
from owlrunner.storage.job_runs import Cursor, StoredLogLine
from owlrunner.storage.seen_runs import SeenRun
from owlrunner.waiting import Wait
from owlrunner.web.run_wire import JobRunBody, WaitBody
from owlrunner.web.team_wire import AuditEntryBody, AuditPage, MemberBody, MemberList
from owlrunner.web.wire import (
    BatchAnswer,
    BatchItem,
    KeyBody,
    LogLineBody,
    LogPage,
    MembershipBody,
    RunPage,
    TeamBody,
    UserBody,
)


def instant(time: datetime) -> str:
    """A time as it stands on the wire: cut to milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def maybe_instant(time: datetime | None) -> str | None:
    """A time, or null."""
    return None if time is None else instant(time)


def run_body(seen: SeenRun) -> JobRunBody:
    """A run, for the wire."""
    run = seen.run
    return JobRunBody(
        run.id,
        run.job_type,
        run.status,
        run.team_id,
        run.project_id,
        run.triggered_by,
        run.params,
        # What the attempt before had done says nothing about the next one.
        None if run.status is RunStatus.PENDING else run.progress,
        run.result,
        run.error,
        run.notify,
        maybe_instant(run.started_at),
        maybe_instant(run.completed_at),
        instant(run.created_at),
        instant(run.run_at),
        run.attempt,
        run.max_attempts,
        maybe_instant(run.cancel_requested_at),
        run.cancelled_by,
        seen.triggered_by,
        seen.cancelled_by,
        None if seen.wait is None else _wait_body(seen.wait),
        None if run.omitted is None else dict(run.omitted),
    )


def _wait_body(wait: Wait) -> WaitBody:
    return WaitBody(wait.reason, wait.detail, maybe_instant(wait.until), maybe_instant(wait.since))


def batch_answer(answers: Sequence[UUID | Refused]) -> BatchAnswer:
    """What became of a batch, for the wire."""
    items = [_batch_item(answer) for answer in answers]
    return BatchAnswer(sum(item.id is not None for item in items), items)


def _batch_item(answer: UUID | Refused) -> BatchItem:
    if isinstance(answer, UUID):
        return BatchItem(id=answer)
    existing = answer.existing_run_id if isinstance(answer, RunAlreadyActive) else None
    return BatchItem(error=str(answer), existing_run_id=existing)


def run_page(runs: list[JobRunBody], after: Cursor | None) -> RunPage:
    """A page of runs, for the wire."""
    return RunPage(runs, None if after is None else cursor_text(after), after is not None)


def audit_page(entries: Sequence[AuditEntry], after: Cursor | None) -> AuditPage:
    """A page of the audit log, for the wire."""
    return AuditPage(
        [audit_entry(entry) for entry in entries], None if after is None else cursor_text(after), after is not None
    )


def audit_entry(entry: AuditEntry) -> AuditEntryBody:
    """What somebody did, for the wire."""
    told = entry._asdict()
    del told["team"]
    return AuditEntryBody(**told | {"timestamp": instant(told.pop("at"))})


def cursor_text(cursor: Cursor) -> str:
    """A cursor: to the microsecond, because that is how rows are sorted."""
    return f"{cursor.created_at.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z|{cursor.id}"


def log_page(lines: Sequence[StoredLogLine], after: str | None, *, has_more: bool) -> LogPage:
    """A page of log lines, for the wire."""
    logs = [LogLineBody(one.attempt, one.seq, instant(one.at), one.level, one.logger, one.message) for one in lines]
    return LogPage(logs, f"{logs[-1].attempt}.{logs[-1].seq}" if logs else after, has_more)


def team_body(team: Team) -> TeamBody:
    """A team, for the wire."""
    return TeamBody(*team)


def membership_bodies(memberships: Sequence[Membership]) -> list[MembershipBody]:
    """Teams with roles, for the wire."""
    return [MembershipBody(*team, role=role.name.lower()) for team, role in memberships]


def user_body(user: User) -> UserBody:
    """A user, for the wire."""
    return UserBody(user.id, user.email, user.name, instant(user.created_at), instant(user.updated_at))


def member_list(members: Sequence[Member]) -> MemberList:
    """The members of a team, for the wire."""
    return MemberList(
        [
            MemberBody(one.user_id, one.email, one.name, one.role.name.lower(), instant(one.joined_at), one.keys)
            for one in members
        ]
    )


def key_body(key: ApiKey) -> KeyBody:
    """An API key, for the wire."""
    return KeyBody(
        id=key.id,
        key_prefix=key.key_prefix,
        key_type=key.key_type,
        app_id=None,
        team_id=key.team_id,
        name=key.name,
        created_by=key.created_by,
        permissions=key.permissions,
        created_at=instant(key.created_at),
        updated_at=instant(key.updated_at),
        last_used_at=maybe_instant(key.last_used_at),
        expires_at=maybe_instant(key.expires_at),
        app_name=None,
        created_by_email=key.created_by_email,
    )
