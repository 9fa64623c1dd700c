"""Run a server: everything opened in order, run in nested nurseries, and closed in reverse.

Shutdown is nesting. The intake (web, claiming) ends first; runs get their grace and are then cut; the services that keep
leases and write outcomes end last, when there is nothing left to write.
"""

import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from uuid import UUID, uuid4

import attrs
import trio

from owlrunner.accounts import Accounts, RecentCallers, SignUp
from owlrunner.config import Config, WebConfig
from owlrunner.databases import bring_schema, open_database, open_database_url, open_runtime_database
from owlrunner.errors import ConfigError, DatabaseTrouble, PluginError, RunsCancelled
from owlrunner.fingerprint import fingerprint_of
from owlrunner.forked_children import closed_in_children, default_signals_in_children
from owlrunner.jobs import Jobs
from owlrunner.mail import Mailer
from owlrunner.name_resolution import RESOLVER
from owlrunner.plugins import Catalog
from owlrunner.process_signals import Hangups, noted_hangups
from owlrunner.process_upkeep import keep_process
from owlrunner.runtime.loops import Loops
from owlrunner.runtime.run_logs import caught_run_logs
from owlrunner.runtime.scheduler import Scheduler
from owlrunner.runtime.trio_guard import make_nurseries_safe
from owlrunner.schedule import Schedule
from owlrunner.schedules_file import read_schedules
from owlrunner.storage import notifications
from owlrunner.storage.servers import Registration
from owlrunner.version import VERSION
from owlrunner.web.app import Application, build_app
from owlrunner.web.login_codes import LoginMails, login_mails
from owlrunner.web.serving import serve_web
from owlrunner.web.streams import Streams

logger = logging.getLogger(__name__)


@attrs.frozen
class Started:
    """What a server tells once its port is open (``url`` is empty without a web side)."""

    url: str
    database_url: str
    server_id: UUID


