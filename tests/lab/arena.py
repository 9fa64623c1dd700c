"""What one case has in its hands: a database, a proxy, a server behind it, an observer beside it, and a limit for each wait."""

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from owlrunner.actor import OperatorActor
from owlrunner.errors import RunAlreadyEnded
from owlrunner.job_run import RunStatus
from owlrunner.jobs import Jobs
from owlrunner.trigger_request import TriggerRequest
from tests.lab.broken import Broken
from tests.lab.diary import Diary
from tests.lab.faults import HOLDS, Fault, Kind
from tests.lab.observer import Observer, Run
from tests.lab.proxy import BEATING, Proxy
from tests.lab.server_process import Forge, OwlRunner

OPERATOR = OperatorActor()
PATIENCE = 5.0
"""Seconds that are given on top of a lease."""
START_PATIENCE = 20.0
"""Seconds that a process gets to start, on a machine that does several other things."""
GRACE = 1.0
LOOK = 0.1
QUIET = 0.4


@attrs.frozen
class Tenant:
    """A team's project, and a key for it."""

    team_id: UUID
    project_id: UUID
    key: str


@attrs.frozen
class Setting:
    """What all cases of a session have in common."""

    lease: float
    hold: float
    tenant: Tenant
    environ: dict[str, str] = attrs.field(factory=dict)
    """For every process under test, besides what the laboratory sets itself."""


