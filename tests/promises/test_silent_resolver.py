"""P15: a resolver that falls silent keeps no server from PostgreSQL, and forty blocked threads keep no name from being resolved."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import owlrunner
from owlrunner import name_resolution
from owlrunner.job_run import RunStatus
from tests.pooler import Pooled, needs_listen
from tests.promises.serving import Door, LogEar, Serve
from tests.promises.test_notifications import QUICK, offering, settled
from tests.relay import Relay

pytestmark = needs_listen


@pytest.fixture
def pooled(relay: Relay) -> Pooled:
    """Servers reach the database by the name of this machine."""
    places = {key: value for key, value in conninfo_to_dict(relay.conninfo).items() if key not in ("host", "hostaddr")}
    return lambda _: make_conninfo("", **places, host="localhost")


@pytest.fixture
def silent() -> Iterator[threading.Event]:
    """What ends the silence of the resolver."""
    ended = threading.Event()
    yield ended
    ended.set()


async def test_a_server_reaches_postgresql_by_the_last_address(
    door: Door, serve: Serve, relay: Relay, silent: threading.Event, monkeypatch: pytest.MonkeyPatch, log_ear: LogEar
) -> None:
    """While no name is resolved new connections stand all the same: a run is claimed, and a cancel is heard."""
    monkeypatch.setattr(name_resolution, "STALE_AFTER", 0.05)
    await serve(lease=6.0)
    await door.until(await door.trigger("polite"), RunStatus.COMPLETED)
    getaddrinfo = socket.getaddrinfo

    def hang(host: Any, *arguments: Any, **options: Any) -> Any:
        # Not for addresses: Trio asks for those on its own loop, which is right, because nobody is asked then.
        if host in {"localhost", b"localhost"}:
            silent.wait()
        return getaddrinfo(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    relay.silence()
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    relay.silence()
    await door.cancel(run_id)
    await door.until(run_id, RunStatus.CANCELLED)
    await log_ear.heard("localhost is not resolved now (no answer): its last addresses count")


async def test_blocked_threads_of_handlers_keep_no_name_from_being_resolved(
    door: Door, serve: Serve, silent: threading.Event
) -> None:
    """A notifier that connects by a name does so though handlers have taken every thread that Trio has for them."""

    class Caller:
        async def send(self, notification: owlrunner.Notification) -> None:
            """Connect somewhere by its name."""
            del notification
            assert await trio.socket.getaddrinfo("localhost", 80)

    await serve(offering(ear=Caller()), QUICK)
    limiter = trio.to_thread.current_default_thread_limiter()
    async with trio.open_nursery() as nursery:
        for _ in range(int(limiter.total_tokens)):
            nursery.start_soon(lambda: trio.to_thread.run_sync(silent.wait, abandon_on_cancel=True))
        await trio.testing.wait_all_tasks_blocked()
        assert limiter.available_tokens == 0
        await door.trigger("polite", params={"steps": 1})
        await settled(door, [("sent", 1, None)])
        silent.set()
