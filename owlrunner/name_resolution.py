"""Resolve host names when the resolver is slow, silent, or away.

``getaddrinfo`` blocks a thread, and nobody can end it: a resolver that has fallen silent holds it for half a minute, a broken one
for ever. With one thread for each question, or a fixed number of threads for all, the questions of an outage would still
be in the way when the resolver is well again.

So whoever asks waits for an answer, not for a thread. Questions for one name are one: the first lookup that comes back answers all
who wait. Where none comes back another one is started beside it, at growing intervals. Until then, and where the resolver says
that it cannot tell now, the last answer counts: addresses change more rarely than resolvers fail.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeAlias

import attrs
import trio

Addresses: TypeAlias = list[tuple[Any, ...]]
"""What ``socket.getaddrinfo`` returns."""
Question: TypeAlias = tuple[Any, ...]
"""What it is asked: its arguments."""

STALE_AFTER = 0.5
"""Seconds without an answer after which the last one counts."""
RETRY_AFTER = 5.0
"""Seconds without an answer after which a second lookup is started; a third after twice as many more, and so on."""
MOST_LOOKUPS = 50
"""How many lookups may be under way in all. Each is a thread."""
MOST_KNOWN = 1_000
"""How many answers are kept."""
NOT_NOW = (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_MEMORY, socket.EAI_SYSTEM)
"""What is no answer: it says nothing about the name."""

logger = logging.getLogger(__name__)


@attrs.define(eq=False)
class _Asked:
    """A question that has not been answered."""

    answer: "Future[Addresses]" = attrs.field(factory=Future)
    since: float = attrs.field(factory=time.monotonic)
    lookups: int = 0
    next_lookup: float = 0.0
    is_told: bool = False
    """Whether the log says that there is no answer."""


class Resolver(trio.abc.HostnameResolver):
    """Answers whoever asks, in Trio and in threads.

    Installed by ``trio.socket.set_custom_hostname_resolver`` it serves everything in a Trio program, httpx included.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[Question, _Asked] = {}
        self._known: dict[Question, Addresses] = {}
        self._under_way = 0

    async def getaddrinfo(  # noqa: PLR0917 - Trio's signature
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> Addresses:
        """Return the addresses. Where there has never been an answer, wait for one without limit. Raises OSError."""
        question = (host, port, family, type, proto, flags)
        token = trio.lowlevel.current_trio_token()
        while True:
            asked = self._ask(question)
            if (patience := self._patience(question, asked)) > 0:
                done = trio.Event()
                asked.answer.add_done_callback(_teller(token, done))
                with trio.move_on_after(patience):
                    await done.wait()
            if (addresses := self._told(question, asked)) is not None:
                return addresses

    def getaddrinfo_blocking(self, *question: Any, timeout: float) -> Addresses:
        """Return the addresses, from a thread that may block for so many seconds. Raises OSError, TimeoutError included."""
        end = time.monotonic() + timeout
        while True:
            asked = self._ask(question)
            left = end - time.monotonic()
            wait([asked.answer], max(0, min(left, self._patience(question, asked))))
            if (addresses := self._told(question, asked)) is not None:
                return addresses
            if left <= 0:
                raise TimeoutError(f"{question[0]} was not resolved within {timeout:g} seconds")

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        """Return the name of an address: not looked after, because nothing of ours asks."""
        return await trio.to_thread.run_sync(socket.getnameinfo, sockaddr, flags, abandon_on_cancel=True)

    def _patience(self, question: Question, asked: _Asked) -> float:
        """Seconds to wait for the answer before something else is to be done."""
        if question not in self._known:
            return RETRY_AFTER
        # Who asks in the middle of an outage does not wait for what others have waited for.
        return max(0.0, asked.since + STALE_AFTER - time.monotonic())

    def _ask(self, question: Question) -> _Asked:
        """Return what will have the answer, and see that somebody looks for it."""
        with self._lock:
            asked = self._asked.setdefault(question, _Asked())
            now = time.monotonic()
            if now >= asked.next_lookup and self._under_way < MOST_LOOKUPS:
                thread = threading.Thread(
                    target=self._look_up, args=(question, asked), name=f"resolve {question[0]!r}", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError as error:
                    raise OSError(f"no thread is left to resolve {question[0]!r}: {error}") from error
                # Only what is under way counts. It cannot end before: for that it needs the lock.
                self._under_way += 1
                asked.lookups += 1
                asked.next_lookup = now + RETRY_AFTER * asked.lookups
            return asked

    def _look_up(self, question: Question, asked: _Asked) -> None:
        """Ask the system. Runs in a thread of its own."""
        addresses: Addresses | None = None
        problem: BaseException | None = None
        try:
            addresses = socket.getaddrinfo(*question)
        except BaseException as error:  # noqa: BLE001 - a name may be one that Python cannot encode; whoever asked is told
            problem = error
        with self._lock:
            self._under_way -= 1
            if addresses is not None:
                self._known.pop(question, None)
                self._known[question] = addresses
                while len(self._known) > MOST_KNOWN:
                    del self._known[next(iter(self._known))]
            if self._asked.get(question) is not asked:
                return  # Another lookup was quicker.
            del self._asked[question]
        if addresses is not None:
            asked.answer.set_result(addresses)
        else:
            asked.answer.set_exception(problem)

    def _told(self, question: Question, asked: _Asked) -> Addresses | None:
        """Return the answer, or the last one where there is none now; None to go on waiting. Raises what was answered."""
        is_done = asked.answer.done()
        problem = asked.answer.exception() if is_done else None
        if is_done and problem is None:
            return asked.answer.result()
        is_about_the_name = is_done and not (isinstance(problem, socket.gaierror) and problem.errno in NOT_NOW)
        known = None if is_about_the_name else self._known.get(question)
        if known is None and problem is not None:
            # It is everybody's who asked, and each of them adds to its traceback.
            raise problem.with_traceback(None)
        if known is not None and not asked.is_told:
            asked.is_told = True
            logger.warning("%s is not resolved now (%s): its last addresses count", question[0], problem or "no answer")
        return known


def _teller(token: trio.lowlevel.TrioToken, done: trio.Event) -> Callable[[object], None]:
    def tell(_: object) -> None:
        try:
            token.run_sync_soon(done.set, idempotent=True)
        except trio.RunFinishedError:
            return  # Nobody waits any more.

    return tell


RESOLVER = Resolver()
"""The process's own. What was known stays known when a server in the process is followed by another."""
