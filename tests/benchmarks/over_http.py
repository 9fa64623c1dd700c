"""This is the room for HTTP: triggers and pages against a real server, beside a bare Quart-Trio route that does nothing."""

import hashlib
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import trio

from tests import hostile_clients
from tests.benchmarks import history
from tests.benchmarks.contestants import ROOT, OwlRunner
from tests.benchmarks.door import Projects
from tests.benchmarks.house import House, Sql
from tests.benchmarks.waiting import until

CLIENTS = 8
BARE = "tests.benchmarks.workers.bare_route"


def triggers(house: House, count: int) -> dict[str, float]:
    """Triggers a second over HTTP, each for a project of its own, by eight clients that keep their connections."""
    with house.database(OwlRunner.template) as sql:
        projects, key = Projects.make(sql, count + CLIENTS), api_key(sql)
        sql.settle()
        with serving(sql) as port:
            path = f"/v1/teams/{projects.team}/jobs/trigger"
            bodies = [
                json.dumps({"job_type": "guarded_noop", "project_id": str(project), "params": {"n": 1}}).encode()
                for project in projects.ids
            ]
            requests = [_request("POST", path, port, key, body) for body in bodies]
            return {"triggers a second": trio.run(_send, port, requests, b"201")}


def bare(count: int) -> dict[str, float]:
    """The same against a route that does nothing."""
    with _process([sys.executable, "-m", BARE], {}) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        requests = [_request("POST", "/trigger", port, "none", b'{"job_type": "x"}') for _ in range(count + CLIENTS)]
        return {"triggers a second": trio.run(_send, port, requests, b"201")}


def pages(house: House, template: str, count: int) -> dict[str, float]:
    """Milliseconds for a page of 50 runs, which are all that there is in a database without a past."""
    with house.database(template) as sql:
        if template != history.TEMPLATE:
            history.add_past(sql, 50)
        team, key = sql.one("select id from teams limit 1"), api_key(sql)
        with serving(sql) as port:
            request = _request("GET", f"/v1/teams/{team}/jobs?limit=50", port, key, b"")
            rate = trio.run(_send, port, [request] * (count + CLIENTS), b"200")
            return {"page of 50 ms": 1000 / rate}


def first_page(house: House, template: str) -> dict[str, float]:
    """Milliseconds for the dashboard's list of runs, the slowest of thirty, and the KB that it takes with all it is made of."""
    with house.database(template) as sql:
        token = secrets.token_hex(32)
        sql.run(
            "with u as (insert into users (email, name) values ('page@example.com', 'P') returning id),"
            " m as (insert into team_members (team_id, user_id, role) select teams.id, u.id, 'admin' from teams, u)"
            " insert into user_sessions (token_hash, user_id, expires_at) select %s, id, now() + interval '1 hour' from u",
            hashlib.sha256(token.encode()).hexdigest(),
        )
        with serving(sql) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            client.cookies.set("token", token)
            page = client.get("/dashboard/jobs").raise_for_status()
            slowest = 0.0
            for _ in range(30):
                started = time.perf_counter()
                client.get("/dashboard/jobs").raise_for_status()
                slowest = max(slowest, time.perf_counter() - started)
            links = set(re.findall(r'(?:src|href)="(/dashboard/static/[^"]+)"', page.text))
            folder = next(iter(links)).rpartition("/")[0]
            links |= {f"{folder}/{name}.js" for name in ("live", "dialog", "times")}
            size = page.num_bytes_downloaded + sum(client.get(link).num_bytes_downloaded for link in links)
            return {"slowest ms": slowest * 1000, "KB": size / 1000}


