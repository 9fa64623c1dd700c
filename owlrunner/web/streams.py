"""This is the room for streams of server-sent events: when to look whether something is new, and when to end.

Nothing here remembers what a client has: that is for the look, which is told it by the client's last event id.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import NamedTuple
from uuid import UUID

import attrs
import trio

from owlrunner.errors import DatabaseTrouble, Refused, TooManyRequests
from owlrunner.storage.wakeups import Bell
from owlrunner.web.shared_looks import Hold

CONTENT_TYPE = "text/event-stream"
HEADERS = {
    "Content-Type": CONTENT_TYPE,
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    # A proxy in between must not gather what it gets.
    "X-Accel-Buffering": "no",
}
ACTIVE, CALM = 1.0, 5.0
"""Seconds between two looks: while something is active, and else. A ring is a reason to look at once."""
BREATH = 0.4
"""Seconds between two looks at least, however often it rings."""
GATHER = 0.01
"""Seconds from a wakening to its look."""
SILENCE = 15.0
"""Seconds after which a stream that has nothing to tell says that it is alive, so that a lost connection is noticed."""
MOST_STREAMS = 200
"""Of one server, which has a connection for each and needs others besides. When there are as many, the team that has most gives
one to a team that has fewer."""
MOST_OF_TEAM = 100
MOST_OF_CALLER = 20
"""Of one user or API key. Nobody needs so many: a browser opens one for each page that somebody looks at."""
BUSY_SECONDS = 30
BEGIN, ALIVE, OVER = b"retry: 2000\n\n", b": nothing new\n\n", b"event: over\ndata:\n\n"


class Sight(NamedTuple):
    """What a look has found."""

    events: bytes
    """What to send; nothing where nothing is new."""
    is_active: bool
    """Whether something will change by itself."""


Share = Callable[[], AbstractAsyncContextManager[None]]
Look = Callable[[Hold], Awaitable[Sight]]
"""Looks whether something is new, and holds what it is given while it asks the database."""


@attrs.define(eq=False)
class _Stream:
    """One open stream: what it looks at, what a look holds meanwhile, and whose it is."""

    look: Look
    share: Share
    caller: UUID
    team: UUID
    given_up: trio.Event = attrs.field(factory=trio.Event)
    """Set when its place is another's."""


class Streams:
    """The open streams of one server, ``most`` at once. ``bell`` rings when there may be something new; ``stop`` ends them all."""

    def __init__(self, bell: Bell, stop: trio.Event, most: int | None = None) -> None:
        self._wanted_most = most
        self._bell = bell
        self._stop = stop
        self._open: dict[_Stream, None] = {}
        """In the order in which they were opened."""

    @property
    def _most(self) -> int:
        return MOST_STREAMS if self._wanted_most is None else self._wanted_most

    async def open(
        self, look: Look, *, caller: UUID, team: UUID, share: Share = nullcontext
    ) -> AsyncGenerator[bytes, None]:
        """Look once, and return the events from then on. Whoever gets them must close the generator.

        ``caller`` is the user or the key, and ``team`` the team, in whose name it is open; ``share`` is what each later
        look holds, as a request would. A later look that is refused ends the stream with the event ``over``, and so does a
        stream of a team that has fewer when there is no room: the client asks anew, and is told why.

        Raises whatever the first look raises, and TooManyRequests.
        """
        stream = _Stream(look, share, caller, team)
        self._require_room(stream)
        rung = self._bell.listen()
        # The request has a share.
        sight = await look(nullcontext)
        # Others were opened meanwhile. From here to where this one is counted nobody else runs.
        self._require_room(stream)
        events = self._events(stream, sight, rung)
        await anext(events)
        return events

    def _require_room(self, new: _Stream) -> None:
        for is_full, whose in (
            (sum(one.caller == new.caller for one in self._open) >= MOST_OF_CALLER, "in your name"),
            (sum(one.team == new.team for one in self._open) >= MOST_OF_TEAM, "for this team"),
            (len(self._open) >= self._most and self._dispensable(new.team) is None, "on this server"),
        ):
            if is_full:
                raise TooManyRequests(f"Too many streams are open {whose}", retry_after=BUSY_SECONDS)

    def _dispensable(self, team: UUID) -> _Stream | None:
        """The oldest stream of the team that has most, if that has more than ``team`` would have with one more."""
        of_teams = Counter(one.team for one in self._open)
        largest = max(of_teams, key=of_teams.__getitem__)
        if of_teams[largest] <= of_teams[team] + 1:
            return None
        return next(one for one in self._open if one.team == largest)

    def _add(self, new: _Stream) -> None:
        if len(self._open) >= self._most and (old := self._dispensable(new.team)) is not None:
            del self._open[old]
            old.given_up.set()
        self._open[new] = None

    async def _events(self, stream: _Stream, sight: Sight, rung: trio.Event) -> AsyncGenerator[bytes, None]:
        self._add(stream)
        try:
            # A generator that was never begun would not come to its end.
            yield b""
            yield BEGIN
            last_word = trio.current_time()
            while not (self._stop.is_set() or stream.given_up.is_set()):
                if sight.events or trio.current_time() - last_word > SILENCE:
                    yield sight.events or ALIVE
                    last_word = trio.current_time()
                await self._wait(rung, stream, ACTIVE if sight.is_active else CALM)
                # Listen before looking, so that no ring falls in between.
                rung = self._bell.listen()
                try:
                    sight = await stream.look(partial(self._turn, stream))
                except (DatabaseTrouble, TooManyRequests):
                    # Nothing new can be told meanwhile.
                    sight = Sight(b"", sight.is_active)
                except Refused:
                    yield OVER
                    return
            if stream.given_up.is_set():
                yield OVER
        finally:
            self._open.pop(stream, None)

    @staticmethod
    @asynccontextmanager
    async def _turn(stream: _Stream) -> AsyncGenerator[None, None]:
        # Others that the same ring has woken come along, and one looks for all.
        await trio.sleep(GATHER)
        async with stream.share():
            yield

    async def _wait(self, rung: trio.Event, stream: _Stream, seconds: float) -> None:
        """Until it is time to look again, or to stop."""
        with trio.move_on_after(BREATH):
            await self._stop.wait()
            return
        with trio.move_on_after(seconds - BREATH):
            async with trio.open_nursery() as nursery:
                for ending in (self._stop, stream.given_up):
                    nursery.start_soon(_cancel_at, ending, nursery.cancel_scope)
                await rung.wait()
                nursery.cancel_scope.cancel()


async def _cancel_at(ending: trio.Event, scope: trio.CancelScope) -> None:
    await ending.wait()
    scope.cancel()


def event(data: bytes, *, name: str = "", identity: str = "") -> bytes:
    """One event. ``data`` is JSON, which has no line ends."""
    lines = [b"event: " + name.encode()] if name else []
    lines += [b"id: " + identity.encode()] if identity else []
    return b"\n".join([*lines, b"data: " + data]) + b"\n\n"
