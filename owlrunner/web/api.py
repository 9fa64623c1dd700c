"""This is the room for the handlers of the API: each reads what it needs, asks a door, and renders the answer."""

from functools import partial
from uuid import UUID

import attrs

from owlrunner.accounts import Accounts, Caller, KeyRequest, Members, User
from owlrunner.accounts.credentials import as_uuid
from owlrunner.accounts.door import SESSION_SECONDS
from owlrunner.actor import ApiKeyActor, Role, TeamActor, UserActor
from owlrunner.audit_log import AuditLog
from owlrunner.config import Config
from owlrunner.errors import InvalidRequest, PermissionDenied
from owlrunner.integrations import Integrations
from owlrunner.job_run import RunStatus
from owlrunner.jobs import Jobs
from owlrunner.projects import Projects
from owlrunner.storage.audit import AuditFilters
from owlrunner.storage.job_runs import Filters
from owlrunner.trigger_request import TriggerRequest
from owlrunner.web import inputs, rendering
from owlrunner.web.admission import Admission
from owlrunner.web.auth import token_cookie
from owlrunner.web.exchange import Answer, Request, encode
from owlrunner.web.login_codes import LoginMails
from owlrunner.web.readiness import Readiness
from owlrunner.web.shares import party_of
from owlrunner.web.site import Site
from owlrunner.web.slices import in_slices
from owlrunner.web.streams import Streams
from owlrunner.web.team_wire import RemoveAnswer
from owlrunner.web.watched_runs import SharedRuns, Wanted, WatchedRuns
from owlrunner.web.wire import (
    AgentLoginAnswer,
    CancelAnswer,
    KeyList,
    KeyWhoami,
    Me,
    Message,
    NewKeyAnswer,
    OneRun,
    RevokeAnswer,
    SignInAnswer,
    Status,
    Success,
    Unready,
    UserWhoami,
)

MOST_IN_BATCH = 1000


@attrs.frozen
class Api:
    """What the handlers work with."""

    jobs: Jobs
    accounts: Accounts
    members: Members
    audit: AuditLog
    projects: Projects
    integrations: Integrations
    mails: LoginMails
    config: Config
    readiness: Readiness
    streams: Streams
    admission: Admission
    job_types: bytes
    """The answer of ``/v1/job-types``: the catalog never changes."""
    openapi: bytes
    site: Site
    shared_runs: SharedRuns = attrs.field(factory=SharedRuns)


async def list_runs(api: Api, request: Request) -> Answer:
    """Answer with a page of a team's runs."""
    query: inputs.RunsQuery = request.query
    filters = Filters(
        job_type=query.job_type,
        status=query.status if isinstance(query.status, RunStatus) else None,
        project_id=query.project_id or None,
        since=inputs.moment(query.since, "query.since"),
        until=inputs.moment(query.until, "query.until"),
    )
    before, limit = inputs.run_cursor(query.cursor), inputs.clamped(query.limit, 50, 200)
    page = await api.jobs.page(request.caller.actor, as_uuid(request.path["teamId"]), filters, before, limit)
    runs = await in_slices(await api.jobs.see(page.runs), rendering.run_body)
    return _ok(rendering.run_page(runs, page.next))


async def list_audit_logs(api: Api, request: Request) -> Answer:
    """Answer with a page of what was done in a team."""
    query: inputs.AuditQuery = request.query
    filters = AuditFilters(
        resource_type=query.resource_type,
        resource_id=query.resource_id,
        actor_id=query.actor_id,
        action=query.action if isinstance(query.action, str) else None,
        since=inputs.moment(query.since, "query.since"),
        until=inputs.moment(query.until, "query.until"),
    )
    before, limit = inputs.run_cursor(query.cursor), inputs.clamped(query.limit, 50, 200)
    entries, after = await api.audit.page(request.caller.actor, as_uuid(request.path["teamId"]), filters, before, limit)
    return _ok(rendering.audit_page(entries, after))


