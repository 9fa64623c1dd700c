"""Input that cannot be used gets a sentence and a 4xx, never a 500 and never a half-done change."""

import itertools
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import msgspec

from tests.web.web_world import World

NOT_JSON = "Bad Request"


BAD_QUERIES = {
    "limit=abc": "query.limit: expected int, got str",
    "limit=1.5": "query.limit: expected int, got str",
    "limit=null": "query.limit: expected int, got str",
    "limit=%D9%A1": "query.limit: expected int, got str",
    "limit=1e400": "query.limit: number out of range",
    "limit=" + "9" * 5000: "query.limit: integer value out of range",
    "limit=1&limit=2": "query.limit: given more than once",
    "status=success": "query.status: invalid enum value 'success'",
    "status=PENDING": "query.status: invalid enum value 'PENDING'",
    "project_id=zz": "query.project_id: invalid UUID",
    "project_id=null": "query.project_id: invalid UUID",
    "since=yesterday": "query.since: expected an ISO 8601 time or a span such as 7d, got 'yesterday'",
    "since=7y": "query.since: expected an ISO 8601 time or a span such as 7d, got '7y'",
    "until=Smarch 28 2026": "query.until: expected an ISO 8601 time or a span such as 7d, got 'Smarch 28 2026'",
    "since=99999999999d": "query.since: expected an ISO 8601 time or a span such as 7d, got '99999999999d'",
    "since=0001-01-01T00:00%2B14:00": "query.since: expected an ISO 8601 time or a span such as 7d, got '0001-01-01T00:00+14:00'",
    "cursor=zz": "query.cursor: expected <ISO 8601 time>|<run id>, got 'zz'",
    "cursor=2026-01-01%7C": "query.cursor: expected <ISO 8601 time>|<run id>, got '2026-01-01|'",
    "cursor=%7C" + "0" * 32: "query.cursor: expected <ISO 8601 time>|<run id>, got '|" + "0" * 32 + "'",
    "job_type=%00": "query: NUL characters are not allowed",
    "job_type=%FF": "query: not valid UTF-8",
    "unknown=%FF": "query: not valid UTF-8",
}


async def test_bad_query(world: World, as_key: httpx.AsyncClient) -> None:
    """A query parameter that cannot be read is named, with what was expected and what was found."""
    got = {}
    for query in BAD_QUERIES:
        response = await as_key.get(f"/v1/teams/{world.team.id}/jobs?{query}")
        got[query] = (response.status_code, response.json())
    assert got == {query: (400, {"error": error}) for query, error in BAD_QUERIES.items()}


async def test_extreme_but_sound_query(world: World, as_key: httpx.AsyncClient) -> None:
    """The ends of time are times like any other."""
    run_id = await world.run_row()
    for query in ("since=0001-01-01", "until=9999-12-31T23:59:59Z", "since=36500d", "cursor=9999-12-31|" + "f" * 32):
        response = await as_key.get(f"/v1/teams/{world.team.id}/jobs?{query}")
        assert response.status_code == 200
        assert [run["id"] for run in response.json()["job_runs"]] == [run_id]


async def test_log_positions(world: World, as_key: httpx.AsyncClient) -> None:
    """A log position that is none is refused; one that no line has is sound."""
    url = f"/v1/jobs/{await world.run_row()}/logs"
    for after in ("1", "1.", ".1", "a.b", "-1.0", "1.2.3", "1.99999999999"):
        response = await as_key.get(url, params={"after": after})
        wanted = {"error": f"query.after: expected <attempt>.<seq>, got {after!r}"}
        assert (response.status_code, response.json()) == (400, wanted)
    for after in ("0.0", "9999999999.9999999999"):
        response = await as_key.get(url, params={"after": after})
        assert (response.status_code, response.json()) == (200, {"logs": [], "cursor": after, "has_more": False})


async def test_malformed_run_id(as_key: httpx.AsyncClient) -> None:
    """A run id that is no uuid, or no text at all, is told so."""
    for run_id, suffix in itertools.product(("zz", "1", " ", "0" * 33, "a" * 300), ("", "/logs")):
        response = await as_key.get(f"/v1/jobs/{quote(run_id)}{suffix}")
        wanted = {"error": f"run id: expected a uuid, got {run_id[:60]!r}"}
        assert (response.status_code, response.json()) == (400, wanted)
    for run_id, error in (("%FF", "not valid UTF-8"), ("%00", "NUL characters are not allowed")):
        response = await as_key.get(f"/v1/jobs/{run_id}")
        assert (response.status_code, response.json()) == (400, {"error": f"runId: {error}"})


