"""soft_delete_cleanup: what was deleted goes with all that hangs on it, and what was restored stays."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.plugins.maintenance_world import NOW, World
from tests.plugins.soft_deleted import EVENTS, JUST_NOW, LONG_AGO, add_events, team

COUNTERS = [
    "teams",
    "projects",
    "apps",
    "apiKeys",
    "metricDefinitions",
    "funnelDefinitions",
    "events",
    "metricEvents",
    "funnelEvents",
    "appUsers",
    "auditLogs",
    "teamMembers",
    "teamInvitations",
]
LEAVES = ("api_keys", "metric_definitions", "funnel_definitions", "project_integrations")


async def test_what_was_deleted_yesterday_stays(world: World) -> None:
    """Within the days of grace nothing goes, and every counter of the original is there and 0."""
    acme = team(world)
    for table, key in (("teams", acme.id), ("projects", acme.project), ("apps", acme.app)):
        acme.delete(table, key, JUST_NOW)
    result = await world.result("soft_delete_cleanup")
    assert {name: result[name] for name in COUNTERS} == dict.fromkeys(COUNTERS, 0)
    assert "notRemoved" not in result
    assert (acme.there(), acme.events()) == ((True, True, True), [6, 6, 6])


async def test_an_expired_team_goes_with_everything(world: World) -> None:
    """A team goes with all that hangs on it, its events too, though nothing below it was ever marked; another team stays."""
    acme, other = team(world), team(world, "other")
    acme.delete("teams", acme.id)
    result = await world.result("soft_delete_cleanup")
    assert {name: result[name] for name in COUNTERS} == {
        "teams": 1,
        "projects": 1,
        "apps": 1,
        "apiKeys": 2,
        "metricDefinitions": 1,
        "funnelDefinitions": 1,
        "events": 6,
        "metricEvents": 6,
        "funnelEvents": 6,
        "appUsers": 1,
        "auditLogs": 1,
        "teamMembers": 1,
        "teamInvitations": 1,
    }
    assert (result["jobRuns"], result["appUserApps"]) == (1, 1)
    for table in EVENTS:
        assert world.sql(f"select app_id, count(*) from {table} group by 1") == [(other.app, 6)]
    assert (acme.there(), other.there()) == ((False, False, False), (True, True, True))
    assert world.one("select count(*) from api_keys") == 2


async def test_children_that_were_marked_late_go_too(world: World) -> None:
    """An app that was marked yesterday, as the original does to children, goes with its expired project, and so do its events."""
    acme = team(world)
    acme.delete("projects", acme.project)
    acme.delete("apps", acme.app, JUST_NOW)
    result = await world.result("soft_delete_cleanup")
    assert (result["teams"], result["projects"], result["apps"], result["apiKeys"]) == (0, 1, 1, 1)
    assert (acme.there(), acme.events()) == ((True, False, False), [0, 0, 0])
    # The key of the team itself is its own.
    assert world.one("select name from api_keys") == "team"


async def test_each_root_of_a_family_is_counted_once(world: World) -> None:
    """Team, project and app that expired together are three roots, removed from the bottom up."""
    acme = team(world)
    for table, key in (("teams", acme.id), ("projects", acme.project), ("apps", acme.app)):
        acme.delete(table, key)
    report = await world.run("soft_delete_cleanup")
    assert [report.result[name] for name in ("teams", "projects", "apps", "events")] == [1, 1, 1, 6]
    assert [line for line in report.logs if line.startswith("removed ")] == [
        f"removed apps {acme.app}",
        f"removed projects {acme.project}",
        f"removed teams {acme.id}",
    ]
    messages = [one.message for one in report.progress]
    assert messages[0] == "3 to remove"
    assert f"apps {acme.app}: 6 rows of events deleted so far" in messages
    assert (report.progress[-1].processed, report.progress[-1].total) == (7, 7)


async def test_leaves_go_on_their_own(world: World) -> None:
    """Keys, definitions and integrations that were deleted in a living project go when their own grace is over, others stay."""
    acme = team(world)
    for provider in ("old", "recent", "living"):
        insert = "insert into project_integrations (project_id, provider, config) values (%s, %s, '{}')"
        world.sql(insert, acme.project, provider)
    world.sql("update project_integrations set deleted_at = %s where provider = 'old'", LONG_AGO)
    world.sql("update project_integrations set deleted_at = %s where provider = 'recent'", JUST_NOW)
    for table in ("metric_definitions", "funnel_definitions"):
        world.sql(f"update {table} set deleted_at = %s", LONG_AGO)
    world.sql("update api_keys set deleted_at = %s where name = 'app'", LONG_AGO)
    world.sql("update api_keys set deleted_at = %s where name = 'team'", JUST_NOW)
    result = await world.result("soft_delete_cleanup")
    counted = ("apiKeys", "metricDefinitions", "funnelDefinitions", "projectIntegrations")
    assert [result[name] for name in counted] == [1, 1, 1, 1]
    assert [world.one(f"select count(*) from {table}") for table in LEAVES] == [1, 0, 0, 2]
    assert acme.there() == (True, True, True)


async def test_a_leaf_that_is_held_stays_as_long(world: World) -> None:
    """A row stays while another hangs on it by a key that refuses, and goes in the run in which the last of these goes."""
    world.sql(
        "create table questions (id int primary key, follows int references questions, deleted_at timestamptz);"
        "create table answers (id int primary key, question int references questions on delete restrict, deleted_at timestamptz);"
        "insert into questions values (1, null, '2024-01-01'), (2, 1, '2024-01-01'), (3, 3, '2024-01-01'), (4, null, null);"
        "insert into answers values (1, 2, '2024-01-01'), (2, 2, null)"
    )
    settings: dict[str, Any] = {"soft_deleted_leaves": ["questions", "answers"]}
    result = await world.result("soft_delete_cleanup", **settings)
    assert (result["questions"], result["answers"], "notRemoved" in result) == (1, 1, False)
    assert world.sql("select id from questions order by 1") == [(1,), (2,), (4,)]
    world.sql("update answers set deleted_at = '2024-01-01'")
    result = await world.result("soft_delete_cleanup", **settings)
    assert (result["questions"], result["answers"]) == (2, 1)


async def test_leaves_may_be_partitioned(world: World) -> None:
    """Rows of two partitions have the same places, and only those that are meant go."""
    world.sql(
        "create table notes (id int, kind int, deleted_at timestamptz) partition by list (kind);"
        "create table notes_1 partition of notes for values in (1);"
        "create table notes_2 partition of notes for values in (2);"
        "create table pins (note int, kind int);"
        "insert into notes values (1, 1, '2024-01-01'), (2, 2, '2024-01-01'), (3, 1, null), (4, 2, '2024-01-01')"
    )
    with world.somebody() as somebody:
        somebody.execute("select from notes where id = 2 for update")
        result = await world.result("soft_delete_cleanup", soft_deleted_leaves=["notes"])
    assert result["notes"] == 2
    assert world.sql("select id from notes order by 1") == [(2,), (3,)]


@pytest.mark.parametrize(("rows", "batches"), [(1, 6), (4, 2), (6, 1), (1000, 1)])
async def test_events_go_in_batches(world: World, rows: int, batches: int) -> None:
    """No statement deletes more events than batch_rows, in however many partitions they lie."""
    acme = team(world)
    acme.delete("apps", acme.app)
    world.sql(
        "create table batches (deleted int);"
        "create function count_deleted() returns trigger language plpgsql as $$ begin"
        " insert into batches select count(*) from gone; return null; end $$;"
        "create trigger t after delete on events_2024_04 referencing old table as gone for each statement"
        " execute function count_deleted();"
    )
    add_events(world, acme.app, 3)
    result = await world.result("soft_delete_cleanup", batch_rows=rows)
    assert result["events"] == 12
    sizes = [size for (size,) in world.sql("select deleted from batches where deleted > 0")]
    assert (len(sizes), sum(sizes), max(sizes)) == (batches, 6, min(rows, 6))


@pytest.mark.parametrize(
    ("days", "deleted_before", "goes"),
    [
        (7, timedelta(days=7, seconds=1), True),
        (7, timedelta(days=7), False),
        (30, timedelta(days=29, hours=23), False),
        (30, timedelta(days=30, seconds=1), True),
        (0, timedelta(seconds=1), True),
    ],
)
async def test_the_days_of_grace_are_a_setting(
    world: World, days: int, deleted_before: timedelta, *, goes: bool
) -> None:
    """What was deleted longer ago than grace_days goes, to the second."""
    acme = team(world, events=0)
    acme.delete("teams", acme.id, NOW - deleted_before)
    await world.result("soft_delete_cleanup", grace_days=days)
    assert acme.there()[0] is not goes


@pytest.mark.parametrize("now", [datetime(2024, 4, 10, 12, tzinfo=UTC), datetime(2024, 10, 2, 12, tzinfo=UTC)])
@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
async def test_days_are_24_hours_wherever_the_server_lives(
    maintained: World, monkeypatch: pytest.MonkeyPatch, now: datetime, kind: str
) -> None:
    """With process and database in Auckland, in a week in which its clocks change, grace is over to the second of UTC."""
    name = maintained.one("select current_database()")
    maintained.sql(f"alter database {name} set timezone = 'Pacific/Auckland'")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    maintained.set_now(now)
    maintained.sql(f"create table things (id int primary key, deleted_at {kind})")
    for number, seconds in enumerate((-3600, -1, 1, 3600)):
        moment = now - timedelta(days=7, seconds=seconds)
        stored = moment if kind == "timestamptz" else moment.replace(tzinfo=None)
        maintained.sql("insert into things values (%s, %s)", number, stored)
    result = await maintained.result("soft_delete_cleanup", soft_deleted_leaves=["things"])
    assert result["things"] == 2
    assert maintained.sql("select id from things order by 1") == [(0,), (1,)]


async def test_missing_tables_are_left_out(world: World) -> None:
    """Without the plugin that brings apps, teams and their projects go all the same, and every counter is there."""
    acme = team(world)
    world.sql("drop table app_user_apps, app_users, apps, funnel_events, metric_definitions")
    acme.delete("teams", acme.id)
    result = await world.result("soft_delete_cleanup")
    assert {name for name in COUNTERS if name not in result} == {"appUsers"}
    counted = ("teams", "projects", "apps", "funnelEvents", "metricDefinitions")
    assert [result[name] for name in counted] == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"soft_deleted_leaves": ["users"]}, "table users has no column deleted_at that holds a time"),
        (
            {"soft_deleted_roots": ["teams", "projects", "apps", "app_users"]},
            "table app_users has no column deleted_at",
        ),
        ({"soft_deleted_leaves": ["odd"]}, "table odd has no column deleted_at that holds a time"),
        ({"soft_deleted_roots": ["keyless"], "linked_tables": []}, "keyless needs a primary key of one column"),
        (
            {"soft_deleted_roots": ["apps"], "soft_deleted_leaves": ["projects"]},
            "soft_deleted_leaves: projects would take rows of apps with it; name it in soft_deleted_roots alone",
        ),
    ],
)
async def test_tables_that_cannot_be_looked_after_are_refused(
    world: World, settings: dict[str, Any], reason: str
) -> None:
    """A table that cannot be soft-deleted, or would take events' owners with it unseen, fails the run by name: nothing goes."""
    world.sql("create table odd (id int primary key, deleted_at text); create table keyless (deleted_at timestamptz)")
    acme = team(world, events=0)
    acme.delete("apps", acme.app)
    linked = settings.get("linked_tables", [{"table": "events", "column": "app_id", "root": "apps"}])
    report = await world.run("soft_delete_cleanup", **(settings | {"linked_tables": linked}))
    assert report.status == "failed"
    assert reason in str(report.error)
    assert acme.there() == (True, True, True)
