"""soft_delete_cleanup: what was deleted goes with all that hangs on it, and what was restored stays."""

from datetime import timedelta
from uuid import UUID

import attrs
import pytest

from tests.plugins.maintenance_world import NOW, World

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
LONG_AGO = NOW - timedelta(days=8)
JUST_NOW = NOW - timedelta(days=1)


@attrs.define
class Team:
    """A team with one of everything."""

    world: World
    id: UUID
    project: UUID
    app: UUID

    def delete(self, table: str, key: UUID, when: object = LONG_AGO) -> None:
        """Soft-delete a row, or restore it."""
        self.world.sql(f"update {table} set deleted_at = %s where id = %s", when, key)

    def there(self, table: str, key: UUID) -> bool:
        """Whether a row is there."""
        return bool(self.world.sql(f"select from {table} where id = %s", key))


def team(world: World, slug: str = "acme", events: int = 3) -> Team:
    """A team with a project, an app, people, keys, definitions, runs and events."""
    user = world.one("insert into users (email, name) values (%s, 'U') returning id", f"{slug}@x.test")
    team = world.one("insert into teams (name, slug) values ('T', %s) returning id", slug)
    world.sql("insert into team_members (team_id, user_id) values (%s, %s)", team, user)
    world.sql(
        "insert into team_invitations (team_id, email, invited_by_user_id, expires_at) values (%s, 'i@x.test', %s, now())",
        team,
        user,
    )
    world.sql(
        "insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id)"
        " values (%s, 'system', 'x', 'create', 'team', 'x')",
        team,
    )
    project = world.one("insert into projects (team_id, name, slug) values (%s, 'P', 'p') returning id", team)
    app = world.one(
        "insert into apps (team_id, project_id, name, platform) values (%s, %s, 'A', 'web') returning id", team, project
    )
    person = world.one(
        "insert into app_users (project_id, user_id, is_anonymous) values (%s, 'u', false) returning id", project
    )
    world.sql("insert into app_user_apps (app_user_id, app_id) values (%s, %s)", person, app)
    for name, of in (("team", None), ("app", app)):
        world.sql(
            "insert into api_keys (key_hash, key_prefix, key_type, app_id, team_id, name, created_by, permissions)"
            " values (gen_random_uuid()::text, 'x', 'client', %s, %s, %s, %s, '[]')",
            of,
            team,
            name,
            user,
        )
    world.sql("insert into metric_definitions (project_id, name, slug) values (%s, 'M', 'm')", project)
    world.sql("insert into funnel_definitions (project_id, name, slug, steps) values (%s, 'F', 'f', '[]')", project)
    world.sql(
        "insert into job_runs (job_type, team_id, project_id, triggered_by) values ('x', %s, %s, 'x')", team, project
    )
    add_events(world, app, events)
    return Team(world, team, project, app)


def add_events(world: World, app: UUID, count: int) -> None:
    """So many events of each kind in each of two months."""
    for table, columns, values in (
        ("events", "level, message", "'info', 'x'"),
        ("metric_events", "metric_slug, phase", "'m', 'start'"),
        ("funnel_events", "step_name, message", "'s', 'x'"),
    ):
        for month in ("2024-04-15", "2024-05-02"):
            world.sql(
                f"insert into {table} (app_id, session_id, timestamp, {columns})"
                f" select %s, gen_random_uuid(), timestamptz '{month} 00:00+00', {values} from generate_series(1, %s)",
                app,
                count,
            )


@pytest.fixture
async def world(maintained: World) -> World:
    """A database with its partitions."""
    await maintained.result("partition_creation")
    return maintained


async def test_what_was_deleted_yesterday_stays(world: World) -> None:
    """Within the days of grace nothing goes, and every counter of the original is there and 0."""
    acme = team(world)
    for table, key in (("teams", acme.id), ("projects", acme.project), ("apps", acme.app)):
        acme.delete(table, key, JUST_NOW)
    result = await world.result("soft_delete_cleanup")
    assert {name: result[name] for name in COUNTERS} == dict.fromkeys(COUNTERS, 0)
    assert acme.there("apps", acme.app)


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
    for table in ("events", "metric_events", "funnel_events"):
        assert world.sql(f"select app_id, count(*) from {table} group by 1") == [(other.app, 6)]
    assert (other.there("teams", other.id), acme.there("teams", acme.id)) == (True, False)
    assert world.one("select count(*) from api_keys") == 2
