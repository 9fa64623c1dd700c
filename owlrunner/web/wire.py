"""This is the room for the shape of every answer: names and order of the fields are the contract.

The routes name these classes, and the OpenAPI document is made from them.
"""

from typing import Any
from uuid import UUID

from msgspec import Struct

from owlrunner.web.run_wire import Instant, JobRunBody


class OneRun(Struct):
    """A run in its envelope."""

    job_run: JobRunBody


class BatchItem(Struct, omit_defaults=True):
    """What became of one item of a batch: the id of its run, or why there is none."""

    id: UUID | None = None
    error: str | None = None
    existing_run_id: UUID | None = None


class BatchAnswer(Struct):
    """What became of each item, in the order in which they were sent."""

    created: int
    results: list[BatchItem]


class RunPage(Struct):
    """Some of a team's runs, newest first. ``cursor`` leads to the next page."""

    job_runs: list[JobRunBody]
    cursor: str | None
    has_more: bool


class CancelAnswer(Struct):
    """The request was taken; a running handler ends within its cancel grace."""

    cancelled: bool


class LogLineBody(Struct):
    """One line of a run's log."""

    attempt: int
    seq: int
    at: Instant
    level: str
    logger: str
    message: str


class LogPage(Struct):
    """Lines in order. ``cursor`` is the last line seen so far: send it as ``after`` to go on, also later."""

    logs: list[LogLineBody]
    cursor: str | None
    has_more: bool


class JobTypeBody(Struct):
    """A job type that a team can trigger; ``params_schema`` is a JSON Schema."""

    name: str
    label: str
    description: str
    scope: str
    params_schema: dict[str, Any]


class JobTypeList(Struct):
    """The job types that a team can trigger, by name."""

    job_types: list[JobTypeBody]


class TeamBody(Struct):
    """A team."""

    id: UUID
    name: str
    slug: str


class MembershipBody(Struct):
    """A team with the user's role in it."""

    id: UUID
    name: str
    slug: str
    role: str


class UserBody(Struct):
    """A user."""

    id: UUID
    email: str
    name: str
    created_at: Instant
    updated_at: Instant


class KeyWhoami(Struct, tag_field="type", tag="api_key"):
    """What an API key is."""

    key_type: str
    team: TeamBody | None
    permissions: list[str]


class UserWhoami(Struct, tag_field="type", tag="user"):
    """Who a user is."""

    email: str
    teams: list[MembershipBody]


class Me(Struct):
    """The signed-in user."""

    user: UserBody
    teams: list[MembershipBody]


class SignInAnswer(Struct):
    """A sign-in. The same token comes as cookie ``token``."""

    token: str
    user: UserBody
    teams: list[MembershipBody]
    is_new_user: bool


class AgentLoginAnswer(Struct):
    """A new agent key, told this once."""

    api_key: str
    team: TeamBody


class KeyBody(Struct):
    """An API key as it is listed."""

    id: UUID
    key_prefix: str
    key_type: str
    app_id: UUID | None
    team_id: UUID
    name: str
    created_by: UUID
    permissions: list[str]
    created_at: Instant
    updated_at: Instant
    last_used_at: Instant | None
    expires_at: Instant | None
    app_name: str | None
    created_by_email: str


class NewKeyAnswer(Struct):
    """A new API key; ``key`` is told this once."""

    key: str
    api_key: KeyBody


class KeyList(Struct):
    """API keys, newest first."""

    api_keys: list[KeyBody]


class RevokeAnswer(Struct):
    """The key is worth nothing from now on."""

    revoked: bool


class Message(Struct):
    """Something was done."""

    message: str


class Success(Struct):
    """Something was done."""

    success: bool


class Status(Struct):
    """How the server is."""

    status: str


class Unready(Struct):
    """What the server still lacks."""

    status: str
    missing: list[str]


class OpenApi(Struct):
    """A description of the API, as OpenAPI 3.1 wants it."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


class Error(Struct):
    """A request was understood and declined."""

    error: str


class ConflictError(Struct):
    """The slot is taken."""

    error: str
    existing_run_id: UUID


class SeveralTeamsError(Struct):
    """The team must be named."""

    error: str
    teams: list[MembershipBody]


class ProtocolError(Struct):
    """A request could not be understood as HTTP and JSON."""

    statusCode: int  # noqa: N815 - the names are the wire's
    code: str
    error: str
    message: str


class RouteError(Struct):
    """There is no such route."""

    message: str
    error: str
    statusCode: int  # noqa: N815


class CrashError(Struct):
    """Something went wrong on our side; the server's log says what."""

    statusCode: int  # noqa: N815
    error: str
    message: str
