"""This is the room for running the whole demo in one process: a PostgreSQL, the stand-in RevenueCat, and a server on top."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import trio

from owlrunner.config import Config, DatabaseConfig, ServerConfig, load_config
from owlrunner.databases import open_database
from owlrunner.demo.customers import app_user_ids
from owlrunner.demo.revenuecat import Fault, StandIn, serve
from owlrunner.demo.town import Town, settle
from owlrunner.errors import ConfigError
from owlrunner.mail import Mailer
from owlrunner.plugins import Catalog, load_catalog
from owlrunner.server import Started, run_server
from owlrunner.storage.embedded import open_embedded
from owlrunner.storage.migration_files import wanted_migrations
from owlrunner.storage.migrations import migrate

HOST = "127.0.0.1"
SYNC_SECONDS = 20.0
"""How long one sync takes: long enough to watch it, and to cancel it."""
CONCURRENCY = 16
REQUESTS_PER_USER = 3
SHUTDOWN_GRACE = 2.0
LEASE = 10.0


@attrs.frozen
class DemoOptions:
    """How the demo shall be."""

    port: int
    data_dir: Path
    plugins: tuple[str, ...] = ()
    """Modules to load as plugins besides the installed ones."""
    sync_seconds: float = SYNC_SECONDS


@attrs.frozen
class Ready:
    """What one needs to use the demo; field names and order are what ``--json`` prints."""

    url: str
    api_key: str = attrs.field(repr=False)
    team_id: str
    project_id: str
    email: str
    database_url: str
    revenuecat_url: str


async def run_demo(options: DemoOptions, stop: trio.Event, on_ready: Callable[[Ready], None]) -> None:
    """Run everything until ``stop`` is set, then end it in an orderly way, PostgreSQL too.

    Raises ConfigError for a port that is taken and a data directory in use, and whatever ``run_server`` raises.
    """
    with _alone(options.data_dir):
        _require_free(options.port)
        _bypass_proxies()
        standin = _standin(options.sync_seconds)
        async with trio.open_nursery() as nursery:
            revenuecat_url = await nursery.start(serve, standin)
            config = _config(options, revenuecat_url)
            catalog = load_catalog(config.plugins, options.plugins, Mailer(config.mail))
            async with open_embedded(options.data_dir) as database_url:
                config = attrs.evolve(config, database=DatabaseConfig(url=database_url, data_dir=options.data_dir))
                town = await _prepared(config, catalog, standin)
                async with trio.open_nursery() as inner:
                    started = await inner.start(run_server, config, catalog, stop)
                    on_ready(_ready(started, town, revenuecat_url))
            nursery.cancel_scope.cancel()


async def _prepared(config: Config, catalog: Catalog, standin: StandIn) -> Town:
    async with open_database(config, config.database.url, 2) as db:
        await migrate(db, wanted_migrations(catalog))
        return await settle(db, config.database.data_dir / "demo.json", standin.api_key, app_user_ids())


def _ready(started: Started, town: Town, revenuecat_url: str) -> Ready:
    return Ready(
        url=started.url,
        api_key=town.api_key,
        team_id=str(town.team_id),
        project_id=str(town.project_id),
        email=town.email,
        database_url=started.database_url,
        revenuecat_url=revenuecat_url,
    )


def _config(options: DemoOptions, revenuecat_url: str) -> Config:
    """What the environment says, about mail and alerts for instance, with the demo's own places. No file is read."""
    given = load_config(Path(os.devnull))
    return attrs.evolve(
        given,
        # A name of its own: the next demo takes the runs of a killed one at once, whatever its port.
        server=ServerConfig(name="demo", lease=LEASE, shutdown_grace=SHUTDOWN_GRACE),
        web=attrs.evolve(given.web, host=HOST, port=options.port, show_codes=True),
        plugins=given.plugins | {"revenuecat": _settings(revenuecat_url, options.sync_seconds)},
    )


def _standin(sync_seconds: float) -> StandIn:
    """The stand-in, which loses patience once."""
    standin = StandIn(latency=sync_seconds / 400)
    standin.faults.append(
        Fault(kind="customer", status=429, headers={"Retry-After": "1"}, backoff_ms=1000, times=1, after=150)
    )
    return standin


def _settings(revenuecat_url: str, sync_seconds: float) -> dict[str, Any]:
    """The plugin's settings. Its limit sets the pace, so that a sync takes as long on any machine."""
    requests = REQUESTS_PER_USER * len(app_user_ids())
    return {
        "api_url": revenuecat_url,
        "concurrency": CONCURRENCY,
        "customer_requests_per_minute": max(60, min(1_000_000, int(requests * 60 / max(sync_seconds, 0.1)))),
    }


@contextlib.contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Two demos on one data directory would take each other's runs. The kernel gives back the lock of a killed one."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data_dir / "demo.lock").open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"a demo is running already in {data_dir}: stop it, or choose another place with --data-dir and --port"
            ) from None
        yield


def _require_free(port: int) -> None:
    """Find out first what a server would find out after PostgreSQL has started."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
            trial.listen()
        except OSError as error:
            raise ConfigError(f"port {port} cannot be opened ({error.strerror}): choose another with --port") from None


def _bypass_proxies() -> None:
    """A proxy of the network knows nothing of the stand-in on this machine."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), HOST]))
