"""The register of servers: who lives under a name, who leaves, whose lease goes on, and who is forgotten."""

from uuid import UUID, uuid4

from owlrunner.storage import overview, servers
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import Registration
from tests.storage.rows import look, now, put_held, put_server, rings, value

ENDED = {"status": "failed", "error": "x", "completed_at": now()}
DEAD = {"buried_at": now(-5)}


async def test_buried_servers_are_kept_for_a_week(db: Database) -> None:
    """One is forgotten a week after it was buried, unless a run still stands in its name."""
    async with db.session() as session, session.transaction():
        week = 7 * 24 * 3600.0
        await put_server(session, name="living")
        await put_server(session, name="a week", buried_at=now(-week))
        old = await put_server(session, name="old", buried_at=now(-week - 1))
        holds = await put_server(session, name="holds", buried_at=now(-week - 1))
        await put_held(session, holds)
        await put_held(session, old, **ENDED)
        await servers.forget_old(session)
        names = {row["name"] for row in await look(session, "select name from servers")}
    assert names == {"living", "a week", "holds"}


async def test_a_name_belongs_to_one_living_server(db: Database) -> None:
    """Who registers buries the living one of its name and no other; who is still alive under that name is its successor."""

    def about(server_id: UUID, name: str) -> Registration:
        return Registration(server_id, name, "1", ["a"], 1, 30.0, ["f"])

    async with db.session() as session, session.transaction():
        first, second, other = about(uuid4(), "n"), about(uuid4(), "n"), about(uuid4(), "o")
        await put_server(session, name="n", buried_at=now(-9))
        for one in (first, other, second):
            await servers.register(session, one)
        buried = {row["id"]: row["buried_at"] for row in await look(session, "select * from servers")}
        at = await value(session, now())
        assert (buried[first.id], buried[second.id], buried[other.id]) == (at, None, None)
        assert sum(when == at for when in buried.values()) == 1
        assert await servers.is_superseded(session, first)
        assert not await servers.is_superseded(session, second)
        assert not await servers.is_superseded(session, other)
        for change in (now(-1), now()):
            await session.connection.execute(
                b"update servers set lease_expires_at = %s where id = %s", [await value(session, change), second.id]
            )
            assert not await servers.is_superseded(session, first)


async def test_a_server_that_leaves_is_buried_once(db: Database) -> None:
    """Its time is that of its leaving, and others stay as they are."""
    async with db.session() as session, session.transaction():
        leaving, buried, other = await put_server(session), await put_server(session, **DEAD), await put_server(session)
        await servers.leave(session, leaving)
        await servers.leave(session, buried)
        rows = {row["id"]: row["buried_at"] for row in await look(session, "select * from servers")}
        assert rows == {leaving: await value(session, now()), buried: await value(session, now(-5)), other: None}


async def test_a_heartbeat_renews_one_lease_and_rings(db: Database) -> None:
    """A buried server gets no answer; a living one has its lease from now on, also after it had run out."""
    async with db.session() as session:
        ours, buried = await put_server(session, lease_expires_at=now(-9)), await put_server(session, **DEAD)
        before = await look(session, "select * from servers where id <> %s order by id", ours)
        async with rings(db, "owlrunner_alive") as heard, session.transaction():
            assert await session.rows("servers/heartbeat", {"id": ours, "lease": 7.5}) == [(ours,)]
            (row,) = await look(session, "select * from servers where id = %s", ours)
            assert row["lease_expires_at"] == await value(session, now(7.5))
        assert heard == ["owlrunner_alive"]
        async with rings(db, "owlrunner_alive") as heard:
            assert await session.rows("servers/heartbeat", {"id": buried, "lease": 7.5}) == []
        assert heard == []
        assert await look(session, "select * from servers where id <> %s order by id", ours) == before


async def test_whether_anybody_is_there_for_a_job_type(db: Database) -> None:
    """A server counts from its start until the instant at which its lease runs out, or somebody buries it."""
    async with db.session() as session, session.transaction():
        await put_server(session, lease_expires_at=now())
        await put_server(session, buried_at=now())
        assert await overview.anybody_for(session, "a") == (False, False)
        await put_server(session, job_types=["b"], lease_expires_at=now(0.001))
        assert await overview.anybody_for(session, "a") == (True, False)
        assert await overview.anybody_for(session, None) == (True, False)
        await put_server(session)
        assert await overview.anybody_for(session, "a") == (True, True)


async def test_servers_are_listed_with_what_they_hold(db: Database) -> None:
    """The living first, the youngest first among them; each with the runs that it executes now, and what is left of its lease."""
    async with db.session() as session, session.transaction():
        ids = [UUID(int=number) for number in range(1, 6)]
        for server_id, started, buried in zip(
            ids, (-9, -5, -5, -1, -7), (None, None, None, now(-1), now(-1)), strict=True
        ):
            await put_server(session, id=server_id, started_at=now(started), buried_at=buried)
        for server_id in (ids[0], ids[0], ids[1]):
            await put_held(session, server_id)
        await put_held(session, ids[0], status="completed", completed_at=now())
        listed = await overview.list_servers(session, 9)
        assert [one.id for one in listed] == [ids[1], ids[2], ids[0], ids[3], ids[4]]
        assert {one.id: one.held_runs for one in listed} == {ids[0]: 2, ids[1]: 1, ids[2]: 0, ids[3]: 0, ids[4]: 0}
        assert {one.lease_left for one in listed} == {30.0}
        assert [one.id for one in await overview.list_servers(session, 2)] == [ids[1], ids[2]]
