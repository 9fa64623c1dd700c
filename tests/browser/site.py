"""What the browser tests hold in their hands: a server process with a team, and pages of a browser that is signed in there."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import psycopg
from playwright.sync_api import Page

from owlrunner.accounts.credentials import hashed, new_token
from tests.promises.serving import ServerProcess

ADMIN = "ada@acme.test"
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""Where the pictures of all pages are left, to be looked at."""


@attrs.define
class Site:
    """A server with one team that has one project and one admin."""

    database_url: str
    port: int
    start: Callable[[], ServerProcess]
    folder: Path
    team_id: UUID
    project_id: UUID
    server: ServerProcess

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def sql(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        """Speak SQL, as only tests may."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []

    def trigger(self, job_type: str, params: str | None = None, delay: str = "0") -> str:
        """Create a run and ring the bell, as the door would; return its id."""
        ((run_id,),) = self.sql(
            "with new as (insert into job_runs (job_type, team_id, project_id, triggered_by, exclusive, params, run_at)"
            " values (%(type)s::text, %(team)s, %(project)s, 'operator', %(type)s::text <> 'crowd', %(params)s,"
            " now() + %(delay)s::interval) returning id)"
            " select id::text from new, pg_notify('owlrunner_pending', '')",
            type=job_type,
            team=self.team_id,
            project=self.project_id,
            params=params,
            delay=delay,
        )
        return str(run_id)

    def connect(self) -> None:
        """Connect the project to RevenueCat."""
        self.sql(
            "insert into project_integrations (project_id, provider, config) values (%(project)s, 'revenuecat', %(config)s)",
            project=self.project_id,
            config='{"api_key": "sk_0123456789", "project_id": "proj1ab2c3d4"}',
        )

    def cookie(self) -> Any:
        """A sign-in of the admin, as a browser keeps it."""
        token = new_token()
        self.sql(
            "insert into user_sessions (token_hash, user_id, expires_at)"
            " select %(hash)s, id, now() + interval '1 hour' from users where email = %(email)s",
            hash=hashed(token),
            email=ADMIN,
        )
        return {"name": "token", "value": token, "url": self.url}

    def release(self) -> None:
        """Let a job end: one that was cancelled, or that holds on."""
        (self.folder / "release").touch()


def run_of(page: Page) -> str:
    """The id of the run whose page is open."""
    found = re.search(r"/dashboard/jobs/([0-9a-f-]{36})", page.url)
    assert found is not None, page.url
    return found[1]
