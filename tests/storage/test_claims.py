"""A claim costs what it takes: neither other job types, nor far-future runs, nor unreadable ones cost it anything."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from owlrunner.storage import attempts, servers
from owlrunner.storage.attempts import Offer
from owlrunner.storage.postgres import Database, Session
from owlrunner.storage.servers import Registration

OFFERS = [Offer("mine", "f"), Offer("also_mine", "f", 5)]
BACKLOGS = {
    "another job type": "insert into job_runs (job_type, triggered_by, exclusive) select 'theirs', 'operator', false from n",
    "a far future": "insert into job_runs (job_type, triggered_by, exclusive, run_at, priority)"
    " select 'mine', 'operator', false, now() + interval '1 day', i % 3 from n",
    "set aside": "insert into job_runs (job_type, triggered_by, exclusive, set_aside, unreadable_by)"
    " select 'mine', 'operator', false, true, '{f}' from n",
}


async def pages_read(session: Session, server_id: UUID) -> int:
    """How many pages of ``job_runs`` and its indexes a claim that finds nothing, and the look after it, go through."""

    async def count() -> int:
        await session.connection.execute("select pg_stat_force_next_flush()")
        cursor = await session.connection.execute(
            "select heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit from pg_statio_user_tables"
            " where relname = 'job_runs'"
        )
        ((pages,),) = await cursor.fetchall()
        return int(pages)

    before = await count()
    assert await attempts.claim_pending(session, server_id, OFFERS, 100) == []
    await attempts.next_due(session, [offer.job_type for offer in OFFERS])
    return await count() - before


@pytest.mark.parametrize("backlog", BACKLOGS)
async def test_a_backlog_that_is_not_for_us_costs_nothing(database_url: str, backlog: str) -> None:
    """Beside five thousand pending runs that this server must not take, a claim reads a few pages, as beside none."""
    async with Database(database_url, size=1, plan_once=True) as db, db.session() as session:
        server_id = uuid4()
        names, fingerprints = [one.job_type for one in OFFERS], [one.fingerprint for one in OFFERS]
        await servers.register(session, Registration(server_id, "a", "1", names, 100, 3600.0, fingerprints))
        await session.connection.execute(
            f"with n as (select i from generate_series(1, 5000) i) {BACKLOGS[backlog]}".encode()
        )
        await session.connection.execute("vacuum analyze job_runs")
        for _ in range(3):
            await pages_read(session, server_id)
        assert await pages_read(session, server_id) < 60


@pytest.mark.parametrize(
    ("offers", "asked"),
    [
        ([Offer("mine", "f")], ["job_runs/claim_pending"]),
        ([Offer("mine", "f", 5)], ["job_runs/due_job_types"]),
        (OFFERS, ["job_runs/due_job_types", "job_runs/claim_pending"]),
    ],
    ids=["without a limit", "with a limit", "both"],
)
async def test_where_nothing_is_due_no_lock_is_asked_for(
    db: Database, monkeypatch: pytest.MonkeyPatch, offers: list[Offer], asked: list[str]
) -> None:
    """Runs of job types with a limit are looked for first, and claimed only where there are some."""
    statements: list[str] = []
    rows = Session.rows

    async def noting(session: Session, name: str, *params: Any) -> list[tuple[Any, ...]]:
        statements.append(name)
        return await rows(session, name, *params)

    monkeypatch.setattr(Session, "rows", noting)
    async with db.session() as session:
        assert await attempts.claim_pending(session, uuid4(), offers, 10) == []
    assert statements == asked
