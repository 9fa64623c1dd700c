"""Let a request be worked on: with a share of its party's, and before that with a place among those whose work goes one by one.

To search a log takes PostgreSQL a processor for half a second, and to decode a large body takes a thread as long; so both are done
one after another, by whoever holds a share. If all shares could wait for that, three users who search would hold up everybody. So
only a few of those who search, or send what is large, have a share at once, one of each party; the others wait for a place first.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from uuid import UUID

import attrs

from owlrunner.web.shares import MOST_WAITING, Shares


@attrs.frozen
class Admission:
    """The shares of a server, and the places of those who search and of those who send what is large."""

    shares: Shares
    searches: Shares
    large: Shares

    @classmethod
    def of_pool(cls, connections: int, most_waiting: int = MOST_WAITING) -> "Admission":
        """So many shares that some connections are left for finding out who asks, and half of them for what is quick."""
        shares = Shares.of_pool(connections, most_waiting)
        few = max(1, shares.most // 4)
        return cls(shares, Shares(few, 1, most_waiting // 4), Shares(few, 1, most_waiting // 4))

    @asynccontextmanager
    async def of(self, party: UUID, *, searches: bool = False, is_large: bool = False) -> AsyncIterator[None]:
        """Admit a request of a party as long as the block lasts. Raises TooManyRequests and ServerBusy."""
        async with (
            self.searches.of(party) if searches else nullcontext(),
            self.large.of(party) if is_large else nullcontext(),
            self.shares.of(party),
        ):
            yield
