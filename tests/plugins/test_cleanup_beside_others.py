"""soft_delete_cleanup beside others: what they restore, move or work on stays, and what fails or is stopped stays whole."""

from collections.abc import Callable

import pytest
import trio

from tests.plugins.maintenance_world import APP, NOW, World
from tests.plugins.soft_deleted import Team, once, running, team, waiting

RESTORE = "update teams set deleted_at = null where id = %s"


@pytest.fixture
def acme(world: World) -> Team:
    """A team whose grace is over."""
    acme = team(world)
    acme.delete("teams", acme.id)
    return acme


async def test_what_is_restored_before_its_turn_stays(world: World, acme: Team) -> None:
    """A team that is restored after the run has found it stays with everything, and the others go."""
    other = team(world, "other")
    other.delete("teams", other.id)
    report = await world.run(
        "soft_delete_cleanup", cancel_when=once("2 to remove", lambda: acme.delete("teams", acme.id, None))
    )
    assert (report.status, report.result["teams"], report.result["restored"]) == ("completed", 1, 1)
    assert (acme.there(), acme.events(), other.there()) == ((True, True, True), [6, 6, 6], (False, False, False))


@pytest.mark.parametrize("fate", ["commit", "rollback"])
async def test_a_restore_under_way_is_waited_for(world: World, acme: Team, fate: str) -> None:
    """While somebody restores a team its removal waits for them: then it stays if they did, and goes if they thought better."""
    with world.somebody() as somebody:
        somebody.execute(RESTORE, (acme.id,))
        async with running(world) as reports:
            getattr(somebody, fate)()
    assert reports[0].result.get("restored", 0) == (fate == "commit")
    assert (acme.there()[0], acme.events()) == ((True, [6, 6, 6]) if fate == "commit" else (False, [0, 0, 0]))


async def test_what_is_restored_between_batches_keeps_the_rest(world: World, acme: Team) -> None:
    """A team that is restored in the middle of its events keeps those that are left, and all else."""
    restore = once("2 rows of events", lambda: acme.delete("teams", acme.id, None))
    report = await world.run("soft_delete_cleanup", batch_rows=2, cancel_when=restore)
    assert (report.result["events"], report.result["teams"], report.result["restored"]) == (2, 0, 1)
    assert (acme.there(), acme.events()) == ((True, True, True), [4, 6, 6])


async def test_an_app_that_is_moved_away_keeps_its_events(world: World, acme: Team) -> None:
    """An app that is moved to a living project in the middle of its events keeps those that are left, and is not removed."""
    living = team(world, "living")
    move = once(
        "2 rows of events",
        lambda: world.sql(
            "update apps set team_id = %s, project_id = %s where id = %s", living.id, living.project, acme.app
        ),
    )
    report = await world.run("soft_delete_cleanup", batch_rows=2, cancel_when=move)
    assert (report.result["teams"], report.result["apps"]) == (1, 0)
    assert (acme.there(), acme.events()) == ((False, False, True), [4, 6, 6])


async def test_no_event_is_orphaned_by_a_writer_that_holds_its_app(world: World, acme: Team) -> None:
    """An insert under way that holds its app is waited for, and its event goes; one that comes later finds no app."""
    with world.somebody() as writer:
        writer.execute("select from apps where id = %s for key share", (acme.app,))
        async with running(world, lock_tries=1) as reports:
            writer.execute(
                "insert into events (app_id, session_id, level, message, timestamp)"
                " values (%s, gen_random_uuid(), 'info', 'late', %s)",
                (acme.app, NOW),
            )
            writer.commit()
    assert (reports[0].result["events"], acme.events()) == (7, [0, 0, 0])


async def test_an_app_that_is_made_meanwhile_leaves_no_orphans(world: World, acme: Team) -> None:
    """An app that comes into a dying team, with an event, before the team is locked goes with its event."""
    app = APP
    with world.somebody() as somebody:
        somebody.execute(
            "insert into apps (id, team_id, project_id, name, platform) values (%s, %s, %s, 'B', 'web')",
            (app, acme.id, acme.project),
        )
        async with running(world, batch_rows=1000):
            world.add_event(NOW, app=app)
            somebody.commit()
    assert acme.there()[0] is False
    assert world.one("select count(*) from events") == 0


@pytest.mark.parametrize("table", ["team_members", "teams", "apps"])
async def test_what_somebody_works_on_is_left_and_named(world: World, acme: Team, table: str) -> None:
    """A root that stays locked is given up after lock_tries, whole and by name; the others are removed."""
    other = team(world, "other")
    other.delete("teams", other.id)
    with world.somebody() as somebody:
        key = "id" if table == "teams" else "team_id"
        somebody.execute(f"select from {table} where {key} = %s for update", (acme.id,))
        result = await world.result("soft_delete_cleanup", lock_timeout=0.01, lock_tries=2)
    assert (result["teams"], result["notRemovedCount"]) == (1, 1)
    assert list(result["notRemoved"]) == [f"teams {acme.id}"]
    assert result["notRemoved"][f"teams {acme.id}"] == "given up after 2 tries: canceling statement due to lock timeout"
    assert (acme.there(), other.there()) == ((True, True, True), (False, False, False))
    assert world.one("select count(*) from team_members where team_id = %s", acme.id) == 1
    result = await world.result("soft_delete_cleanup")
    assert (result["teams"], "notRemoved" in result) == (1, False)