async def stream_runs(api: Api, request: Request) -> Answer:
    """Answer with a team's runs as they change."""
    query: inputs.StreamQuery = request.query
    filters = Filters(job_type=query.job_type, project_id=query.project_id or None)
    credential = request.credential or ""

    async def who() -> TeamActor:
        return (await api.accounts.resolve(credential)).actor

    team_id, actor = as_uuid(request.path["teamId"]), request.caller.actor
    wanted = Wanted(team_id, filters, inputs.clamped(query.limit, 50, 200))
    watched = WatchedRuns(api.jobs, who, wanted, shared=api.shared_runs, last_event_id=request.last_event_id)
    share = partial(api.admission.of, party_of(actor))
    # Of what is no team, the first look says so.
    team = team_id or actor.id
    return Answer(200, b"", stream=await api.streams.open(watched.look, caller=actor.id, team=team, share=share))


async def trigger_run(api: Api, request: Request) -> Answer:
    """Create a pending run."""
    actor = request.caller.actor
    run = await api.jobs.trigger(actor, as_uuid(request.path["teamId"]), _wanted(request.body))
    return Answer(201, encode(OneRun(rendering.run_body(await api.jobs.see_new(run, actor)))))


async def trigger_batch(api: Api, request: Request) -> Answer:
    """Create many pending runs, and tell of each what became of it."""
    body: inputs.TriggerBatchBody = request.body
    if len(body.runs) > MOST_IN_BATCH:
        raise InvalidRequest(f"body.runs: expected at most {MOST_IN_BATCH}, got {len(body.runs)}")
    wanted = [_wanted(one) for one in body.runs]
    answers = await api.jobs.trigger_many(request.caller.actor, as_uuid(request.path["teamId"]), wanted)
    return _ok(rendering.batch_answer(answers))


def _wanted(body: inputs.TriggerBody) -> TriggerRequest:
    return TriggerRequest(body.job_type, body.project_id, body.params, body.notify, body.run_at, body.priority)


async def view_run(api: Api, request: Request) -> Answer:
    """Answer with one run."""
    run = await api.jobs.view(request.caller.actor, inputs.required_uuid(request.path["runId"], "run id"))
    return _ok(OneRun(rendering.run_body(await api.jobs.see_one(run))))


async def cancel_run(api: Api, request: Request) -> Answer:
    """Ask for a run to be cancelled."""
    await api.jobs.cancel(request.caller.actor, inputs.required_uuid(request.path["runId"], "run id"))
    return _ok(CancelAnswer(cancelled=True))


async def list_logs(api: Api, request: Request) -> Answer:
    """Answer with lines of a run's log."""
    query: inputs.LogsQuery = request.query
    run_id = inputs.required_uuid(request.path["runId"], "run id")
    after, limit = inputs.log_position(query.after), inputs.clamped(query.limit, 200, 1000)
    lines = await api.jobs.logs(request.caller.actor, run_id, after, limit + 1)
    return _ok(rendering.log_page(lines[:limit], query.after, has_more=len(lines) > limit))


async def list_job_types(api: Api, request: Request) -> Answer:
    """Answer with the job types that a team can trigger."""
    actor = request.caller.actor
    # The route names no team, so a user must be somebody's admin, as for every other route about runs.
    if isinstance(actor, UserActor) and max(actor.teams.values(), default=Role.MEMBER) < Role.ADMIN:
        raise PermissionDenied("Requires admin role or higher")
    return Answer(200, api.job_types)


async def whoami(api: Api, request: Request) -> Answer:  # noqa: ARG001
    """Tell the caller who they are."""
    caller = request.caller
    if isinstance(caller.actor, ApiKeyActor):
        team = rendering.team_body(caller.team) if caller.team else None
        return _ok(KeyWhoami(caller.actor.key_type, team, list(caller.permissions)))
    user = _user(caller)
    return _ok(UserWhoami(user.email, rendering.membership_bodies(user.memberships)))


async def me(api: Api, request: Request) -> Answer:  # noqa: ARG001
    """Answer with the signed-in user."""
    user = _user(request.caller)
    return _ok(Me(rendering.user_body(user), rendering.membership_bodies(user.memberships)))