def beside_a_crowd(house: House, clients: int, open_files: int, seconds: float) -> dict[str, float]:
    """What an honest client waits for an answer beside so many that only hold connections, and what they leave behind."""
    with house.database(OwlRunner.template) as sql:
        team, key = Projects.make(sql, 1).team, api_key(sql)
        command, environment = OwlRunner("OwlRunner").command(sql)
        with _process(command, environment) as process:
            process.rlimit(psutil.RLIMIT_NOFILE, (open_files, open_files))
            port = _port_of(process)
            url = f"http://127.0.0.1:{port}"
            headers = {"authorization": f"Bearer {key}"}
            waits: list[float] = []
            with hostile_clients.crowd(url, clients):
                until_time = time.perf_counter() + seconds
                while time.perf_counter() < until_time:
                    started = time.perf_counter()
                    # A connection of its own each time: to get one is what the crowd makes hard.
                    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60.0) as client:
                        client.get(f"/v1/teams/{team}/jobs?limit=5").raise_for_status()
                    waits.append(time.perf_counter() - started)
            until(lambda: not _connected(process, port), "the connections are closed")
            return {
                "p99 ms": statistics.quantiles(waits, n=100)[98] * 1000,
                "left open": float(_connected(process, port)),
            }


def _connected(process: psutil.Popen, port: int) -> int:
    sockets = process.net_connections("tcp")
    return sum(one.laddr.port == port and one.status != psutil.CONN_LISTEN for one in sockets)


def api_key(sql: Sql) -> str:
    """A key of the team's with all that is needed."""
    key = f"owl_agent_{secrets.token_hex(24)}"
    user = sql.one("insert into users (email, name) values ('bench@example.com', 'B') returning id")
    sql.run(
        "insert into api_keys (key_hash, key_prefix, key_type, team_id, name, created_by, permissions)"
        " select %s, %s, 'agent', id, 'K', %s, '[\"jobs:read\", \"jobs:write\"]' from teams",
        hashlib.sha256(key.encode()).hexdigest(),
        key[:16],
        user,
    )
    return key


@contextmanager
def serving(sql: Sql) -> Iterator[int]:
    """A server, by its port. The one run that it has room for sleeps: what is measured is the way in, not the work."""
    sql.run(
        "insert into job_runs (job_type, triggered_by, exclusive, requeue_on_restart) values ('sleeper', 'operator', false, true)"
    )
    command, environment = OwlRunner("OwlRunner", settings={"OWLRUNNER_SERVER__CAPACITY": "1"}).command(sql)
    with _process(command, environment) as process:
        until(lambda: bool(sql.one("select exists (select from job_runs where status = 'running')")), "the run sleeps")
        yield _port_of(process)


def _port_of(process: psutil.Popen) -> int:
    until(lambda: bool(_listening(process)), "the server opens its port")
    return _listening(process)[0]


def _listening(process: psutil.Popen) -> list[int]:
    return [one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]


@contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[psutil.Popen]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} | environment
    process = psutil.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _request(method: str, path: str, port: int, key: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def _send(port: int, requests: list[bytes], wanted: bytes) -> float:
    """Send all, and return how many were answered a second; each client's first is for warming up."""
    waiting = requests[CLIENTS:]
    async with trio.open_nursery() as nursery:
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(CLIENTS)]
        for stream, request in zip(streams, requests[:CLIENTS], strict=True):
            await _ask(stream, request, wanted)
        started = time.perf_counter()
        count = len(waiting)

        async def client(stream: trio.SocketStream) -> None:
            while waiting:
                await _ask(stream, waiting.pop(), wanted)

        async with trio.open_nursery() as clients:
            for stream in streams:
                clients.start_soon(client, stream)
        rate = count / (time.perf_counter() - started)
        nursery.cancel_scope.cancel()
    return rate


async def _ask(stream: trio.SocketStream, request: bytes, wanted: bytes) -> None:
    await stream.send_all(request)
    answer = await stream.receive_some()
    while (end := answer.find(b"\r\n\r\n")) < 0:
        answer += await stream.receive_some()
    if answer[9:12] != wanted:
        raise RuntimeError(f"expected {wanted!r}, got {answer[:300]!r}")
    head = answer[:end].lower()
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0])
    missing = length - (len(answer) - end - 4)
    while missing > 0:
        missing -= len(await stream.receive_some())