async def test_unknown_or_malformed_team(world: World, client: httpx.AsyncClient) -> None:
    """Nobody is a member of a team that is not there, or whose id is no uuid."""
    calls = (("GET", "", None), ("POST", "/trigger", {"job_type": "zz"}))
    for team, who, (method, path, body) in itertools.product(
        ("zz", str(uuid4()), "%F0%9F%A6%89"), ("key", "owner"), calls
    ):
        response = await client.request(method, f"/v1/teams/{team}/jobs{path}", json=body, headers=world.auth(who))
        assert (response.status_code, response.json()) == (403, {"error": "Not a member of this team"})


RANGE = "body: a number is out of range"
PARAMS_TEXT = "params: text with NUL characters or lone surrogates cannot be stored"


BAD_BODIES: list[tuple[bytes | dict[str, Any], str]] = [
    (b"", "body: expected a JSON object, got nothing"),
    (b"null", "body: expected object, got null"),
    (b"[]", "body: expected object, got array"),
    (b'"x"', "body: expected object, got str"),
    (b"12", "body: expected object, got int"),
    (b"{", NOT_JSON),
    (b"{}{}", NOT_JSON),
    (b"{'a': 1}", NOT_JSON),
    (b'{"notify": NaN}', NOT_JSON),
    (b'{"job_type": "\xff"}', NOT_JSON),
    (b'{"job_type": "\\ud800"}', NOT_JSON),
    (b"\xef\xbb\xbf{}", NOT_JSON),
    (b"\x00", NOT_JSON),
    (b"[" * 40_000, "body: nested deeper than 100 levels"),
    (b"[" * 200 + b"]" * 200, "body: nested deeper than 100 levels"),
    (b'{"a":' * 150 + b"1" + b"}" * 150, "body: nested deeper than 100 levels"),
    (b'{"priority": 1e400}', RANGE),
    (b'{"job_type": "crowd", "job_type": "steady"}', "body: the key 'job_type' stands in one object more than once"),
    (
        b'{"params": {"a": [{"n": 1, "n\\u0000": 2, "\\u006e": 3}]}}',
        "body: the key 'n' stands in one object more than once",
    ),
    (b'{"params": {"n": ' + b"9" * 5000 + b"}}", RANGE),
    ({"job_type": 1}, "body.job_type: expected str | null, got int"),
    ({"job_type": "crowd", "notify": "yes"}, "body.notify: expected bool, got str"),
    ({"job_type": "crowd", "notify": 1}, "body.notify: expected bool, got int"),
    ({"job_type": "crowd", "params": "x"}, "body.params: expected object | null, got str"),
    ({"job_type": "crowd", "params": []}, "body.params: expected object | null, got array"),
    ({"job_type": "crowd", "priority": True}, "body.priority: expected int, got bool"),
    ({"job_type": "crowd", "priority": 1.5}, "body.priority: expected int, got float"),
    ({"job_type": "crowd", "run_at": 5}, "body.run_at: expected str | null, got int"),
    ({"job_type": "crowd", "projectId": "x"}, "body: object contains unknown field projectId"),
    ({"job_type": "crowd", "project_id": "zz"}, "project_id: expected a uuid, got 'zz'"),
    ({"job_type": "crowd", "project_id": "\x00"}, "project_id: expected a uuid, got '\\x00'"),
    (
        {"job_type": "crowd\x00", "project_id": "P"},
        "Invalid job_type. Must be one of: acme_sync, crowd, steady",
    ),
    (
        {"job_type": "crowd", "project_id": "P", "priority": 101},
        "priority: expected a number from -100 to 100, got 101",
    ),
    (
        {"job_type": "crowd", "project_id": "P", "run_at": "soon"},
        "run_at: expected an ISO 8601 time or a delay such as 10m, got 'soon'",
    ),
    (
        {"job_type": "crowd", "project_id": "P", "run_at": "9999-12-31"},
        "run_at: expected a time in the years 1970 to 2999, got '9999-12-31'",
    ),
    (
        {"job_type": "crowd", "project_id": "P", "run_at": "0001-01-01"},
        "run_at: expected a time in the years 1970 to 2999, got '0001-01-01'",
    ),
    ({"job_type": "crowd", "project_id": "P", "params": {"pages": "x"}}, "params.pages: expected int, got str"),
    ({"job_type": "crowd", "project_id": "P", "params": {"page": 1}}, "params.page: unknown key"),
    ({"job_type": "crowd", "project_id": "P", "params": {"label": "a\x00b"}}, PARAMS_TEXT),
    (
        {"job_type": "steady", "project_id": "P", "params": {"pages": 1}},
        "params: steady takes no params, got {'pages': 1}",
    ),
]


