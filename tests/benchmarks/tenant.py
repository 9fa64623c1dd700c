"""What others wait for while one tenant does its worst: the answer of ``/health``, and a trigger of another team's."""

import hashlib
import json
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import msgspec
import psutil
import trio

from tests.benchmarks.contestants import ROOT, OwlRunner
from tests.benchmarks.house import House, Sql
from tests.benchmarks.over_http import serving
from tests.benchmarks.workers import greedy_client
from tests.benchmarks.workers.greedy_client import Plan

LINES = 200_000
RUNS = 400
WARM_UP = 3.0


def beside_a_tenant(house: House, seconds: float) -> dict[str, float]:
    """Milliseconds that an answer takes, in the middle and at the 99th percentile."""
    with house.database(OwlRunner.template) as sql, serving(sql) as port:
        plan, honest = _tenant(sql, port), _team(sql, "honest")
        sql.settle()
        with _greedy(plan):
            time.sleep(WARM_UP)
            health, trigger = trio.run(_measure, port, honest, seconds)
        return {
            "health median ms": statistics.median(health),
            "health p99 ms": statistics.quantiles(health, n=100)[98],
            "trigger median ms": statistics.median(trigger),
            "trigger p99 ms": statistics.quantiles(trigger, n=100)[98],
        }


class _Team(msgspec.Struct):
    id: UUID
    project: UUID
    keys: list[str]
    token: str


def _team(sql: Sql, name: str, keys: int = 1) -> _Team:
    team = sql.one("insert into teams (name, slug) values (%s, %s) returning id", name, name)
    project = sql.one("insert into projects (team_id, name, slug) values (%s, 'P', 'p') returning id", team)
    user = sql.one("insert into users (email, name) values (%s || '@example.com', 'U') returning id", name)
    sql.run("insert into team_members (team_id, user_id, role) values (%s, %s, 'admin')", team, user)
    token = secrets.token_hex(32)
    sql.run(
        "insert into user_sessions (token_hash, user_id, expires_at) values (%s, %s, now() + interval '1 hour')",
        hashlib.sha256(token.encode()).hexdigest(),
        user,
    )
    raw = [f"owl_agent_{secrets.token_hex(24)}" for _ in range(keys)]
    for number, key in enumerate(raw):
        sql.run(
            "insert into api_keys (key_hash, key_prefix, key_type, team_id, name, created_by, permissions)"
            " values (%s, %s, 'agent', %s, %s, %s, '[\"jobs:read\", \"jobs:write\"]')",
            hashlib.sha256(key.encode()).hexdigest(),
            key[:16],
            team,
            f"K{number}",
            user,
        )
    return _Team(team, project, raw, token)


def _tenant(sql: Sql, port: int) -> Plan:
    """A team with runs that hold as much as they may, and one of them a long log."""
    team = _team(sql, "greedy", keys=5)
    runs = sql.run(
        "insert into job_runs"
        " (job_type, team_id, project_id, triggered_by, exclusive, params, status, error, started_at, completed_at)"
        " select 'anything', %s, %s, 'operator', false, jsonb_build_object('value', repeat('x', 250000)), 'failed',"
        " repeat('e', 10000), now(), now() from generate_series(1, %s) returning id",
        team.id,
        team.project,
        RUNS,
    )
    sql.run(
        "insert into job_run_logs (run_id, attempt, seq, at, level, logger, message)"
        " select %s, 1, n, now(), 'info', 'job', repeat(md5(n::text), 250) from generate_series(1, %s) n",
        runs[0][0],
        LINES,
    )
    return Plan(port, str(team.id), str(team.project), team.keys, team.token, str(runs[0][0]))


@contextmanager
def _greedy(plan: Plan) -> Iterator[None]:
    process = psutil.Popen([sys.executable, "-m", greedy_client.__name__], cwd=ROOT, stdin=subprocess.PIPE)
    try:
        process.stdin.write(msgspec.json.encode(plan))
        process.stdin.close()
        yield
        if process.poll() is not None:
            raise RuntimeError("the greedy client has ended")
    finally:
        process.kill()
        process.wait()


async def _measure(port: int, honest: _Team, seconds: float) -> tuple[list[float], list[float]]:
    """Milliseconds of each answer. Both are asked for all the time, each on a connection of its own."""
    health: list[float] = []
    trigger: list[float] = []
    host = f"Host: 127.0.0.1:{port}\r\n"
    body = json.dumps({"job_type": "anything", "project_id": str(honest.project), "params": {"value": 1}})
    head = f"POST /v1/teams/{honest.id}/jobs/trigger HTTP/1.1\r\n{host}Authorization: Bearer {honest.keys[0]}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ask, port, f"GET /health HTTP/1.1\r\n{host}\r\n".encode(), b"200", health)
            nursery.start_soon(_ask, port, (head + body).encode(), b"201", trigger)
    return health, trigger


async def _ask(port: int, request: bytes, wanted: bytes, took: list[float]) -> None:
    while True:
        started = time.perf_counter()
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(request)
            answer = await stream.receive_some()
        if answer[9:12] != wanted:
            raise RuntimeError(f"expected {wanted!r}, got {answer[:300]!r}")
        took.append((time.perf_counter() - started) * 1000)
        await trio.sleep(0.01)
