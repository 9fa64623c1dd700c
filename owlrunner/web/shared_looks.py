"""Look once for all who want to know the same.

A ring wakes every stream of a team. Those with the same filters want the same runs, so one of them looks for all: whoever asks
before a look has begun is given what that look finds. Who asks later waits for the next one, because what rang may have happened
after the database was asked.
"""

from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

import attrs
import trio

from owlrunner.errors import TooManyRequests

Found = TypeVar("Found")
Hold = Callable[[], AbstractAsyncContextManager[object]]
"""What is held while the database is asked, and waited for before."""


@attrs.define(eq=False)
class _Waited(Generic[Found]):
    """A look that has not begun, and what it has found once it is over; nothing where it did not come to that."""

    over: trio.Event = attrs.field(factory=trio.Event)
    found: list[Found] = attrs.field(factory=list)
    busy: TooManyRequests | None = None
    """Why it did not, where the server has too much to do: then nobody else would come to it either, one after another."""


class SharedLooks(Generic[Found]):
    """The looks of one server that have not begun, by what they look for."""

    def __init__(self) -> None:
        self._waited: dict[Hashable, _Waited[Found]] = {}

    async def of(self, key: Hashable, look: Callable[[], Awaitable[Found]], hold: Hold) -> Found:
        """Return what a look finds that begins after now. Raises whatever ``look`` and ``hold`` raise."""
        while (waited := self._waited.get(key)) is not None:
            await waited.over.wait()
            if waited.found:
                return waited.found[0]
            if waited.busy is not None:
                raise TooManyRequests(str(waited.busy), retry_after=waited.busy.retry_after)
            # Who was looking has gone, or was refused, which may be no matter of ours.
        return await self._lead(key, look, hold)

    async def _lead(self, key: Hashable, look: Callable[[], Awaitable[Found]], hold: Hold) -> Found:
        waited = self._waited[key] = _Waited()
        try:
            async with hold():
                del self._waited[key]
                found = await look()
                waited.found.append(found)
                return found
        except TooManyRequests as busy:
            waited.busy = busy
            raise
        finally:
            if self._waited.get(key) is waited:
                del self._waited[key]
            waited.over.set()
