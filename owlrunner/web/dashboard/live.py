"""This is the room for pages that stay true while somebody looks at them: what of a page has changed, and the stream that tells it.

A page is made of parts, each an element with an id. What the browser has is told by a text of fingerprints, which goes back
and forth: with the page, with each event, and with the request for a stream. So a stream goes on where another ended, on any
server, and no server remembers anything for it.
"""

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import attrs
import msgspec
import trio
from quart import Response, request

from owlrunner.errors import DatabaseTrouble, OwlRunnerError, Refused, TooManyRequests
from owlrunner.storage.wakeups import Bell
from owlrunner.web.inputs import log_position

ACTIVE, CALM = 1.0, 5.0
"""Seconds between two looks: while something is active, and else. A ring is a reason to look at once."""
BREATH = 0.4
"""Seconds between two looks at least, however often it rings."""
SILENCE = 15.0
"""Seconds after which a stream that has nothing to tell says that it is alive, so that a lost connection is noticed."""
MOST_STREAMS = 500
BUSY_SECONDS = 30
_PRINT = 8
"""Characters of a fingerprint."""
_TICKING = re.compile(r"<(\w+)[^>]*\bdata-ticking\b.*?</\1>", re.DOTALL)
"""What the browser counts on by itself: that it is another number by now is no change."""


@attrs.frozen
class Seen:
    """What the browser has."""

    prints: frozenset[str] = frozenset()
    position: tuple[int, int] = (0, 0)
    """The last line of the log."""

    @classmethod
    def parse(cls, text: str) -> "Seen":
        """From ``as_text``. What cannot be read counts as nothing: then everything is sent."""
        prints, _, position = text.partition("~")
        try:
            after = log_position(position or None)
        except OwlRunnerError:
            return cls()
        return cls(frozenset(prints[at : at + _PRINT] for at in range(0, len(prints), _PRINT)), after)


@attrs.frozen
class View:
    """The live parts of a page as they are now."""

    title: str
    is_active: bool
    """Whether something will change by itself."""
    parts: Mapping[str, str]
    """The HTML of each, by the id of its element."""
    lists: Mapping[str, list[str]] = attrs.field(factory=dict)
    """Elements whose children are parts that come and go: the ids, in order."""
    lines: list[tuple[str, str]] = attrs.field(factory=list)
    """What comes at the end of the log, as parts."""
    position: tuple[int, int] = (0, 0)

    @property
    def prints(self) -> dict[str, str]:
        """The fingerprint of each part and list."""
        return {name: _fingerprint(name, html) for name, html in self.parts.items()} | {
            name: _fingerprint(name, " ".join(ids)) for name, ids in self.lists.items()
        }

    @property
    def as_text(self) -> str:
        """What a browser has that shows this."""
        attempt, seq = self.position
        return f"{''.join(self.prints.values())}~{attempt}.{seq}"

    def beyond(self, seen: Seen) -> "Change | None":
        """What the browser lacks; None where that is nothing."""
        prints = self.prints
        parts = {name: html for name, html in self.parts.items() if prints[name] not in seen.prints}
        lists = {name: ids for name, ids in self.lists.items() if prints[name] not in seen.prints}
        if not parts and not lists and not self.lines:
            return None
        return Change(self.as_text, self.title, self.is_active, parts, lists, self.lines)


class Change(msgspec.Struct, frozen=True):
    """What goes to the browser."""

    seen: str
    title: str
    active: bool
    parts: Mapping[str, str]
    lists: Mapping[str, list[str]]
    lines: list[tuple[str, str]]


Look = Callable[[Seen], Awaitable[View]]
"""Draws the live parts of one page, as one visitor sees it, with the lines of its log that the browser lacks."""


class Streams:
    """The open streams of one server."""

    def __init__(self, bell: Bell, stop: trio.Event) -> None:
        self._bell = bell
        self._stop = stop
        self._open = 0

    async def answer(self, look: Look) -> Response:
        """What the request wants: a stream of changes, or, from a browser that gets no stream, what has changed.

        Raises whatever ``look`` raises, and TooManyRequests.
        """
        seen = Seen.parse(request.headers.get("Last-Event-ID") or request.args.get("seen", ""))
        view = await look(seen)
        if "text/event-stream" not in request.headers.get("Accept", ""):
            change = view.beyond(seen) or Change(view.as_text, view.title, view.is_active, {}, {}, [])
            return Response(msgspec.json.encode(change), content_type="application/json")
        if self._open >= MOST_STREAMS:
            raise TooManyRequests("Too many pages are open on this server", retry_after=BUSY_SECONDS)
        # It may be asked for over a proxy, which must not gather what it gets.
        headers = {"X-Accel-Buffering": "no"}
        response = Response(self._events(look, seen, view), content_type="text/event-stream", headers=headers)
        response.timeout = None
        return response

    async def _events(self, look: Look, seen: Seen, view: View) -> AsyncIterator[bytes]:
        self._open += 1
        try:
            yield b"retry: 2000\n\n"
            last_word = trio.current_time()
            rung = self._bell.listen()
            while not self._stop.is_set():
                change = view.beyond(seen)
                if change is not None:
                    seen = Seen.parse(change.seen)
                    yield _event(change)
                    last_word = trio.current_time()
                elif trio.current_time() - last_word > SILENCE:
                    yield b": nothing new\n\n"
                    last_word = trio.current_time()
                await self._wait(rung, ACTIVE if view.is_active else CALM)
                # Listen before looking, so that no ring falls in between.
                rung = self._bell.listen()
                try:
                    view = await look(seen)
                except Refused:
                    # Signed out, no admin any more, or the run is gone: the page itself says what.
                    yield b"event: over\ndata:\n\n"
                    return
                except DatabaseTrouble:
                    # Nothing new can be told meanwhile.
                    view = attrs.evolve(view, lines=[])
        finally:
            self._open -= 1

    async def _wait(self, rung: trio.Event, seconds: float) -> None:
        """Until it is time to look again, or to stop."""
        with trio.move_on_after(BREATH):
            await self._stop.wait()
            return
        with trio.move_on_after(seconds - BREATH):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_at_stop, nursery.cancel_scope)
                await rung.wait()
                nursery.cancel_scope.cancel()

    async def _cancel_at_stop(self, scope: trio.CancelScope) -> None:
        await self._stop.wait()
        scope.cancel()


def _event(change: Change) -> bytes:
    return b"id: %s\ndata: %s\n\n" % (change.seen.encode(), msgspec.json.encode(change))


def _fingerprint(name: str, html: str) -> str:
    told = f"{name}\n{_TICKING.sub('', html)}".encode()
    return base64.urlsafe_b64encode(hashlib.blake2s(told, digest_size=_PRINT * 3 // 4).digest()).decode()
