"""This is the room for the table of routes. Dispatch, the OpenAPI document and the tests' matrix are made from it."""

import enum
from collections.abc import Mapping

import attrs
from msgspec import Struct

from owlrunner.audit_log import READ as AUDIT_READ
from owlrunner.jobs import READ, WRITE
from owlrunner.web import api, inputs, team_wire, wire
from owlrunner.web.exchange import Handler


class Auth(enum.Enum):
    """Who may come in at all."""

    NONE = "none"
    """Anybody; a credential is looked at by the handler alone, if at all."""
    USER = "user"
    """Signed-in users, not API keys."""
    USER_OR_KEY = "user or key"


@attrs.frozen(kw_only=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    """Segments in braces are parameters."""
    summary: str
    handler: Handler
    auth: Auth = Auth.USER_OR_KEY
    permissions: tuple[str, ...] = ()
    """What an API key needs."""
    users_only: str = ""
    """What an API key is told where only users may go."""
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    streams: bool = False
    """Whether success is a stream of server-sent events, each with the shape as its data."""
    answers: Mapping[int, tuple[type[Struct], ...]]
    """The shapes that the handler may answer with; what is common to all routes stands in ``all_answers``."""

    @property
    def name(self) -> str:
        """The handler's name, which names the operation."""
        return str(getattr(self.handler, "__name__", ""))


def all_answers(route: Route) -> dict[int, tuple[type[Struct], ...]]:
    """Every status that a route may answer with, and the shapes of each, in order."""
    common: dict[int, tuple[type[Struct], ...]] = {500: (wire.CrashError,)}
    if route.query or "{" in route.path:
        common[400] = (wire.Error,)
    if route.method != "GET":
        common |= dict.fromkeys((408, 413, 415), (wire.ProtocolError,))
        common[400] = (wire.Error, wire.ProtocolError)
    if route.auth is not Auth.NONE:
        common |= {401: (wire.Error,), 403: (wire.Error,), 429: (wire.Error,)}
    if route.path.startswith("/v1/"):
        common[503] = (wire.Error,)
    both = [*route.answers.items(), *common.items()]
    return {
        status: tuple(dict.fromkeys(shape for key, shapes in both if key == status for shape in shapes))
        for status, _ in sorted(both, key=lambda pair: pair[0])
    }


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/teams/{teamId}/jobs",
        summary="List a team's runs, newest first",
        handler=api.list_runs,
        permissions=(READ,),
        query=inputs.RunsQuery,
        answers={200: (wire.RunPage,)},
    ),
    Route(
        method="GET",
        path="/v1/teams/{teamId}/members",
        summary="List the members of a team",
        handler=api.list_members,
        auth=Auth.USER,
        users_only="Only users can see the members of a team",
        answers={200: (team_wire.MemberList,)},
    ),
    Route(
        method="DELETE",
        path="/v1/teams/{teamId}/members/{userId}",
        summary="Take somebody out of a team",
        handler=api.remove_member,
        auth=Auth.USER,
        users_only="Only users can remove members",
        query=inputs.RemoveQuery,
        answers={200: (team_wire.RemoveAnswer,), 404: (wire.Error,)},
    ),
    Route(
        method="GET",
        path="/v1/teams/{teamId}/audit-logs",
        summary="List what was done in a team, newest first",
        handler=api.list_audit_logs,
        permissions=(AUDIT_READ,),
        query=inputs.AuditQuery,
        answers={200: (team_wire.AuditPage,)},
    ),
    Route(
        method="GET",
        path="/v1/teams/{teamId}/jobs/stream",
        summary="Follow a team's runs as they change",
        handler=api.stream_runs,
        permissions=(READ,),
        query=inputs.StreamQuery,
        streams=True,
        answers={200: (wire.OneRun,)},
    ),
    Route(
        method="POST",
        path="/v1/teams/{teamId}/jobs/trigger",
        summary="Trigger a run for a project",
        handler=api.trigger_run,
        permissions=(WRITE,),
        body=inputs.TriggerBody,
        answers={201: (wire.OneRun,), 404: (wire.Error,), 409: (wire.ConflictError,)},
    ),
    Route(
        method="POST",
        path="/v1/teams/{teamId}/jobs/trigger-batch",
        summary="Trigger many runs at once",
        handler=api.trigger_batch,
        permissions=(WRITE,),
        body=inputs.TriggerBatchBody,
        answers={200: (wire.BatchAnswer,)},
    ),
    Route(
        method="GET",
        path="/v1/jobs/{runId}",
        summary="View a run",
        handler=api.view_run,
        permissions=(READ,),
        answers={200: (wire.OneRun,), 404: (wire.Error,)},
    ),
    Route(
        method="POST",
        path="/v1/jobs/{runId}/cancel",
        summary="Cancel a pending or running run",
        handler=api.cancel_run,
        permissions=(WRITE,),
        answers={200: (wire.CancelAnswer,), 404: (wire.Error,)},
    ),
    Route(
        method="GET",
        path="/v1/jobs/{runId}/logs",
        summary="Read or follow a run's log",
        handler=api.list_logs,
        permissions=(READ,),
        query=inputs.LogsQuery,
        answers={200: (wire.LogPage,), 404: (wire.Error,)},
    ),
    Route(
        method="GET",
        path="/v1/job-types",
        summary="List the job types that can be triggered, with the schemas of their params",
        handler=api.list_job_types,
        permissions=(READ,),
        answers={200: (wire.JobTypeList,)},
    ),
    Route(
        method="GET",
        path="/v1/auth/whoami",
        summary="Tell who the credential belongs to",
        handler=api.whoami,
        answers={200: (wire.UserWhoami, wire.KeyWhoami)},
    ),
    Route(
        method="POST",
        path="/v1/auth/send-code",
        summary="Mail a login code",
        handler=api.send_code,
        auth=Auth.NONE,
        body=inputs.SendCodeBody,
        answers={200: (wire.Message,), 429: (wire.Error,)},
    ),
    Route(
        method="POST",
        path="/v1/auth/agent-login",
        summary="Get an API key for a login code",
        handler=api.agent_login,
        auth=Auth.NONE,
        body=inputs.AgentLoginBody,
        answers={
            201: (wire.AgentLoginAnswer,),
            400: (wire.SeveralTeamsError,),
            401: (wire.Error,),
            403: (wire.Error,),
            429: (wire.Error,),
        },
    ),
    Route(
        method="POST",
        path="/v1/auth/verify-code",
        summary="Sign in, or up, with a login code",
        handler=api.verify_code,
        auth=Auth.NONE,
        body=inputs.VerifyCodeBody,
        answers={200: (wire.SignInAnswer,), 201: (wire.SignInAnswer,), 401: (wire.Error,), 429: (wire.Error,)},
    ),
    Route(
        method="POST",
        path="/v1/auth/logout",
        summary="Sign out",
        handler=api.logout,
        auth=Auth.NONE,
        answers={200: (wire.Success,)},
    ),
    Route(
        method="GET",
        path="/v1/auth/me",
        summary="View the signed-in user",
        handler=api.me,
        auth=Auth.USER,
        users_only="Only users can view their profile",
        answers={200: (wire.Me,)},
    ),
    Route(
        method="POST",
        path="/v1/auth/keys",
        summary="Create an API key",
        handler=api.create_key,
        auth=Auth.USER,
        users_only="Only users can create API keys",
        body=inputs.CreateKeyBody,
        answers={201: (wire.NewKeyAnswer,), 400: (wire.SeveralTeamsError,)},
    ),
    Route(
        method="GET",
        path="/v1/auth/keys",
        summary="List API keys",
        handler=api.list_keys,
        auth=Auth.USER,
        users_only="Only users can list API keys",
        query=inputs.KeysQuery,
        answers={200: (wire.KeyList,)},
    ),
    Route(
        method="DELETE",
        path="/v1/auth/keys/{keyId}",
        summary="Revoke an API key",
        handler=api.revoke_key,
        auth=Auth.USER,
        users_only="Only users can revoke API keys",
        answers={200: (wire.RevokeAnswer,), 404: (wire.Error,)},
    ),
    Route(
        method="GET",
        path="/health",
        summary="Tell that the process is alive",
        handler=api.health,
        auth=Auth.NONE,
        answers={200: (wire.Status,)},
    ),
    Route(
        method="GET",
        path="/ready",
        summary="Tell whether the server can do its work",
        handler=api.ready,
        auth=Auth.NONE,
        answers={200: (wire.Status,), 503: (wire.Unready,)},
    ),
    Route(
        method="GET",
        path="/openapi.json",
        summary="Describe this API",
        handler=api.openapi,
        auth=Auth.NONE,
        answers={200: (wire.OpenApi,)},
    ),
)