@attrs.define(eq=False)
class Arena:
    """One case."""

    setting: Setting
    forge: Forge
    folder: Path
    database_url: str
    proxy: Proxy
    observer: Observer
    jobs: Jobs
    """The operator's door, directly on the database."""
    fault: Fault | None
    resources: contextlib.ExitStack
    """What a scenario needs until the end of the case."""
    environ: dict[str, str] = attrs.field(factory=dict)
    """The scenario's part of the server's environment."""
    server: OwlRunner | None = None
    processes: list[OwlRunner] = attrs.field(factory=list)
    acknowledged: set[UUID] = attrs.field(factory=set)
    """The runs of which somebody was told that they exist."""
    cancelled: set[UUID] = attrs.field(factory=set)
    """The runs of which somebody was told that their cancel was requested."""
    broken: list[str] = attrs.field(factory=list)
    url: str = ""

    @property
    def diary(self) -> Diary:
        """What the handlers have written down."""
        return Diary(self.folder / "diary.jsonl")

    @property
    def proxied_url(self) -> str:
        """The connection string that leads through the proxy."""
        params = conninfo_to_dict(self.database_url)
        return make_conninfo("", **params | {"host": "127.0.0.1", "port": self.proxy.port})

    @property
    def bound(self) -> float:
        """Seconds after a fault within which everything must be well again."""
        holds = self.fault is not None and self.fault.kind in HOLDS
        return self.setting.lease + PATIENCE + (self.setting.hold if holds else 0.0)

    def breaks(self, what: str) -> None:
        """Put a broken promise on record and go on."""
        if what not in self.broken:
            self.broken.append(what)

    async def spawn(self, command: str, name: str, url: str, **environ: str) -> OwlRunner:
        """Start a process of ours; it is killed at the end of the case."""
        every = {
            "OWLRUNNER_SERVER__LEASE": f"{self.setting.lease:g}",
            "OWLRUNNER_SERVER__SHUTDOWN_GRACE": f"{GRACE:g}",
            "OWLRUNNER_SERVER__SCHEDULES": str(self.folder / "schedules.toml"),
            "OWLRUNNER_DATABASE__CONNECT_TIMEOUT": f"{self.setting.lease:g}",
        }
        process = await self.forge.start(
            command, self.folder, name, url, every | self.setting.environ | self.environ | environ
        )
        self.processes.append(process)
        return process

    async def start_server(self) -> None:
        """Start the server under test and wait until it is ready. One that does not get there may say so and is started again."""
        # An outage at the start may end it: a supervisor starts it again. A second one has nothing to complain about.
        for _ in range(2):
            self.server = await self.spawn("serve", "lab", self.proxied_url)
            with trio.move_on_after(START_PATIENCE + self.bound):
                url = await self.server.ready()
                if url is not None:
                    self.url = url
                    return
                continue
            raise Broken(f"the server was not ready within {START_PATIENCE + self.bound:g} s")
        raise Broken(f"the server ended at its start, twice: {self.server.lines[-1:]}")  # type: ignore[union-attr]

    async def begin(self) -> None:
        """Start the server, let it come to rest, and count statements from here on."""
        await self.start_server()
        await self.proxy.quiet(QUIET)
        self.proxy.arm(self.fault)

    async def outlast_lease(self) -> None:
        """Where a heartbeat may have been struck, let the lease end that was there before: it must have been renewed."""
        if self.fault is None or self.proxy.struck_at is None:
            return
        if self.fault.target.connection in BEATING or self.fault.kind is Kind.HALF_OPEN:
            await trio.sleep_until(self.proxy.struck_at + self.setting.lease + 1.0)

    async def trigger(self, job_type: str, **fields: Any) -> UUID:
        """Trigger a run directly, so that no fault is in the way."""
        team = self.setting.tenant.team_id if "project_id" in fields else None
        run = await self.jobs.trigger(OPERATOR, team, TriggerRequest(job_type, **fields))
        self.acknowledged.add(run.id)
        return run.id

    async def trigger_for_project(self, **fields: Any) -> UUID:
        """Trigger ``lab_project`` directly."""
        return await self.trigger("lab_project", project_id=str(self.setting.tenant.project_id), **fields)

    async def cancel(self, run_id: UUID) -> None:
        """Ask for a cancel directly, unless the run has ended."""
        with contextlib.suppress(RunAlreadyEnded):
            await self.jobs.cancel(OPERATOR, run_id)
            self.cancelled.add(run_id)

    def limit(self, started: float, nominal: float = 0.0) -> float:
        """Until when something that has begun then must have come about."""
        return max(started, self.proxy.struck_at or started) + nominal + self.bound

    @property
    def process(self) -> OwlRunner:
        """The server under test."""
        assert self.server is not None
        return self.server

    def check_alive(self) -> None:
        """The server ends when it is told to, and not before."""
        if self.server is not None and self.server.exit_code is not None:
            raise Broken(f"the server ended by itself with {self.server.exit_code}")

    async def until(
        self, what: str, holds: Callable[[], Awaitable[bool]], nominal: float = 0.0, *, alive: bool = True
    ) -> None:
        """Wait until it holds; ``nominal`` is how long that takes where nothing is wrong."""
        started = trio.current_time()
        while not await holds():
            if alive:
                self.check_alive()
            if trio.current_time() > self.limit(started, nominal):
                raise Broken(f"{what}: not within {nominal + self.bound:g} s")
            await trio.sleep(LOOK)

    async def until_run(
        self, run_id: UUID, what: str, fits: Callable[[Run], bool], nominal: float = 0.0, *, alive: bool = True
    ) -> Run:
        """Wait until a run is as wanted, and return it. ``alive`` says that the server under test must not have ended."""
        found: list[Run] = []

        async def holds() -> bool:
            run = await self.observer.run(run_id)
            if run is None:
                raise Broken(f"{what}: the run is gone")
            found[:] = [run]
            return fits(run)

        try:
            await self.until(what, holds, nominal, alive=alive)
        except Broken as broken:
            run = found[0]
            raise Broken(f"{broken} (it is {run.status}, attempt {run.attempt}, {run.error})") from None
        return found[0]

    async def until_ended(self, run_id: UUID, nominal: float = 0.0, *, alive: bool = True) -> Run:
        """Wait until a run has ended."""
        return await self.until_run(run_id, "the run ends", lambda run: not run.is_active, nominal, alive=alive)

    async def until_executed(self, run_id: UUID) -> None:
        """Wait until a handler is at work on a run; where that was too quick to be seen, until it has ended."""

        async def holds() -> bool:
            if any(one.goes_on for one in self.diary.of(run_id)):
                return True
            run = await self.observer.run(run_id)
            return run is not None and not run.is_active

        await self.until("a handler starts", holds)

    async def expect(self, run_id: UUID, *statuses: RunStatus, nominal: float = 0.0, alive: bool = True) -> Run:
        """Wait until a run has ended, in one of these ways, or because its lease was honestly lost."""
        run = await self.until_ended(run_id, nominal, alive=alive)
        if run.status not in statuses and not lost_its_lease(run):
            self.breaks(f"the run ended {run.status} ({run.error}), expected {' or '.join(statuses)}")
        return run

    async def stop_server(self) -> None:
        """Tell the server to stop, and see that it does, in time and well."""
        self.check_alive()
        self.process.terminate()

        async def ended() -> bool:
            return self.process.exit_code is not None

        await self.until("SIGTERM ends the server", ended, GRACE, alive=False)
        if self.process.exit_code != 0:
            self.breaks(f"after SIGTERM the server ended with {self.process.exit_code}")


LOST = frozenset(("Lease lost during execution", "Server restarted during execution"))


def lost_its_lease(run: Run) -> bool:
    """Whether a run failed because its server lost it, as it says."""
    return run.status is RunStatus.FAILED and run.error in LOST
