"""Teams with one of everything, for tests of what soft_delete_cleanup removes."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import UUID

import attrs
import trio

from owlrunner.job_run import Progress
from owlrunner.testing import Report
from tests.plugins.maintenance_world import NOW, World

EVENTS = ("events", "metric_events", "funnel_events")
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

    def there(self) -> tuple[bool, ...]:
        """Whether the team, its project and its app are there."""
        rows = (("teams", self.id), ("projects", self.project), ("apps", self.app))
        return tuple(bool(self.world.sql(f"select from {table} where id = %s", key)) for table, key in rows)

    def events(self) -> list[int]:
        """How many events of each kind there are of its app."""
        return [self.world.one(f"select count(*) from {table} where app_id = %s", self.app) for table in EVENTS]


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


def once(message: str, action: Callable[[], object]) -> Callable[[Progress], bool]:
    """Something to do at the first progress whose message has this text; for ``cancel_when``, and cancels nothing."""
    met: list[Progress] = []

    def look(progress: Progress) -> bool:
        if message in progress.message and not met:
            met.append(progress)
            action()
        return False

    return look


@contextlib.asynccontextmanager
async def running(world: World, **options: object) -> AsyncIterator[list[Report]]:
    """A run of soft_delete_cleanup beside the block, which begins when the run waits for somebody's lock; its report, after."""
    reports: list[Report] = []

    async def run() -> None:
        reports.append(await world.run("soft_delete_cleanup", lock_timeout=60, **options))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        while not waiting(world):
            await trio.lowlevel.checkpoint()
        yield reports


def waiting(world: World) -> list[int]:
    """The backends that wait for a lock."""
    return [
        pid
        for (pid,) in world.sql(
            "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
    ]