async def send_code(api: Api, request: Request) -> Answer:
    """Have a login code mailed."""
    body: inputs.SendCodeBody = request.body
    await api.mails.issue(body.email, request.origin)
    return _ok(Message("Verification code sent"))


async def verify_code(api: Api, request: Request) -> Answer:
    """Sign a user in."""
    body: inputs.VerifyCodeBody = request.body
    signed_in = await api.accounts.sign_in(body.email, body.code, request.origin)
    user = signed_in.user
    teams = rendering.membership_bodies(user.memberships)
    answer = SignInAnswer(signed_in.token, rendering.user_body(user), teams, signed_in.is_new)
    cookie = token_cookie(api.site, signed_in.token, seconds=SESSION_SECONDS)
    return Answer(201 if signed_in.is_new else 200, encode(answer), (cookie,))


async def agent_login(api: Api, request: Request) -> Answer:
    """Give a user's program a key."""
    body: inputs.AgentLoginBody = request.body
    login = await api.accounts.agent_login(body.email, body.code, body.team_id, request.origin)
    return Answer(201, encode(AgentLoginAnswer(login.raw_key, rendering.team_body(login.team))))


async def logout(api: Api, request: Request) -> Answer:
    """End a sign-in, if there is one; the cookie goes in any case."""
    if request.credential is not None:
        await api.accounts.sign_out(request.credential)
    cookie = token_cookie(api.site, "", seconds=0)
    return Answer(200, encode(Success(success=True)), (cookie,))


async def create_key(api: Api, request: Request) -> Answer:
    """Make an API key."""
    body: inputs.CreateKeyBody = request.body
    wanted = KeyRequest(body.name, body.key_type, body.team_id, body.app_id, body.permissions, body.expires_in_days)
    raw, key = await api.accounts.create_key(_user(request.caller), wanted, request.origin)
    return Answer(201, encode(NewKeyAnswer(raw, rendering.key_body(key))))


async def list_keys(api: Api, request: Request) -> Answer:
    """Answer with API keys."""
    query: inputs.KeysQuery = request.query
    keys = await api.accounts.keys(_user(request.caller), query.team_id)
    return _ok(KeyList([rendering.key_body(key) for key in keys]))


async def revoke_key(api: Api, request: Request) -> Answer:
    """Revoke an API key."""
    await api.accounts.revoke_key(_user_actor(request), inputs.required_uuid(request.path["keyId"], "key id"))
    return _ok(RevokeAnswer(revoked=True))


async def list_members(api: Api, request: Request) -> Answer:
    """Answer with the members of a team."""
    members = await api.members.of(_user_actor(request), as_uuid(request.path["teamId"]))
    return _ok(rendering.member_list(members))


async def remove_member(api: Api, request: Request) -> Answer:
    """Take somebody out of a team."""
    query: inputs.RemoveQuery = request.query
    heir = query.keys_to if isinstance(query.keys_to, UUID) else None
    user_id = inputs.required_uuid(request.path["userId"], "user id")
    keys = await api.members.remove(_user_actor(request), as_uuid(request.path["teamId"]), user_id, heir)
    return _ok(RemoveAnswer(removed=True, keys=keys))


async def health(api: Api, request: Request) -> Answer:  # noqa: ARG001
    """Say that the process is alive; asks nobody."""
    return _ok(Status("ok"))


async def ready(api: Api, request: Request) -> Answer:  # noqa: ARG001
    """Say whether the server can do its work."""
    missing = await api.readiness.missing()
    if missing:
        return Answer(503, encode(Unready("not ready", missing)))
    return _ok(Status("ready"))


async def openapi(api: Api, request: Request) -> Answer:  # noqa: ARG001
    """Answer with the description of this API."""
    return Answer(200, api.openapi)


def _ok(body: object) -> Answer:
    return Answer(200, encode(body))


def _user_actor(request: Request) -> UserActor:
    """The user behind a request that only users may make."""
    actor = request.caller.actor
    assert isinstance(actor, UserActor)  # noqa: S101 - the route is for users
    return actor


def _user(caller: Caller) -> User:
    """The user behind a request that only users may make."""
    assert caller.user is not None  # noqa: S101 - the route is for users
    return caller.user