async def run_server(
    config: Config,
    catalog: Catalog,
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[Started] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run one server until ``stop`` is set, then shut it down in an orderly way. Ready when its port is open.

    Raises ConfigError, SchemaOutdated, SchemaTooNew, DatabaseTrouble before it is ready, Superseded and RunsCancelled afterwards.
    """
    if config.server.schedules is not None:
        # It is read again at each SIGHUP, and by then a handler may have changed the folder.
        config = attrs.evolve(config, server=attrs.evolve(config.server, schedules=config.server.schedules.absolute()))
    async with contextlib.AsyncExitStack() as opened:
        # Bound first, listening last: a port that is taken must be found out before this server supersedes the one that has it.
        port = opened.enter_context(_bound(config.web)) if config.web.enabled else None
        opened.enter_context(default_signals_in_children())
        # Also for what plugins connect to: Trio's own way takes a thread of the handlers' for each name.
        opened.callback(trio.socket.set_custom_hostname_resolver, trio.socket.set_custom_hostname_resolver(RESOLVER))
        hangups = opened.enter_context(noted_hangups())
        url = await opened.enter_async_context(open_database_url(config))
        api_db = await opened.enter_async_context(open_database(config, url, config.database.pool_size, "api"))
        # One connection, for /ready: what a crowd of requests waits for says nothing about the database.
        probe = await opened.enter_async_context(open_database(config, url, 1, "probe"))
        db = await opened.enter_async_context(open_runtime_database(config, url))
        await bring_schema(config, db, catalog)
        make_nurseries_safe()
        logs = opened.enter_context(caught_run_logs())
        wanted = _schedules(config, catalog)
        notifiers = catalog.named_notifiers(config.notifications.notifiers)
        async with db.session() as session:
            await notifications.set_rules(session, config.notifications, sorted(notifiers))
        loops = Loops.assemble(config, catalog, db, _registration(config, catalog, port), notifiers, logs)
        await loops.scheduler.replace(wanted, owns_file=config.server.schedules is not None)
        if config.web.enabled and not config.mail.host and not config.web.show_codes:
            logger.warning("mail.host is not set: login codes, and whatever is mailed besides, are written to this log")
        accounts = Accounts(api_db, RecentCallers(config.server.remember_callers), SignUp.of(config.web))
        async with trio.open_nursery() as services:
            services.start_soon(keep_process)
            await loops.start_services(services, config)
            services.start_soon(accounts.recent.forget_at, loops.wakeups.accounts)
            # Around the runs: their time to end does not wait for clients.
            async with trio.open_nursery() as serving, _nursery_of_runs(stop) as runs:
                async with trio.open_nursery() as intake:
                    web_url = ""
                    if port is not None:
                        build = partial(
                            build_app,
                            Jobs(api_db, catalog),
                            accounts,
                            config=config,
                            missing=loops.late,
                            streams=Streams(loops.wakeups.pending, stop, config.web.max_connections * 2 // 5),
                            probe=probe,
                        )
                        web_url = await serving.start(_serve, build, accounts, config, port, stop)
                    claiming = await intake.start(loops.claim, runs)
                    firing = await intake.start(loops.fire)
                    reloading = await intake.start(_reload_on_hangup, config, catalog, loops.scheduler, hangups)
                    server_id = loops.heartbeat.server_id
                    logger.info("server %s is ready%s", server_id, f" at {web_url}" if web_url else "")
                    task_status.started(Started(web_url, url, server_id))
                    await stop.wait()
                    logger.info("stopping: %d runs have %g s to end", len(loops.held), config.server.shutdown_grace)
                    for loop in (reloading, firing, claiming):
                        loop.cancel()
                await loops.end_runs(config.server.shutdown_grace)
            await loops.end_services(config.server.lease)
            services.cancel_scope.cancel()
    if runs.cancel_scope.cancel_called:
        raise RunsCancelled(
            "the server has ended: a handler has cancelled the nursery of all runs, which is not its own"
        )
    logger.info("stopped")


async def _serve(
    build: Callable[[LoginMails], Application],
    accounts: Accounts,
    config: Config,
    port: socket.socket,
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[str],
) -> None:
    """Serve the web side; the mails that its requests have asked for may end after them."""
    async with login_mails(accounts, Mailer(config.mail)) as mails:
        await serve_web(build(mails), config.web, port, stop, task_status=task_status)


@contextlib.asynccontextmanager
async def _nursery_of_runs(stop: trio.Event) -> AsyncIterator[trio.Nursery]:
    """The nursery of all runs. Nothing here cancels it, but each run's task can reach it; then the server stops."""
    async with trio.open_nursery() as runs:
        yield runs
    stop.set()


def _registration(config: Config, catalog: Catalog, port: socket.socket | None) -> Registration:
    where = f":{port.getsockname()[1]}" if port is not None else f"#{os.getpid()}"
    return Registration(
        id=uuid4(),
        name=config.server.name or f"{socket.gethostname()}{where}",
        version=VERSION,
        job_types=sorted(catalog.job_types),
        fingerprints=[fingerprint_of(job_type) for _, job_type in sorted(catalog.job_types.items())],
        capacity=config.server.capacity,
        lease=config.server.lease,
    )


@contextlib.contextmanager
def _bound(web: WebConfig) -> Iterator[socket.socket]:
    """A socket that has its address but does not listen yet."""
    family = socket.AF_INET6 if ":" in web.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            port.bind((web.host, web.port))
        except OSError as error:
            raise ConfigError(f"web.host, web.port: {web.host}:{web.port} cannot be opened: {error.strerror}") from None
        except UnicodeError:
            raise ConfigError(f"web.host: {web.host!r} is neither an address nor a host name") from None
        with closed_in_children(port.fileno()):
            yield port


def _schedules(config: Config, catalog: Catalog) -> list[Schedule]:
    """What recurs; the log tells what could and does not."""
    schedules = read_schedules(config.server.schedules, catalog)
    for name, reason in schedules.off.items():
        logger.info("schedule %s is off: %s", name, reason)
    return schedules.wanted


async def _reload_on_hangup(
    config: Config,
    catalog: Catalog,
    scheduler: Scheduler,
    hangups: Hangups,
    *,
    task_status: trio.TaskStatus[trio.CancelScope],
) -> None:
    """Read the file of schedules again at each SIGHUP; a bad one changes nothing and says why."""
    with trio.CancelScope() as reloading:
        task_status.started(reloading)
        while True:
            await hangups.next()
            try:
                wanted = _schedules(config, catalog)
                await scheduler.replace(wanted, owns_file=config.server.schedules is not None)
            except (ConfigError, PluginError, DatabaseTrouble) as error:
                logger.error("the schedules stay as they were: %s", error)  # noqa: TRY400 - a sentence for the owner, no traceback
            else:
                logger.info("the schedules were read again: %d hold now", len(wanted))
