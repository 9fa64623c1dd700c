"""Drive one psycopg connection with Trio.

psycopg's protocol code is generators that yield "wait until this socket is readable or writable". TrioConnection drives them
with Trio. What it overrides is private to psycopg 3.3 in places, so tests/storage/test_postgres.py is the contract.

Every wait ends. Connecting has a limit for each host, resolving its name included. With ``answer_within`` each exchange with the
server has one; when it is over the connection is closed, because an answer that comes late would be taken for the next one's. Where
a statement may take hours, ``watch`` is asked instead whether the server is at work on it (see long_statements), and the kernel
gives up a peer that has vanished (keepalives, ``tcp_user_timeout``).
"""

import logging
import select
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import Any, Protocol, Self, TypeVar, cast

import msgspec
import psycopg
import trio
from psycopg import AsyncConnection, Notify, pq
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg.waiting import Ready, Wait

from owlrunner.storage.addresses import attempts_for

RV = TypeVar("RV")

MOST_DOUBTS = 2
"""An answer may cross the first look."""
CONNECT_WITHIN = 10.0
"""Seconds that a host gets to let us in, where nothing is said."""
LONGEST_PAUSE = 60.0
"""Seconds between two looks at a statement that goes on and on."""
CANCEL_PATIENCE = 5.0
"""Seconds that a cancelled statement gets to end in the server before its connection is closed instead."""
VANISHED_PEER: dict[str, int] = {
    "keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000,
}  # fmt: skip
"""libpq's limits for a peer that has vanished: idle for 10 + 3 * 5 seconds, or 20 seconds (in ms) without acknowledgement."""

logger = logging.getLogger(__name__)


class _Adapted:
    """psycopg's way to read and write JSON by msgspec on our connections only; the process may use psycopg for itself."""

    connection = None
    adapters = AdaptersMap(psycopg.adapters)


set_json_loads(msgspec.json.decode, _Adapted())
set_json_dumps(msgspec.json.encode, _Adapted())


class _OneTask:
    """Stands in for psycopg's asyncio lock: a connection belongs to one task at a time, so waiting for it is a mistake."""

    def __init__(self) -> None:
        self._held = False

    async def __aenter__(self) -> None:
        if self._held:
            raise trio.BusyResourceError("another task is using this connection")
        self._held = True

    async def __aexit__(self, *_: object) -> None:
        self._held = False


class Watch(Protocol):
    """Looks after the statements of one connection, from another one."""

    @property
    def interval(self) -> float:
        """Seconds without an answer after which to look, and again and again."""

    async def is_working(self) -> bool:
        """Whether the server is executing a statement of the connection, or may be."""

    async def end(self) -> None:
        """End the connection's session in the server, if that can be done."""


