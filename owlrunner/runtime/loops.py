"""Put the runtime's loops together: who needs what of whom, in which order they start, and how they end."""

import logging
from collections.abc import Mapping
from functools import partial
from uuid import UUID

import attrs
import trio

from owlrunner.config import Config
from owlrunner.errors import DatabaseTrouble
from owlrunner.notification import Notifier
from owlrunner.plugins import Catalog
from owlrunner.runtime.delivery import Deliverer, Delivery
from owlrunner.runtime.execution import Cut
from owlrunner.runtime.handler_connections import HandlerConnections
from owlrunner.runtime.heartbeat import Heartbeat
from owlrunner.runtime.held_runs import HeldRuns
from owlrunner.runtime.loop_health import LoopHealth
from owlrunner.runtime.recorder import Recorder
from owlrunner.runtime.recovery import keep_recovering, recover_at_start
from owlrunner.runtime.run_logs import CaughtRunLogs
from owlrunner.runtime.scheduler import Scheduler
from owlrunner.runtime.worker import Worker
from owlrunner.storage import notifications, servers
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import Registration
from owlrunner.storage.wakeups import Bell, Wakeups

CUT_PATIENCE = 10.0
"""Seconds after which a handler that was cut at shutdown, and has still not ended, is told in the log."""
SEND_PATIENCE = 5.0
"""Seconds that notifications on their way get at shutdown; what is not sent by then, the next server sends."""
LEAVE_DELAY = 0.5
DRAIN_PATIENCE = 15.0
"""Seconds that the last outcomes get to be written at shutdown when the database is away."""

logger = logging.getLogger(__name__)


@attrs.frozen
class Loops:
    """The loops of one server."""

    db: Database
    wakeups: Wakeups
    held: HeldRuns
    recorder: Recorder
    heartbeat: Heartbeat
    worker: Worker
    scheduler: Scheduler
    delivery: Delivery
    health: LoopHealth
    recovery: Bell

    @classmethod
    def assemble(  # noqa: PLR0917 - each is another part of the server
        cls,
        config: Config,
        catalog: Catalog,
        db: Database,
        registration: Registration,
        notifiers: Mapping[str, Notifier],
        logs: CaughtRunLogs,
    ) -> "Loops":
        """Make them; nothing runs yet."""
        wakeups = Wakeups()
        health = LoopHealth()
        recovery = Bell()
        look = wakeups.pending.ring
        lease = config.server.lease
        held = HeldRuns(capacity=config.server.capacity)
        scheduler = Scheduler(
            db,
            job_types=catalog.job_types,
            bell=Bell(),
            on_triggered=look,
            # Not the method itself: the heartbeat comes later.
            joined=lambda: heartbeat.joined(),  # noqa: PLW0108
            on_round=partial(health.came_round, "fire schedules"),
        )
        recorder = Recorder(db, on_requeued=look, on_ended=scheduler.run_has_ended)

        async def settle(server_id: UUID) -> None:
            """Write what ended under a lost registration, and give back what was never started."""
            with trio.move_on_after(lease):
                await recorder.drained()
            await worker.release_unstarted(server_id)

        def on_return() -> None:
            look()
            recovery.ring()

        heartbeat = Heartbeat(
            db,
            registration,
            held=held,
            stall_limit=config.server.stall_limit,
            exit_when_stalled=config.server.exits_when_stalled,
            pooled=config.server.wakeups == "poll",
            on_return=on_return,
            settle=settle,
        )
        worker = Worker(
            db,
            job_types=catalog.job_types.values(),
            held=held,
            recorder=recorder,
            connections=HandlerConnections(db, config.database.handler_connections, lease / 3),
            bell=wakeups.pending,
            held_bell=wakeups.held,
            membership=heartbeat,
            logs=logs,
            longest_sleep=config.server.longest_sleep,
            check_interval=lease / 2,
            on_round=partial(health.came_round, "claim"),
        )
        delivery = Delivery(
            db,
            Deliverer(notifiers, catalog.job_types, config.web.public_url),
            config.notifications,
            bell=wakeups.notifications,
            joined=heartbeat.joined,
            longest_sleep=config.server.longest_sleep,
            on_round=partial(health.came_round, "deliver"),
        )
        return cls(db, wakeups, held, recorder, heartbeat, worker, scheduler, delivery, health, recovery)

    def late(self) -> list[str]:
        """Return what keeps this server from its work: loops that do not come round, and a lease that is lost."""
        return self.health.late() + ([] if self.heartbeat.is_member else ["heartbeat: the lease is lost"])

    async def start_services(self, services: trio.Nursery, config: Config) -> None:
        """Register, recover, and start what must outlive the runs. Returns when a port may be opened."""
        lease = config.server.lease
        came_round = self.health.came_round
        await services.start(self.heartbeat.run)
        after = config.server.fail_waiting_after
        await recover_at_start(self.db, self.heartbeat.server_id, lease if after is None else after)
        services.start_soon(self.recorder.run, partial(came_round, "record"))
        services.start_soon(self.delivery.run)
        services.start_soon(
            self.held.hear_news,
            self.db,
            self.wakeups.held,
            min(lease / 3, config.server.longest_sleep),
            partial(came_round, "hear cancel requests"),
        )
        services.start_soon(
            keep_recovering,
            self.db,
            self.recovery,
            lease / 2,
            self.wakeups.pending.ring,
            partial(came_round, "recover"),
        )
        if config.server.wakeups == "listen":
            listen = partial(self.wakeups.run, silence=lease * 2 / 3, on_alive=partial(came_round, "listen"))
            await services.start(listen, self.db)

    async def claim(self, runs: trio.Nursery, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        """Claim runs into the nursery until the scope that is told is cancelled."""
        with trio.CancelScope() as claiming:
            task_status.started(claiming)
            await self.worker.claim(runs)

    async def fire(self, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        """Fire schedules until the scope that is told is cancelled."""
        with trio.CancelScope() as firing:
            task_status.started(firing)
            await self.scheduler.run()

    async def end_runs(self, grace: float) -> None:
        """Let runs end, cut those that do not, and name those that cannot be cut."""
        with trio.move_on_after(grace):
            await self.held.all_ended()
        self.held.cut_off(Cut.SHUTDOWN)
        with trio.move_on_after(CUT_PATIENCE):
            await self.held.all_ended()
        for attempt in self.held:
            # Its slot must not be freed while it works, so we keep waiting, with the lease alive; the supervisor may kill us.
            logger.error(
                "run %s of %s does not end although its cancel scope was cancelled; waiting for it",
                attempt.ctx.run_id,
                attempt.job_type.name,
            )

    async def end_services(self, lease: float) -> None:
        """Write the last outcomes, let what is being sent be sent, and leave the living, each with a limit."""
        server_id = self.heartbeat.server_id
        # Past the lease nothing of ours counts any more.
        with trio.move_on_after(min(DRAIN_PATIENCE, lease)) as waiting:
            await self.recorder.drained()
            with trio.move_on_after(min(SEND_PATIENCE, lease / 2)):
                await self.delivery.all_settled()
            await self._leave(server_id)
        if waiting.cancelled_caught:
            logger.error("the database did not come back in time: %r", self.recorder)

    async def _leave(self, server_id: UUID) -> None:
        """Give back what belongs to this server. Where the database is away, others do that when the lease has run out."""
        while True:
            try:
                async with self.db.session() as session:
                    await notifications.release(session, server_id)
                    await servers.leave(session, server_id)
            except DatabaseTrouble as error:
                logger.warning("cannot leave: %s", error)
                await trio.sleep(LEAVE_DELAY)
            else:
                return
