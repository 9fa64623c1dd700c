"""Priority, due times and limits hold as they are said, and what ends or is cancelled is heard of at once."""

from uuid import UUID, uuid4

import pytest
import trio

from owlrunner.job_run import RunStatus
from owlrunner.storage import attempts, servers
from owlrunner.storage.attempts import Offer
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import Registration
from tests.pooler import needs_listen
from tests.promises.serving import Door, Serve

LIMITED, FREE = Offer("at_most_two", "f", 2), Offer("parallel", "f")


async def registered(db: Database, *offers: Offer) -> UUID:
    """A server that offers these job types."""
    server_id = uuid4()
    async with db.session() as session:
        names, fingerprints = [one.job_type for one in offers], [one.fingerprint for one in offers]
        await servers.register(session, Registration(server_id, str(server_id), "1", names, 100, 60.0, fingerprints))
    return server_id


async def claimed(door: Door, server_id: UUID, offers: list[Offer], room: int) -> list[UUID]:
    """What a claim takes, by priority and time."""
    async with door.db.session() as session:
        taken = {run.id for run in await attempts.claim_pending(session, server_id, offers, room)}
    rows = await door.sql("select id from job_runs where id = any(%s) order by priority desc, run_at, id", list(taken))
    return [run_id for (run_id,) in rows]


async def test_priority_holds_between_limited_and_unlimited_types(door: Door) -> None:
    """A run of a limited job type with a higher priority is claimed before those of an unlimited one, and the other way round."""
    server_id = await registered(door.db, LIMITED, FREE)
    low = await door.trigger("parallel", priority=-5)
    middle = [await door.trigger("at_most_two") for _ in range(3)]
    high = await door.trigger("parallel", priority=5)
    assert await claimed(door, server_id, [FREE, LIMITED], 2) == [high, middle[0]]
    assert await claimed(door, server_id, [FREE, LIMITED], 5) == [middle[1], low]
    # The third waits for its job type's limit.
    assert await claimed(door, server_id, [FREE, LIMITED], 5) == []


async def test_a_limit_counts_over_all_priorities(door: Door) -> None:
    """Of runs of one limited job type with different priorities no more are claimed than the limit leaves."""
    server_id = await registered(door.db, LIMITED)
    runs = [await door.trigger("at_most_two", priority=priority) for priority in (0, 3, -2, 7)]
    assert await claimed(door, server_id, [LIMITED], 10) == [runs[3], runs[1]]


async def test_a_time_in_the_past_is_now(door: Door) -> None:
    """A run that is triggered for 1970 does not go before what has been waiting."""
    waiting = await door.trigger("parallel")
    past = await door.trigger("parallel", run_at="1970-01-01T00:00:00Z")
    run = await door.view(past)
    assert run.run_at >= run.created_at
    server_id = await registered(door.db, FREE)
    assert await claimed(door, server_id, [FREE], 1) == [waiting]


async def test_what_is_not_due_is_not_claimed_whatever_its_priority(door: Door) -> None:
    """A run of the far future with the highest priority does not hide a due one, and counts as the next due time."""
    await door.trigger("parallel", run_at="10h", priority=100)
    due = await door.trigger("parallel", priority=-100)
    server_id = await registered(door.db, FREE)
    async with door.db.session() as session:
        now = await attempts.next_due(session, ["parallel"])
        assert now is not None
        assert now <= 0
    assert await claimed(door, server_id, [FREE], 10) == [due]
    async with door.db.session() as session:
        later = await attempts.next_due(session, ["parallel"])
        assert later is not None
        assert 35_000 < later <= 36_000


async def test_a_limited_type_hands_over_at_once(door: Door, serve: Serve) -> None:
    """With max_running = 2 twenty short runs follow each other without waiting for anybody's next look."""
    await serve(poll_interval=600)
    runs = [await door.trigger("at_most_two", params={"steps": 1, "seconds": 0}) for _ in range(20)]
    with trio.fail_after(15):
        for run_id in runs:
            await door.until(run_id, RunStatus.COMPLETED)


@needs_listen
async def test_a_cancel_between_claim_and_start_is_heard(door: Door, serve: Serve) -> None:
    """A cancel request that arrives while the claim's answer is on its way reaches the handler at once."""
    # Whoever claims is cancelled in the same statement, before the server can know that it holds the run.
    await door.sql(
        "create function cancel_at_once() returns trigger language plpgsql as $$ begin"
        " new.cancel_requested_at := now(); new.cancelled_by := 'operator'; perform pg_notify('owlrunner_held', '');"
        " return new; end $$;"
        "create trigger cancel_at_once before update on job_runs for each row"
        " when (new.status = 'running' and old.status = 'pending') execute function cancel_at_once()"
    )
    await serve(poll_interval=600, lease=600)
    run_id = await door.trigger("deaf")
    await door.until(run_id, RunStatus.CANCELLED)


async def test_what_was_soft_deleted_does_not_run(door: Door, project: tuple[UUID, UUID]) -> None:
    """Deleting a project cancels its pending runs and asks its running ones to end; nothing of it is claimed any more."""
    offer = Offer("project_work", "f")
    server_id = await registered(door.db, offer)
    insert = (
        "insert into job_runs (job_type, team_id, project_id, triggered_by, exclusive)"
        " values ('project_work', %s, %s, 'operator', false) returning id"
    )
    [[running]] = await door.sql(insert, *project)
    await claimed(door, server_id, [offer], 1)
    [[pending]] = await door.sql(insert, *project)
    await door.sql("update projects set deleted_at = now() where id = %s", project[1])
    assert (await door.view(pending)).status is RunStatus.CANCELLED
    assert (await door.view(pending)).cancelled_by == "project deleted"
    assert (await door.view(running)).cancel_requested_at is not None
    # One that was being inserted at that moment.
    await door.sql(insert, *project)
    assert await claimed(door, server_id, [offer], 10) == []


@pytest.mark.parametrize(("table", "number", "why"), [("projects", 1, "project deleted"), ("teams", 0, "team deleted")])
async def test_what_was_created_while_its_project_was_deleted_is_cancelled(
    door: Door, project: tuple[UUID, UUID], serve: Serve, table: str, number: int, why: str
) -> None:
    """A run whose creation and whose project's deletion did not see each other ends, as the others of the project did."""
    async with door.db.session() as session, session.transaction():
        cursor = await session.connection.execute(
            "insert into job_runs (job_type, team_id, project_id, triggered_by)"
            " values ('project_work', %s, %s, 'operator') returning id",
            project,
        )
        ((created,),) = await cursor.fetchall()
        await door.sql(f"update {table} set deleted_at = now() where id = %s", project[number])
    assert (await door.view(created)).status is RunStatus.PENDING
    await serve(lease=2.0)
    assert (await door.until(created, RunStatus.CANCELLED)).cancelled_by == why


async def test_what_belongs_to_a_deleted_team_does_not_run(door: Door, project: tuple[UUID, UUID]) -> None:
    """Deleting a team cancels the pending runs of all its projects."""
    [[pending]] = await door.sql(
        "insert into job_runs (job_type, team_id, project_id, triggered_by)"
        " values ('project_work', %s, %s, 'operator') returning id",
        *project,
    )
    await door.sql("update teams set deleted_at = now() where id = %s", project[0])
    assert (await door.view(pending)).cancelled_by == "team deleted"