async def test_a_table_that_is_locked_is_named(world: World, acme: Team) -> None:
    """When one of the tables cannot be looked at, what is to go of the others goes all the same."""
    with world.somebody() as somebody:
        world.sql("update metric_definitions set deleted_at = '2024-01-01'")
        somebody.execute("lock table teams in access exclusive mode")
        result = await world.result("soft_delete_cleanup", lock_timeout=0.01, lock_tries=1)
    assert (result["metricDefinitions"], result["teams"], list(result["notRemoved"])) == (1, 0, ["teams"])
    assert acme.there()[0]


async def test_one_that_cannot_be_removed_does_not_keep_the_others(world: World, acme: Team) -> None:
    """A team that something refuses to let go stays whole, but for its events, and is named; nothing else to do fails the run."""
    other = team(world, "other")
    other.delete("teams", other.id)
    world.sql("create table invoices (team_id uuid references teams)")
    world.sql("insert into invoices values (%s)", acme.id)
    result = await world.result("soft_delete_cleanup")
    assert (result["teams"], result["notRemovedCount"]) == (1, 1)
    assert 'is still referenced from table "invoices"' in result["notRemoved"][f"teams {acme.id}"]
    assert (acme.there(), other.there()) == ((True, True, True), (False, False, False))
    assert world.one("select count(*) from team_members where team_id = %s", acme.id) == 1
    report = await world.run("soft_delete_cleanup")
    assert report.status == "failed"
    assert f"nothing could be removed: teams {acme.id}: update or delete on table" in str(report.error)


async def test_a_trigger_that_keeps_a_root_keeps_all_of_it(world: World, acme: Team) -> None:
    """Where a trigger turns the root's deletion into something else, nothing that hangs on it goes either, but for its events."""
    world.sql(
        "create function keep() returns trigger language plpgsql as 'begin return null; end';"
        "create trigger keep before delete on teams for each row execute function keep();"
        "create trigger keep before delete on metric_events for each row execute function keep();"
    )
    result = await world.result("soft_delete_cleanup")
    assert "a trigger or a rule stands in the way" in result["notRemoved"][f"teams {acme.id}"]
    assert (acme.there(), acme.events()) == ((True, True, True), [0, 6, 0])


def terminated(world: World, _: trio.CancelScope) -> None:
    """Somebody kills the run's backend, or its server is gone."""
    for pid in waiting(world):
        world.sql("select pg_terminate_backend(%s)", pid)


def stopped(_: World, scope: trio.CancelScope) -> None:
    """The run is cut off, as by a server that stops."""
    scope.cancel()


@pytest.mark.parametrize("end", [terminated, stopped])
async def test_an_end_in_mid_root_leaves_it_whole(
    world: World, acme: Team, end: Callable[[World, trio.CancelScope], None]
) -> None:
    """When a run dies in the middle of a root, the root stays whole, but for its events, and those before it are gone."""
    first = team(world, "first")
    first.delete("teams", first.id, NOW.replace(year=2023))
    with world.somebody() as somebody, trio.CancelScope() as scope:
        somebody.execute("select from team_members where team_id = %s for update", (acme.id,))
        async with running(world) as reports:
            end(world, scope)
    assert [report.status for report in reports] == (["failed"] if end is terminated else [])
    assert (first.there(), acme.there(), acme.events()) == ((False, False, False), (True, True, True), [0, 0, 0])
    assert world.one("select count(*) from api_keys where team_id = %s", acme.id) == 2
    assert (await world.result("soft_delete_cleanup"))["teams"] == 1


async def test_a_cancelled_run_returns_what_it_removed(world: World, acme: Team) -> None:
    """A run that is cancelled stops between two roots, or two batches, and says how far it came."""
    other = team(world, "other")
    other.delete("teams", other.id, NOW.replace(year=2023))
    report = await world.run("soft_delete_cleanup", cancel_when=lambda progress: progress.processed == 1)
    assert (report.status, report.result["teams"], report.result["cancelled_at"]) == ("cancelled", 1, 1)
    assert (acme.there(), other.there()) == ((True, True, True), (False, False, False))
    report = await world.run(
        "soft_delete_cleanup", batch_rows=2, cancel_when=lambda progress: "2 rows of events" in progress.message
    )
    assert (report.status, report.result["events"], report.result["cancelled_at"]) == ("cancelled", 2, 0)
    assert (acme.there(), acme.events()) == ((True, True, True), [4, 6, 6])


async def test_two_runs_at_once(world: World, acme: Team) -> None:
    """Two runs at the same time remove each root once, and neither fails: what the other has removed is not missed."""
    teams = [acme, *(team(world, f"team{number}", events=30) for number in range(2))]
    for one in teams:
        one.delete("teams", one.id)
    results: list[dict[str, int]] = []

    async def run() -> None:
        results.append(await world.result("soft_delete_cleanup", batch_rows=10))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        nursery.start_soon(run)
    assert sum(result["teams"] for result in results) == len(teams)
    assert sum(result["events"] for result in results) == 6 + 2 * 60
    assert [result for result in results if {"restored", "notRemoved"} & result.keys()] == []
    assert [one.events() for one in teams] == [[0, 0, 0]] * len(teams)


async def test_a_partition_that_is_dropped_meanwhile_is_not_missed(world: World, acme: Team) -> None:
    """A month that db_pruning drops in the middle takes its events along, and the team goes."""
    drop = once("2 rows of events", lambda: world.sql("drop table events_2024_04"))
    report = await world.run("soft_delete_cleanup", batch_rows=2, cancel_when=drop)
    assert (report.status, report.result["teams"], report.result["events"]) == ("completed", 1, 5)
    assert acme.events() == [0, 0, 0]
