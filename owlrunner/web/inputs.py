"""This is the room for what a request may carry: the query and body of every route, and how their texts are read.

What is wrong with a value is told as ``query.limit: expected …`` or ``body.notify: expected …``.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote_to_bytes
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from owlrunner.accounts.credentials import as_uuid
from owlrunner.decoding import Undecodable, decode
from owlrunner.durations import parse_duration, parse_instant
from owlrunner.errors import InvalidRequest
from owlrunner.job_run import RunStatus
from owlrunner.storage.job_runs import Cursor
from owlrunner.written_dates import parse_date

T = TypeVar("T")

_AFTER = re.compile(r"(\d{1,10})\.(\d{1,10})", re.ASCII)
Moment = Annotated[
    str, Meta(description="An ISO 8601 time, or a span before now such as 30m, 12h, 7d", examples=["7d"])
]


class RunsQuery(Struct, frozen=True):
    """Which runs, and how many."""

    job_type: Annotated[str, Meta(description="The name of a job type")] | None = None
    # Not "or null": from a query, the text "null" would count as one.
    status: RunStatus | UnsetType = UNSET
    project_id: UUID | UnsetType = UNSET
    since: Moment | None = None
    until: Moment | None = None
    cursor: Annotated[str, Meta(description="The cursor of the page before")] | None = None
    limit: Annotated[int, Meta(description="1 to 200; 0 stands for 50")] = 0


class StreamQuery(Struct, frozen=True):
    """Which runs, and how many of the newest besides the active ones."""

    job_type: Annotated[str, Meta(description="The name of a job type")] | None = None
    project_id: UUID | UnsetType = UNSET
    limit: Annotated[int, Meta(description="1 to 200; 0 stands for 50")] = 0


class AuditQuery(Struct, frozen=True):
    """Which entries of the audit log, and how many."""

    resource_type: Annotated[str, Meta(description="Such as job_run, api_key or team_member")] | None = None
    resource_id: str | None = None
    actor_id: Annotated[str, Meta(description="The id of a user or key, or operator")] | None = None
    action: Literal["create", "update", "delete"] | UnsetType = UNSET
    since: Moment | None = None
    until: Moment | None = None
    cursor: Annotated[str, Meta(description="The cursor of the page before")] | None = None
    limit: Annotated[int, Meta(description="1 to 200; 0 stands for 50")] = 0


class RemoveQuery(Struct, frozen=True):
    """What becomes of the keys."""

    keys_to: (
        Annotated[UUID, Meta(description="The id of the member who gets their keys; without, the keys end")] | UnsetType
    ) = UNSET


class LogsQuery(Struct, frozen=True):
    """Which lines, and how many."""

    after: Annotated[str, Meta(description="The cursor of the page before: <attempt>.<seq>")] | None = None
    limit: Annotated[int, Meta(description="1 to 1000; 0 stands for 200")] = 0


class KeysQuery(Struct, frozen=True):
    """Which team's keys."""

    team_id: Annotated[str, Meta(description="A team; if absent, every team that the user administers")] | None = None


class TriggerBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be run."""

    job_type: str | None = None
    project_id: str | None = None
    params: dict[str, Any] | None = None
    notify: bool = False
    run_at: Annotated[str, Meta(description="An ISO 8601 time, or a delay such as 10m")] | None = None
    priority: Annotated[int, Meta(description="-100 to 100; higher goes first")] = 0


class TriggerBatchBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be run, many at once."""

    runs: Annotated[list[TriggerBody], Meta(description="1,000 at most")]


class SendCodeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the login code goes."""

    email: str | None = None


class VerifyCodeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The login code that came by mail."""

    email: str | None = None
    code: str | None = None


class AgentLoginBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The login code that came by mail, and the team that the key shall be for."""

    email: str | None = None
    code: str | None = None
    team_id: str | None = None


class CreateKeyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What the key shall be."""

    name: str | None = None
    key_type: Annotated[str, Meta(description="client or agent")] | None = None
    app_id: str | None = None
    team_id: str | None = None
    permissions: list[str] | None = None
    expires_in_days: int | None = None


def typed(raw: object, wanted: type[T], where: str, *, strict: bool = True) -> T:
    """``raw`` as a ``wanted``. Raises InvalidRequest naming the field."""
    try:
        return decode(raw, wanted, where=where, strict=strict)
    except Undecodable as problem:
        raise InvalidRequest(str(problem)) from None


def query_texts(query_string: bytes, known: Sequence[str]) -> dict[str, str]:
    """The known parameters of a query string that are not empty. Raises InvalidRequest."""
    texts: dict[str, str] = {}
    for part in query_string.split(b"&"):
        raw_key, _, raw_value = part.partition(b"=")
        key, value = unquoted(raw_key.replace(b"+", b" "), "query"), unquoted(raw_value.replace(b"+", b" "), "query")
        if key not in known or not value:
            continue
        if key in texts:
            raise InvalidRequest(f"query.{key}: given more than once")
        texts[key] = value
    return texts


def unquoted(raw: bytes, where: str) -> str:
    """Percent-encoded text, decoded. Raises InvalidRequest for what is not UTF-8 or holds NUL."""
    try:
        text = unquote_to_bytes(raw).decode() if b"%" in raw else raw.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"{where}: not valid UTF-8") from None
    if "\x00" in text:
        raise InvalidRequest(f"{where}: NUL characters are not allowed")
    return text


def clamped(limit: int, default: int, most: int) -> int:
    """A page size: the default for 0, else brought into 1 to ``most``."""
    return min(max(limit or default, 1), most)


def moment(text: str | None, where: str) -> datetime | timedelta | None:
    """An instant, or a span before now. Raises InvalidRequest."""
    if text is None:
        return None
    span = parse_duration(text)
    found = span if span is not None else parse_date(text)
    if found is None:
        raise InvalidRequest(f"{where}: expected an ISO 8601 time or a span such as 7d, got {text[:60]!r}")
    return found


def run_cursor(text: str | None) -> Cursor | None:
    """Where the page before ended. Raises InvalidRequest."""
    if text is None:
        return None
    time, _, run_id = text.partition("|")
    created_at, identity = parse_instant(time), as_uuid(run_id)
    if created_at is None or identity is None:
        raise InvalidRequest(f"query.cursor: expected <ISO 8601 time>|<run id>, got {text[:60]!r}")
    return Cursor(created_at, identity)


def log_position(text: str | None) -> tuple[int, int]:
    """The line (attempt, seq) after which to go on; (0, 0) is before the first. Raises InvalidRequest."""
    if text is None:
        return (0, 0)
    match = _AFTER.fullmatch(text)
    if match is None:
        raise InvalidRequest(f"query.after: expected <attempt>.<seq>, got {text[:60]!r}")
    return int(match[1]), int(match[2])


def required_uuid(text: str, what: str) -> UUID:
    """The uuid in a path. Raises InvalidRequest."""
    found = as_uuid(text)
    if found is None:
        raise InvalidRequest(f"{what}: expected a uuid, got {text[:60]!r}")
    return found
