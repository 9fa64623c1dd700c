"""Share what a server can do at once among those who ask, so that whoever asks for much waits for itself.

A *party* is a user, or a team by its keys. Each request of a party holds a share while it is worked on. A party has only some of
the shares, so that others find one however long its requests take. What finds none waits; a share that becomes free goes to the
party that holds fewest, and among those who hold as many they take turns.
"""

from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import attrs
import trio

from owlrunner.actor import TeamActor, UserActor
from owlrunner.errors import ServerBusy, TooManyRequests

PATIENCE = 5.0
"""Seconds that a request waits for a share."""
MOST_WAITING = 250
"""Requests that wait, of all parties. Each has a connection, so they must not be as many as a server has."""
RETRY_AFTER = 1


def party_of(actor: TeamActor) -> UUID:
    """In whose name an actor asks: a user's own, or its team's for an API key, because a team can make as many as it likes."""
    return actor.id if isinstance(actor, UserActor) else actor.team_id


@attrs.define(eq=False)
class _Turn:
    """A request that waits."""

    over: trio.Event = attrs.field(factory=trio.Event)
    """Set when it waits no longer."""
    is_refused: bool = False
    """Its place was another's."""


class Shares:
    """``most`` shares, of which one party holds ``most_of_one`` at once, while ``most_waiting`` requests wait for one.

    When so many wait, the newest of the party of which most wait gives its place to a party of which fewer wait.
    """

    def __init__(self, most: int, most_of_one: int, most_waiting: int = MOST_WAITING) -> None:
        self.most = most
        self._most_of_one = most_of_one
        self._most_waiting = most_waiting
        self._held: Counter[UUID] = Counter()
        self._waiting: dict[UUID, deque[_Turn]] = {}

    @classmethod
    def of_pool(cls, connections: int, most_waiting: int = MOST_WAITING) -> "Shares":
        """So many that some connections are always left for finding out who asks.

        Two parties do not take all of them: a team has its users and its keys.
        """
        most = connections - connections // 5
        return cls(most, max(1, most * 2 // 5), most_waiting)

    @asynccontextmanager
    async def of(self, party: UUID) -> AsyncIterator[None]:
        """Hold a share as long as the block lasts. Raises TooManyRequests and ServerBusy."""
        if self._has_room(party) and party not in self._waiting:
            self._held[party] += 1
        else:
            await self._wait(party)
        try:
            yield
        finally:
            self._give_back(party)

    @property
    def waiting(self) -> int:
        """How many requests wait for a share."""
        return sum(map(len, self._waiting.values()))

    def _give_back(self, party: UUID) -> None:
        self._held -= Counter([party])
        self._hand_on()

    def _has_room(self, party: UUID) -> bool:
        return self._held[party] < self._most_of_one and self._held.total() < self.most

    async def _wait(self, party: UUID) -> None:
        """Wait for a turn; it comes with the share."""
        self._make_room(party)
        turn = _Turn()
        self._waiting.setdefault(party, deque()).append(turn)
        try:
            with trio.move_on_after(PATIENCE):
                await turn.over.wait()
        except BaseException:
            if not turn.over.is_set():
                self._leave(party, turn)
            elif not turn.is_refused:
                self._give_back(party)
            raise
        if turn.is_refused:
            raise _too_many()
        if not turn.over.is_set():
            self._leave(party, turn)
            if self._held[party] >= self._most_of_one:
                raise _too_many()
            raise ServerBusy("The server is busy. Try again later.", retry_after=RETRY_AFTER)

    def _make_room(self, party: UUID) -> None:
        """Find a place to wait for one more of a party. Raises TooManyRequests."""
        if self.waiting < self._most_waiting:
            return
        largest = max(self._waiting, key=lambda one: len(self._waiting[one]))
        if len(self._waiting[largest]) <= len(self._waiting.get(party, ())) + 1:
            raise _too_many()
        newest = self._waiting[largest][-1]
        self._leave(largest, newest)
        newest.is_refused = True
        newest.over.set()

    def _leave(self, party: UUID, turn: _Turn) -> None:
        turns = self._waiting[party]
        turns.remove(turn)
        if not turns:
            del self._waiting[party]

    def _hand_on(self) -> None:
        """Give what is free to those who wait."""
        while able := [party for party in self._waiting if self._has_room(party)]:
            party = min(able, key=self._held.__getitem__)
            turns = self._waiting.pop(party)
            turn = turns.popleft()
            if turns:
                # Behind the others.
                self._waiting[party] = turns
            self._held[party] += 1
            turn.over.set()


def _too_many() -> TooManyRequests:
    return TooManyRequests("Too many requests at once", retry_after=RETRY_AFTER)
