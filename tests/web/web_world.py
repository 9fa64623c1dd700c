"""What the web tests speak of: job types, the world with its rows, the outbox, and a client for the real app."""

from collections.abc import Mapping
from typing import Any

import attrs
import httpx
import trio

import owlrunner
from owlrunner.accounts import Project, Team
from owlrunner.config import MailConfig
from owlrunner.mail import Mailer
from owlrunner.plugins import Catalog
from owlrunner.storage.postgres import Database
from owlrunner.web.app import Application
from owlrunner.web.login_codes import LoginMails


@attrs.frozen
class SyncParams:
    """What a sync wants."""

    pages: int = 1
    label: str = ""


@owlrunner.job_type(scope="project", label="Acme Sync")
async def acme_sync(ctx: owlrunner.JobContext, params: SyncParams) -> None:
    """Copy everything from Acme."""


@owlrunner.job_type(scope="project")
async def steady(ctx: owlrunner.JobContext) -> None:
    """Take no params."""


@owlrunner.job_type(scope="project", overlap="allow")
async def crowd(ctx: owlrunner.JobContext, params: SyncParams) -> None:
    """Run beside others of the same type."""


@owlrunner.job_type(scope="system")
async def db_pruning(ctx: owlrunner.JobContext) -> None:
    """Belong to the owner."""


def wanted_of(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The params of a crowd for an event of Acme's."""
    if "pages" not in event:
        raise ValueError("no pages")
    return {"pages": event["pages"]} if event["pages"] else None


ACME = owlrunner.Provider(
    "acme",
    "Acme",
    description="Everything about owls.",
    fields=(
        owlrunner.ConfigField("api_key", "Secret API Key", required=True, secret=True, placeholder="sk_..."),
        owlrunner.ConfigField("region", "Region", description="Where the data is."),
        owlrunner.ConfigField("webhook_secret", "Webhook Secret", secret=True),
    ),
    webhook_job="crowd",
    webhook_secret="webhook_secret",
    webhook_params=wanted_of,
    sync_job="steady",
    # Everybody there is, for want of users of the project.
    sync_count="select count(*) from users where %(project_id)s::uuid is not null",
)

CATALOG = Catalog(
    job_types={one.name: one for one in (acme_sync, steady, crowd, db_pruning)}, providers={ACME.name: ACME}
)


@attrs.define
class Letter:
    """A mail that would have been sent."""

    to: str
    subject: str
    text: str


class Outbox(Mailer):
    """A mailer that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(MailConfig())
        object.__setattr__(self, "letters", [])
        object.__setattr__(self, "failure", None)

    letters: list[Letter]
    failure: Exception | None

    async def send(self, to: str, subject: str, text: str, html: str | None = None, *, message_id: str = "") -> None:
        """Keep the mail, or fail as told."""
        assert html is None, "login mails are plain"
        assert not message_id, "a login code is mailed once"
        if self.failure is not None:
            raise self.failure
        self.letters.append(Letter(to, subject, text))

    def fail_with(self, failure: Exception | None) -> None:
        """Raise this at every mail from now on."""
        object.__setattr__(self, "failure", failure)

    def last_code(self) -> str:
        """The code in the latest mail."""
        return self.letters[-1].subject.split()[0]


@attrs.frozen
class World:
    """Everything that a test may want to name."""

    db: Database
    app: Application
    mails: LoginMails
    outbox: Outbox
    team: Team
    project: Project
    other_team: Team
    other_project: Project
    credentials: dict[str, str]

    def auth(self, who: str) -> dict[str, str]:
        """The header for one of the credentials."""
        return {"authorization": f"Bearer {self.credentials[who]}"} if who in self.credentials else {}

    async def sql(self, text: str, **params: Any) -> list[tuple[Any, ...]]:
        """Run a statement."""
        async with self.db.session() as session:
            cursor = await session.connection.execute(text.encode(), params)
            return await cursor.fetchall() if cursor.description is not None else []

    async def run_row(self, **columns: Any) -> str:
        """Insert a run and return its id; pending, of the team's project, unless told otherwise."""
        row = {
            "job_type": "crowd",
            "team_id": self.team.id,
            "project_id": self.project.id,
            "triggered_by": "schedule",
            "exclusive": False,
        } | columns
        names, values = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        ((run_id,),) = await self.sql(f"insert into job_runs ({names}) values ({values}) returning id::text", **row)
        return str(run_id)

    async def system_run(self) -> str:
        """Insert a system run and return its id."""
        return await self.run_row(job_type="db_pruning", team_id=None, project_id=None)

    async def status(self, run_id: str) -> str:
        """A run's status."""
        return str((await self.sql("select status from job_runs where id = %(id)s", id=run_id))[0][0])


ENDED = {
    "status": "completed",
    "attempt": 1,
    "started_at": "2026-03-28T20:00:00.5Z",
    "completed_at": "2026-03-28T20:00:01.25Z",
}
RUNNING = {
    "status": "running",
    "attempt": 1,
    "started_at": "2026-03-28T20:00:00Z",
    "server_id": "11111111-1111-4111-8111-111111111111",
}


class _AfterMails(httpx.ASGITransport):
    """The answer comes when the mails that were asked for are through: a test looks for its code right after."""

    def __init__(self, app: Application, address: str) -> None:
        super().__init__(app, client=(address, 4711))  # type: ignore[arg-type]
        self._mails = app.mails

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        while self._mails.nursery.child_tasks:
            await trio.lowlevel.checkpoint()
        return response


def asgi_client(app: Application, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """A client that speaks to the app without a socket, from an address."""
    return httpx.AsyncClient(transport=_AfterMails(app, address), base_url="http://127.0.0.1")
