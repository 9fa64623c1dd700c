"""What stands around active runs: servers that are alive, that offer their job types, that can read them, and that hold them."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import look, now, put, put_held, put_run, put_server, value

EXPIRED = {"lease_expires_at": now()}
BURIED = {"buried_at": now()}


async def around(
    session: Session,
    run_id: UUID,
    status: str = "pending",
    *,
    job_type: str = "a",
    attempt: int = 0,
    server_id: UUID | None = None,
) -> dict[str, Any]:
    """What stands around one run, to somebody who has seen this of it."""
    params = {
        "ids": [run_id],
        "statuses": [status],
        "job_types": [job_type],
        "attempts": [attempt],
        "server_ids": [server_id],
    }
    ((found, at, *rest),) = await session.rows("job_runs/surroundings", params)
    assert (found, at) == (run_id, await value(session, now()))
    names = ("alive", "offered", "readable", "last_error", "server", "silent", "lease_ran_out_at")
    return dict(zip(names, rest, strict=True))


@pytest.mark.parametrize(
    ("servers", "alive", "offered"),
    [
        ([], False, False),
        ([{}], True, True),
        ([{"job_types": ["b"]}], True, False),
        ([EXPIRED], False, False),
        ([BURIED], False, False),
        ([{"job_types": ["b"]}, EXPIRED, BURIED], True, False),
        ([{"job_types": ["b", "a"], "fingerprints": ["g", "f"]}, EXPIRED], True, True),
    ],
)
async def test_living_servers(db: Database, servers: list[dict[str, Any]], alive: bool, offered: bool) -> None:
    """A server counts while its lease lasts and nobody has buried it, and for a job type if it offers that."""
    async with db.session() as session, session.transaction():
        for server in servers:
            await put_server(session, **server)
        told = await around(session, await put_run(session))
        assert (told["alive"], told["offered"]) == (alive, offered)


@pytest.mark.parametrize(
    ("servers", "readable"),
    [
        ([], False),
        ([{}], False),
        ([{"fingerprints": ["g"]}], True),
        ([{}, {"fingerprints": ["g"]}], True),
        ([{"job_types": ["a", "b"], "fingerprints": ["f", "g"]}], False),
        ([{"fingerprints": ["g"]} | EXPIRED], False),
        ([{"fingerprints": ["g"]} | BURIED], False),
        ([{"fingerprints": ["h"]}], False),
    ],
)
async def test_servers_that_can_read_the_params(db: Database, servers: list[dict[str, Any]], readable: bool) -> None:
    """A run that was given back is readable if a living server offers its job type in a form that has not been tried."""
    async with db.session() as session, session.transaction():
        for server in servers:
            await put_server(session, **server)
        given_back = await put_run(session, unreadable_by=["f", "h"])
        assert (await around(session, given_back))["readable"] is readable
        assert (await around(session, given_back, "running"))["readable"]
        assert (await around(session, await put_run(session)))["readable"]


async def test_the_last_trouble_of_the_attempt_before(db: Database) -> None:
    """The latest line of its log about trouble; nothing of other attempts or runs, nor of one that runs or has not run yet."""
    async with db.session() as session, session.transaction():
        run_id, other = await put_run(session, attempt=2), await put_run(session, attempt=2)
        for owner, attempt, seq, level in (
            (run_id, 2, 1, "critical"),
            (run_id, 2, 3, "error"),
            (run_id, 2, 2, "warning"),
            (run_id, 2, 4, "info"),
            (run_id, 1, 9, "error"),
            (run_id, 3, 9, "error"),
            (run_id, 0, 9, "error"),
            (other, 2, 9, "error"),
        ):
            about = {"run_id": owner, "attempt": attempt, "seq": seq, "at": now(), "logger": "x"}
            await put(session, "job_run_logs", **about, level=level, message=f"{level} {seq}")
        assert (await around(session, run_id, attempt=2))["last_error"] == "error 3"
        assert (await around(session, run_id, "running", attempt=2))["last_error"] is None
        assert (await around(session, run_id, attempt=0))["last_error"] is None
        for level in ("warning", "critical"):
            one = await put_run(session, attempt=1)
            about = {
                "run_id": one,
                "attempt": 1,
                "seq": 1,
                "at": now(),
                "logger": "x",
                "level": level,
                "message": level,
            }
            await put(session, "job_run_logs", **about)
            assert (await around(session, one, attempt=1))["last_error"] == level


@pytest.mark.parametrize(
    ("server", "silent"), [({}, False), (EXPIRED, True), (BURIED, True), ({"lease_expires_at": now(0.001)}, False)]
)
async def test_servers_that_hold_runs(db: Database, server: dict[str, Any], silent: bool) -> None:
    """A running run is told its server's name, and whether that has fallen silent while it still holds the run."""
    async with db.session() as session, session.transaction():
        server_id, elsewhere = await put_server(session, **server), await put_server(session)
        held = await put_held(session, server_id)
        told = await around(session, held, "running", server_id=server_id)
        (server_row,) = await look(session, "select lease_expires_at from servers where id = %s", server_id)
        assert (told["server"], told["silent"]) == (str(server_id), silent)
        assert told["lease_ran_out_at"] == server_row["lease_expires_at"]
        # What was seen of it is not so any more.
        ended = await put_held(session, server_id, status="completed", completed_at=now())
        moved = await put_held(session, elsewhere)
        for one in (ended, moved, uuid4()):
            assert not (await around(session, one, "running", server_id=server_id))["silent"]
        assert not (await around(session, held, server_id=server_id))["silent"]


async def test_a_server_that_is_forgotten_is_silent(db: Database) -> None:
    """So is one of which there is no record any more."""
    async with db.session() as session, session.transaction():
        server_id = uuid4()
        held = await put_held(session, server_id)
        told = await around(session, held, "running", server_id=server_id)
        assert (told["server"], told["silent"], told["lease_ran_out_at"]) == (None, True, None)