async def test_bad_trigger_body(world: World, as_key: httpx.AsyncClient) -> None:
    """A body that cannot be used is refused by the name of its field, and no run is made."""
    got = []
    for body, _ in BAD_BODIES:
        content = (
            body
            if isinstance(body, bytes)
            else msgspec.json.encode(body).replace(b'"P"', f'"{world.project.id}"'.encode())
        )
        kind = {"content-type": "application/json"} if content else {}
        response = await as_key.post(f"/v1/teams/{world.team.id}/jobs/trigger", content=content, headers=kind)
        got.append((body, response.status_code, response.json()["error"]))
    assert got == [(body, 400, error) for body, error in BAD_BODIES]
    assert await world.sql("select count(*) from job_runs") == [(0,)]


ODD_BODIES = [
    b'"run_at": "2999-12-31T23:59:59Z"',
    b'"run_at": "1970-01-01T00:00:00Z"',
    b'"run_at": "36500d"',
    b'"run_at": null, "params": null',
    b'"params": {}',
    b'"params": {"pages": 99999999999999999999999999999999}',
    b'"params": {"label": "\\ud83e\\udd89"}',
    b'"priority": -100',
]


async def test_odd_but_sound_trigger_body(world: World, as_key: httpx.AsyncClient) -> None:
    """What is unusual but sound makes a run that can be read back."""
    for extra in ODD_BODIES:
        content = b'{"job_type": "crowd", "project_id": "%s", %s}' % (str(world.project.id).encode(), extra)
        kind = {"content-type": "application/json"}
        response = await as_key.post(f"/v1/teams/{world.team.id}/jobs/trigger", content=content, headers=kind)
        assert (extra, response.status_code) == (extra, 201)
        run = response.json()["job_run"]
        assert (await as_key.get(f"/v1/jobs/{run['id']}")).json() == {"job_run": run}


async def test_who_may_not_is_told_nothing_about_the_body(world: World, client: httpx.AsyncClient) -> None:
    """Permission is checked before the body is looked at, and the body before the team."""
    url = f"/v1/teams/{world.team.id}/jobs/trigger"
    kind = {"content-type": "application/json"}
    answers = []
    for who in ("nobody", "reading key", "rival key", "member"):
        response = await client.post(url, content=b"{", headers=kind | world.auth(who))
        answers.append((response.status_code, response.json()["error"]))
    assert answers == [
        (401, "Missing authorization"),
        (403, "Missing permission: jobs:write"),
        (400, NOT_JSON),
        (400, NOT_JSON),
    ]


BAD_CREDENTIALS: list[tuple[dict[str, str], str]] = [
    ({}, "Missing authorization"),
    ({"cookie": "token="}, "Missing authorization"),
    ({"cookie": "other=1; tokens=2"}, "Missing authorization"),
    ({"authorization": ""}, "Invalid authorization format"),
    ({"authorization": "Bearer"}, "Invalid authorization format"),
    ({"authorization": "Bearer "}, "Invalid authorization format"),
    ({"authorization": "bearer {key}"}, "Invalid authorization format"),
    ({"authorization": "Bearer  {key}"}, "Invalid authorization format"),
    ({"authorization": "Bearer {key} x"}, "Invalid authorization format"),
    ({"authorization": "Basic {key}"}, "Invalid authorization format"),
    ({"authorization": "{key}"}, "Invalid authorization format"),
    ({"authorization": "", "cookie": "token={owner}"}, "Invalid authorization format"),
    ({"authorization": "Bearer owl_agent_"}, "Invalid API key"),
    ({"authorization": "Bearer owl_agent_é"}, "Invalid API key"),
    ({"authorization": "Bearer owl_import_abc"}, "Invalid or expired token"),
    ({"authorization": "Bearer x"}, "Invalid or expired token"),
]


async def test_bad_credentials(world: World, client: httpx.AsyncClient) -> None:
    """Each way to send no valid credential has its own 401 sentence."""
    got = []
    for headers, _ in BAD_CREDENTIALS:
        sent = [(name.encode(), value.format(**world.credentials).encode("latin-1")) for name, value in headers.items()]
        response = await client.get("/v1/auth/whoami", headers=sent)
        got.append((headers, response.status_code, response.json()))
    assert got == [(headers, 401, {"error": error}) for headers, error in BAD_CREDENTIALS]


async def test_two_credentials_are_one_too_many(world: World, client: httpx.AsyncClient) -> None:
    """Of two Authorization headers neither is believed."""
    header = ("authorization", f"Bearer {world.credentials['key']}")
    response = await client.get("/v1/auth/whoami", headers=[header, header])
    assert (response.status_code, response.json()) == (401, {"error": "Invalid authorization format"})
