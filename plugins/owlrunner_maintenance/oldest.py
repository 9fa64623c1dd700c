"""This is the room for the decisions of db_pruning: which partition goes whole, and which rows go where none may.

Nothing here asks a database. Free space counts in the same way for every partition, so that the first moment of a month, which
makes another partition an old one, does not change how much has to go.
"""

import heapq
import itertools
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TypeVar

import attrs

K = TypeVar("K")

MARGIN = 0.02
"""As a share of what partitions take: deleting and measuring move the size of the database by a few pages."""


@attrs.frozen
class Space:
    """What a partition takes, and how much of that its rows need. All in bytes."""

    total: int
    rows: int
    reusable: int
    """What new rows can take before the partition grows."""
    live: float = 0.0
    """What its rows take in its pages, without the indexes and the gaps between."""
    emptying_frees: bool = False
    """Whether its pages take space, be there rows in them or not."""

    @property
    def bytes_per_row(self) -> float:
        """What one row takes on average, its share of the indexes included."""
        return (self.total - self.reusable) / self.rows if self.rows else 0.0

    @property
    def weight(self) -> float:
        """What one byte of a row takes, its share of the indexes included."""
        return (self.total - self.reusable) / self.live if self.live else 0.0


UNKNOWN = Space(0, 0, 0)
"""Of a partition that is not measured yet, is gone, or that somebody has locked."""


@attrs.frozen
class Part:
    """A partition as decisions need it."""

    space: Space
    stays: bool
    """Whether rows may still come in for it: it is never dropped."""
    over: bool
    """Whether its month has ended."""

    @property
    def is_hollow(self) -> bool:
        """Whether it takes space without a row in it, so that nothing is lost where it gives that back."""
        return self.over and not self.space.rows and self.space.emptying_frees


@attrs.frozen
class OldRow:
    """One of the oldest rows of a partition."""

    place: str
    written: str
    """Its time as PostgreSQL writes it."""
    moment: float
    """Its time in seconds."""
    size: float
    """What its deletion frees, in bytes."""


def excess(size: int, spaces: Iterable[Space], limit: int) -> int:
    """How many bytes are too many, when what new rows can use counts as free."""
    return size - sum(space.reusable for space in spaces) - limit


def room_to_leave(spaces: Iterable[Space], batch_rows: int) -> float:
    """How many bytes to free beyond the need, so that the next look does not find a little left to do: a batch at most."""
    with_rows = [space for space in spaces if space.rows]
    return min(
        sum(MARGIN * space.total for space in with_rows),
        min((batch_rows * space.bytes_per_row for space in with_rows), default=0.0),
    )


def next_to_go(size: int, parts: Mapping[K, Part], limit: int, passed_over: Container[K] = ()) -> K | None:
    """The partition that goes whole now, of parts in the order of their age; None when it is the turn of rows, or of nothing.

    What holds no row goes first, which costs nobody anything.
    """
    left = {key: part for key, part in parts.items() if key not in passed_over}
    if size <= limit:
        return None
    hollow = next((key for key, part in left.items() if part.is_hollow), None)
    if hollow is not None or excess(size, [part.space for part in parts.values()], limit) <= 0:
        return hollow
    return next((key for key, part in left.items() if not part.stays), None)


def rows_to_go(oldest: Mapping[K, Sequence[OldRow]], needed: float, most: int, cut: frozenset[K]) -> dict[K, int]:
    """How many of each partition's oldest rows go to free ``needed`` bytes, ``most`` rows at most: by age over all partitions.

    Partitions in ``cut`` have more rows than are listed: no row goes that is newer than the last one listed of these.
    """
    horizon = min((oldest[key][-1].moment for key in cut), default=float("inf"))
    taken = dict.fromkeys(oldest, 0)
    by_age = heapq.merge(
        *([(row.moment, number, key, row) for row in listed] for number, (key, listed) in enumerate(oldest.items())),
        key=lambda one: one[:2],
    )
    for moment, _, key, row in itertools.islice(by_age, most):
        if needed <= 0 or moment > horizon:
            break
        taken[key] += 1
        needed -= row.size
    return taken
