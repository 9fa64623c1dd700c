"""Play one scenario with one fault, or with none to learn which statements there are."""

import contextlib
import tempfile
from pathlib import Path

import attrs
import trio
from psycopg.conninfo import make_conninfo

from owlrunner.errors import DatabaseTrouble
from owlrunner.jobs import Jobs
from owlrunner.storage.postgres import Database
from tests.lab.arena import Arena, Setting
from tests.lab.books import audit, check_connections
from tests.lab.broken import Broken
from tests.lab.faults import Fault, Target
from tests.lab.firing import add_schedule
from tests.lab.ground import Ground
from tests.lab.observer import observing
from tests.lab.outbox import until_sent, want_to_be_told
from tests.lab.probe import JOB_TYPE, SCHEDULE, probe
from tests.lab.proxy import Proxy, opener_of
from tests.lab.scenarios import Scenario
from tests.lab.server_process import Forge
from tests.lab.watch import Watch

LONGEST = 120.0
"""Seconds that a case may take in all."""
DEFAULTS_OFF = "".join(
    f'[schedules.{name}]\njob_type = "{name}"\ncron = "0 0 1 1 *"\nenabled = false\n'
    for name in ("soft_delete_cleanup", "partition_creation", "run_retention")
)
"""No schedule of the bundled plugins may fire while the laboratory works."""
TAIL = 25
LOCK_PATIENCE = "-c statement_timeout=15s"
"""For the operator who speaks to the database directly."""


@attrs.frozen
class Played:
    """How it went."""

    broken: list[str]
    struck: bool
    """Whether the statement of the fault came at all."""
    seen: list[Target]
    seconds: float
    log: list[str]
    """The last lines that the processes have logged."""

    @property
    def holds(self) -> bool:
        """Whether nothing was broken."""
        return not self.broken


async def play(ground: Ground, forge: Forge, setting: Setting, scenario: Scenario, fault: Fault | None) -> Played:
    """Play a scenario in a database, with a proxy and with processes of its own."""
    started = trio.current_time()
    async with contextlib.AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="owlrunner-lab-")))
        url = await opened.enter_async_context(ground.database(empty=scenario.empty))
        db = await opened.enter_async_context(Database(make_conninfo(url, options=LOCK_PATIENCE), size=2))
        proxy = Proxy(opener_of(url), setting.hold)
        await opened.enter_async_context(proxy.serving())
        observer = await opened.enter_async_context(observing(url))
        (folder / "schedules.toml").write_text(DEFAULTS_OFF)
        arena = Arena(
            setting,
            forge,
            folder,
            url,
            proxy,
            observer,
            Jobs(db, ground.catalog),
            fault,
            opened.enter_context(contextlib.ExitStack()),
            environ=dict(scenario.environ),
        )
        await add_schedule(arena, SCHEDULE, JOB_TYPE, "skip")
        try:
            with trio.fail_after(LONGEST):
                await _play(arena, scenario)
        except trio.TooSlowError:
            arena.breaks(f"the case took more than {LONGEST:g} s")
        finally:
            for process in arena.processes:
                await process.kill()
        log = [f"{process.log.stem}: {line}" for process in arena.processes for line in process.lines[-TAIL:]]
        return Played(arena.broken, proxy.struck_at is not None, proxy.seen, trio.current_time() - started, log)


async def _play(arena: Arena, scenario: Scenario) -> None:
    async with trio.open_nursery() as nursery:
        if not scenario.empty:
            nursery.start_soon(Watch(arena).run)
        try:
            await scenario.act(arena)
            arena.proxy.disarm()
            if arena.server is not None and arena.server.exit_code is None:
                await _settle(arena, scenario)
        except (Broken, DatabaseTrouble) as broken:
            # The operator's own way in waits for locks, too.
            arena.breaks(str(broken))
        nursery.cancel_scope.cancel()
    if not scenario.empty:
        await audit(arena)


async def _settle(arena: Arena, scenario: Scenario) -> None:
    """Everything must be as before: slots are free, runs are executed, connections are clean, the server stops when told."""
    await arena.outlast_lease()
    await want_to_be_told(arena)
    await probe(arena, scenario.slots)
    await until_sent(arena)
    await check_connections(arena)
    await arena.stop_server()
