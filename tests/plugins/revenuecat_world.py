"""A project, a RevenueCat, and the job types that bring the one to the other."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import attrs
import trio

from owlrunner import JobContext, Progress
from owlrunner.demo.customers import customers
from owlrunner.demo.revenuecat import StandIn, serve
from owlrunner.storage.postgres import Database
from owlrunner.storage.session_settings import OF_HANDLERS
from owlrunner_revenuecat import revenuecat_sync_job, revenuecat_user_backfill_job
from owlrunner_revenuecat.settings import SyncParams, SyncSettings

QUICK = SyncSettings(customer_requests_per_minute=100_000, configuration_requests_per_minute=100_000, retry_delay=0.001)


@attrs.define
class World:
    """A project with an integration, a RevenueCat, and the job type that brings the one to the other."""

    db: Database
    standin: StandIn
    settings: SyncSettings
    project_id: UUID
    progress: list[Progress] = attrs.field(factory=list)

    async def execute(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        async with self.db.session() as session:
            cursor = await session.connection.execute(statement.encode(), params)
            return await cursor.fetchall() if cursor.description is not None else []

    async def add_users(self, *user_ids: str, properties: str = "{}") -> None:
        """Add users to the project."""
        statement = """insert into app_users (project_id, user_id, is_anonymous, properties)
            select %s, u, u like 'owl\\_anon\\_%%', %s::jsonb from unnest(%s::text[]) u"""
        await self.execute(statement, self.project_id, properties, list(user_ids))

    async def properties(self, user_id: str) -> dict[str, str]:
        """What a user has."""
        rows = await self.execute("select properties from app_users where user_id = %s", user_id)
        found: dict[str, str] = rows[0][0]
        return found

    async def synced_users(self) -> list[str]:
        """Who has been written."""
        rows = await self.execute("select user_id from app_users where revenue_synced_at is not null order by user_id")
        return [user_id for (user_id,) in rows]

    def context(
        self, on_progress: Callable[[JobContext, Progress], None] | None = None, connect: Any = None
    ) -> JobContext:
        """A run of the project, whose progress is kept."""

        def on_news(ctx: JobContext) -> None:
            # News may also be a line of the log.
            progress = ctx.take_new_progress()
            if progress is not None:
                self.progress.append(progress)
                if on_progress is not None:
                    on_progress(ctx, progress)

        return JobContext(
            run_id=uuid4(),
            job_type="revenuecat_sync",
            project_id=self.project_id,
            team_id=uuid4(),
            attempt=1,
            connect=connect or (lambda _: self.db.dedicated(settings=OF_HANDLERS)),
            on_news=on_news,
        )

    async def sync(
        self, ctx: JobContext | None = None, params: SyncParams | None = None, **settings: Any
    ) -> dict[str, Any]:
        """Run the handler."""
        job_type = revenuecat_sync_job(attrs.evolve(self.settings, **settings))
        result: dict[str, Any] = await job_type(ctx or self.context(), params or SyncParams())
        return result

    async def backfill(self, ctx: JobContext | None = None, params: SyncParams | None = None) -> dict[str, Any]:
        """Run the handler of the backfill."""
        result: dict[str, Any] = await revenuecat_user_backfill_job(self.settings)(
            ctx or self.context(), params or SyncParams()
        )
        return result


async def new_world(db: Database, nursery: trio.Nursery) -> World:
    """A world in which everything works, without users."""
    standin = StandIn(customers(24), api_key="sk_of_this_project")
    url = await nursery.start(serve, standin)
    world = World(db, standin, attrs.evolve(QUICK, api_url=url), uuid4())
    ((team_id,),) = await world.execute("insert into teams (name, slug) values ('T', 't') returning id")
    await world.execute(
        "insert into projects (id, team_id, name, slug) values (%s, %s, 'P', 'p')", world.project_id, team_id
    )
    integration = "insert into project_integrations (project_id, provider, config) values (%s, 'revenuecat', %s::jsonb)"
    await world.execute(integration, world.project_id, '{"api_key": "sk_of_this_project"}')
    return world
