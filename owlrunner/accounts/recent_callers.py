"""This is the room for remembering who has just been asked after, so that a busy key does not cost a question a request."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import trio

from owlrunner.accounts.credentials import Caller
from owlrunner.storage.wakeups import Bell

MOST = 10_000


class _Known(NamedTuple):
    caller: Caller
    until: float


class RecentCallers:
    """Callers by the hash of their credential, for ``seconds``; 0 remembers nobody. Refusals are not remembered."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._known: dict[str, _Known] = {}

    async def resolve(self, credential_hash: str, ask: Callable[[str], Awaitable[Caller]]) -> Caller:
        """The caller, remembered or asked for. Raises what ``ask`` raises."""
        known = self._known.get(credential_hash)
        if known is not None and known.until > trio.current_time():
            return known.caller
        # The answer goes to those that were known when the question was asked: if these are forgotten meanwhile, so is it.
        # Otherwise an answer from before a change could outlive the change's ring.
        then = self._known
        caller = await ask(credential_hash)
        if self._seconds:
            if len(then) >= MOST:
                then.clear()
            then[credential_hash] = _Known(caller, trio.current_time() + self._seconds)
        return caller

    def forget(self) -> None:
        """Something about somebody has changed: ask anew."""
        self._known = {}

    async def forget_at(self, bell: Bell) -> None:
        """Forget at each ring, for ever."""
        while True:
            await bell.listen().wait()
            self.forget()
