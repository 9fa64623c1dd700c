"""This is the room for pages that stay true while somebody looks at them: what of a page has changed, and the stream that tells it.

A page is made of parts, each an element with an id. What the browser has is told by a text of fingerprints, which goes back
and forth: with the page, with each event, and with the request for a stream. So a stream goes on where another ended, on any
server, and no server remembers anything for it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property, partial
from uuid import UUID

import attrs
import msgspec
from quart import Response, request

from owlrunner.errors import OwlRunnerError
from owlrunner.web.api import Api
from owlrunner.web.dashboard.visitor import Visitor, visitor
from owlrunner.web.fingerprints import fingerprint, split
from owlrunner.web.inputs import log_position
from owlrunner.web.shared_looks import Hold
from owlrunner.web.shares import party_of
from owlrunner.web.streams import CONTENT_TYPE, HEADERS, Sight, event

_TICKING = re.compile(r'(<(\w+)[^>]*?) data-(?:ticking|ago|left)="[^"]*"([^>]*>).*?</\2>', re.DOTALL)
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
        return cls(split(prints), after)


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

    @cached_property
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
        parts = {name: html for name, html in self.parts.items() if self.prints[name] not in seen.prints}
        lists = {name: ids for name, ids in self.lists.items() if self.prints[name] not in seen.prints}
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


TeamOf = Callable[[Visitor], Awaitable[UUID]]
"""Whose runs a page is about. Raises NotFound and PermissionDenied."""


async def answer(api: Api, look: Look, team_of: TeamOf) -> Response:
    """What the request wants: a stream of changes, or, from a browser that gets no stream, what has changed.

    Raises whatever ``look`` raises, and TooManyRequests.
    """
    seen = Seen.parse(request.headers.get("Last-Event-ID") or request.args.get("seen", ""))
    if CONTENT_TYPE not in request.headers.get("Accept", ""):
        view = await look(seen)
        change = view.beyond(seen) or Change(view.as_text, view.title, view.is_active, {}, {}, [])
        return Response(msgspec.json.encode(change), content_type="application/json")

    async def sight(hold: Hold) -> Sight:
        nonlocal seen
        async with hold():
            view = await look(seen)
        change = view.beyond(seen)
        if change is None:
            return Sight(b"", view.is_active)
        seen = Seen.parse(change.seen)
        return Sight(event(msgspec.json.encode(change), identity=change.seen), view.is_active)

    if request.method == "HEAD":
        await look(seen)
        return Response(b"", headers=HEADERS)
    who = await visitor(api.accounts)
    share = partial(api.admission.of, party_of(who.actor), searches=bool(request.args.get("q")))
    stream = await api.streams.open(sight, caller=who.actor.id, team=await team_of(who), share=share)
    response = Response(stream, headers=HEADERS)
    response.timeout = None
    return response


def _fingerprint(name: str, html: str) -> str:
    return fingerprint(name.encode(), _TICKING.sub(r"\1\3", html).encode())