class TrioConnection(AsyncConnection[Any]):
    """A psycopg connection for Trio. When its task is cancelled in the middle of a statement, the server is told so."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lock = _OneTask()  # type: ignore[assignment]
        self._adapters = AdaptersMap(_Adapted.adapters)
        self.answer_within: float | None = None
        """Seconds for each exchange with the server, after which the connection is closed; None for no limit."""
        self.watch: Watch | None = None
        """Knows whether the server is at work on a statement that has not been answered."""
        self.gave_up_waiting = False
        """Whether it was closed because an answer did not come within ``answer_within``."""

    @classmethod
    async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        """Connect; each host of ``conninfo`` gets its ``connect_timeout`` or CONNECT_WITHIN, and so does resolving their names.

        Raises psycopg.OperationalError.
        """
        autocommit = kwargs.pop("autocommit", False)
        prepare_threshold = kwargs.pop("prepare_threshold", 5)
        params = VANISHED_PEER | conninfo_to_dict(conninfo, **kwargs)
        limit = float(params.pop("connect_timeout", None) or 0)
        # For libpq nothing and less is no limit, and here every wait ends.
        seconds = limit if limit > 0 else CONNECT_WITHIN
        failures: list[str] = []
        for attempt in await attempts_for(params, seconds):
            try:
                with trio.fail_after(seconds):
                    connection = await _drive_connecting(cls._connect_gen(make_conninfo("", **attempt)))
            except trio.TooSlowError:
                failures.append(f"no answer within {seconds:g} seconds from {attempt.get('host')}")
            except psycopg.OperationalError as error:
                failures.append(str(error))
            else:
                if connection.pgconn.parameter_status(b"in_hot_standby") == b"on":
                    failures.append(f"{attempt.get('host')} is a standby, which takes no writes")
                    connection.hang_up()
                    continue
                connection._autocommit = autocommit  # noqa: SLF001 - nothing has been sent yet, so no transaction can be open
                connection.prepare_threshold = prepare_threshold
                return connection
        raise psycopg.OperationalError("; ".join(failures))

    def hang_up(self) -> None:
        """Close at once. psycopg's ``close()`` does the same, but must be awaited, which a cancelled task cannot do."""
        self._closed = True
        self.pgconn.finish()

    async def notifies(self, *, timeout: float | None = None, stop_after: int | None = None) -> AsyncGenerator[Notify]:
        """Yield notifications as they come in, those first that came with the answer to an earlier statement."""
        # psycopg waits for the socket before it looks, and what lies in libpq's buffer already wakes no socket.
        while waiting := self.pgconn.notifies():
            if self.pgconn.notify_handler is not None:
                self.pgconn.notify_handler(waiting)
        async with aclosing(super().notifies(timeout=timeout, stop_after=stop_after)) as coming:
            async for notify in coming:
                yield notify

    async def wait(self, gen: Generator[Any, Any, RV], interval: float = 0.0, timeout: float | None = None) -> RV:  # noqa: ARG002
        """Drive one of psycopg's protocol generators; ``interval`` is for event loops that cannot be cancelled."""
        limit = self.answer_within if timeout is None else timeout
        try:
            if limit is None:
                return await (
                    _drive(gen, self.pgconn.socket) if self.watch is None else self._drive_watched(gen, self.watch)
                )
            with trio.fail_after(limit):
                return await _drive(gen, self.pgconn.socket)
        except trio.TooSlowError:
            if timeout is not None:
                # psycopg's own signal, upon which it gives up waiting and goes on.
                raise psycopg.errors._WaitTimeout from None  # noqa: SLF001
            self.gave_up_waiting = True
            self.hang_up()
            raise psycopg.OperationalError(f"no answer within {limit:g} seconds") from None
        except trio.Cancelled:
            if self.pgconn.status == pq.ConnStatus.OK and self.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
                await self._end_statement(gen)
            raise

    async def _drive_watched(self, gen: Generator[Any, Any, RV], watch: Watch) -> RV:
        """Run a generator, and give it up when the server turns out to be executing nothing, twice in a row."""
        doubts, pause = 0, watch.interval
        try:
            wanted = next(gen)
            while doubts < MOST_DOUBTS:
                with trio.move_on_after(pause) as waiting:
                    ready = await _ready(self.pgconn.socket, wanted)
                if not waiting.cancelled_caught:
                    wanted = gen.send(ready)
                elif self.pgconn.transaction_status != pq.TransactionStatus.ACTIVE or await watch.is_working():
                    # Either way somebody waits for what will come: who waits for notifications has no statement under way.
                    doubts, pause = 0, min(pause * 1.5, max(LONGEST_PAUSE, watch.interval))
                else:
                    doubts, pause = doubts + 1, watch.interval
        except StopIteration as end:
            return cast(RV, end.value)
        self.hang_up()
        await watch.end()
        raise psycopg.OperationalError("the answer was lost: the server is not executing the statement any more")

    async def _end_statement(self, gen: Generator[Any, Any, Any]) -> None:
        """Cancel the running statement in the server and read its end, or close the connection.

        Left alone, the statement would go on in the server with nobody waiting for it, and the connection would be stuck in
        ACTIVE. Shielded, because our task is already cancelled; bounded, because the server may be the reason.
        """
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CANCEL_PATIENCE):
            try:
                await _drive_connecting(self._cancel_gen())
                await _drive(gen, self.pgconn.socket)
            except psycopg.errors.QueryCanceled:
                return  # as it should be
            except psycopg.Error as error:
                logger.warning("closing a connection whose statement could not be cancelled: %s", error)
                self.hang_up()
                return
            return  # the statement was quicker than the cancel request
        logger.warning(
            "closing a connection whose statement did not end within %g seconds of being cancelled", CANCEL_PATIENCE
        )
        self.hang_up()


async def _drive(gen: Generator[Any, Any, RV], fileno: int) -> RV:
    """Run a generator that waits for one socket."""
    try:
        wanted = next(gen)
        while True:
            wanted = gen.send(await _ready(fileno, wanted))
    except StopIteration as end:
        return cast(RV, end.value)


async def _drive_connecting(gen: Generator[Any, Any, RV]) -> RV:
    """Run a generator that says with each wait which socket it means: libpq changes it while connecting."""
    try:
        fileno, wanted = next(gen)
        while True:
            fileno, wanted = gen.send(await _ready(fileno, wanted))
    except StopIteration as end:
        return cast(RV, end.value)


async def _ready(fileno: int, wanted: int) -> Ready:
    """Wait until the socket is ready for what is wanted, and say for what."""
    if wanted == Wait.R:
        await trio.lowlevel.wait_readable(fileno)
        return Ready.R
    if wanted == Wait.W:
        await trio.lowlevel.wait_writable(fileno)
        return Ready.W
    ready = 0

    async def wait(waiting: Any, flag: int) -> None:
        nonlocal ready
        await waiting(fileno)
        ready |= flag
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, trio.lowlevel.wait_readable, Ready.R)
        nursery.start_soon(wait, trio.lowlevel.wait_writable, Ready.W)
    return Ready(ready)


def is_clean(connection: TrioConnection) -> bool:
    """Whether a connection can serve the next task: alive, and no transaction left open."""
    return not connection.closed and connection.pgconn.transaction_status == pq.TransactionStatus.IDLE


def has_hung_up(connection: TrioConnection) -> bool:
    """Whether the server closed an idle connection meanwhile.

    A server that stops says so before it hangs up, so an idle socket with something to read is a dead one. One system call,
    no round trip; what breaks later is told by the statement.
    """
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))
