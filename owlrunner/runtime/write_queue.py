"""Write many things in few statements, so that none of them can keep the others from being written.

How it works. What waits is written from the front in batches, bounded by count and by bytes. A batch that PostgreSQL
refuses is halved, and halved again, until what is refused stands alone; then the batches grow again. An item that is refused alone

- for its data (the same data would be refused again) is replaced by something smaller, as its kind allows;
- for any other reason goes to the back of the queue, so that the others are tried first.

When two different items in a row are refused alone, or there is no other, it may not be the items' fault: the error
goes to the caller, who waits. So does an outage. Nothing is forgotten but items of a queue with a limit, which were
refused alone that often while others were written.
"""

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

from msgspec import Struct

from owlrunner.errors import DatabaseTrouble, StatementFailed

T = TypeVar("T")

MAX_BATCH = 1000
MAX_AGE = 300.0
"""Seconds after which an item of a queue with a limit of tries is dropped though nothing else was written meanwhile."""
MAX_BATCH_BYTES = 2 * 1024 * 1024
"""A batch is one text, made on the event loop and held three times in memory; one item may be larger."""

logger = logging.getLogger(__name__)


class _Entry(Struct, Generic[T], eq=False):
    item: T
    tries: int = 0
    refused_since: float | None = None
    """When it was first refused alone, by the monotonic clock."""


class WriteQueue(Generic[T]):
    """Things of one kind that wait to be written.

    ``group_of`` says what may be written together, ``size_of`` how many bytes an item has, ``smaller`` what to write
    instead of an item whose data is refused (None: nothing), ``name_of`` what the log calls it. An item that was
    refused alone ``max_tries`` times is dropped; None: never.
    """

    def __init__(
        self,
        *,
        group_of: Callable[[T], Hashable],
        size_of: Callable[[T], int],
        name_of: Callable[[T], str],
        smaller: Callable[[T, StatementFailed], T | None] = lambda _item, _error: None,
        max_tries: int | None = None,
    ) -> None:
        self._group_of = group_of
        self._size_of = size_of
        self._name_of = name_of
        self._smaller = smaller
        self._max_tries = max_tries
        self._waits: Callable[[T], bool] | None = None
        self._refused: list[_Entry[T]] = []
        self._entries: deque[_Entry[T]] = deque()
        self._most = MAX_BATCH

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[T]:
        return (entry.item for entry in self._entries)

    def add(self, item: T) -> None:
        """Put an item at the back."""
        self._entries.append(_Entry(item))

    async def write(
        self,
        store: Callable[[Sequence[T]], Awaitable[None]],
        count: int | None = None,
        waits: Callable[[T], bool] | None = None,
    ) -> int:
        """Write the first ``count`` items (all that wait now, unless given) and return how many were written.

        Those of which ``waits`` says so are passed over.

        Raises DatabaseTrouble when it may not be the items' fault.
        """
        left = len(self._entries) if count is None else count
        written = 0
        refused_in_a_row = 0
        self._refused = []
        self._waits = waits
        while left > 0:
            if waits is not None and waits(self._entries[0].item):
                self._entries.rotate(-1)
                left -= 1
                continue
            batch = self._front(left)
            try:
                await store([entry.item for entry in batch])
            except StatementFailed as error:
                if len(batch) > 1:
                    self._most = len(batch) // 2
                    continue
                smaller = None if error.transient else self._smaller(batch[0].item, error)
                if smaller is not None:
                    batch[0].item = smaller
                    continue
                left -= 1
                refused_in_a_row += 1
                self._make_way(error)
                if refused_in_a_row > 1 or (left == 0 and not written):
                    raise
            except DatabaseTrouble:
                # It may have been too much at once for this database, now.
                self._most = max(1, len(batch) // 2)
                raise
            else:
                for _ in batch:
                    self._entries.popleft()
                left -= len(batch)
                written += len(batch)
                refused_in_a_row = 0
                self._most = min(MAX_BATCH, self._most * 2)
        return written

    def _front(self, left: int) -> list[_Entry[T]]:
        """The first items that may be written together."""
        batch: list[_Entry[T]] = []
        size, group = 0, None
        # Each outcome comes by here: what is called for each item counts.
        group_of, size_of, waits = self._group_of, self._size_of, self._waits
        for entry in islice(self._entries, min(left, self._most)):
            item = entry.item
            size += size_of(item)
            if not batch:
                group = group_of(item)
            elif size > MAX_BATCH_BYTES or group_of(item) != group or (waits is not None and waits(item)):
                break
            batch.append(entry)
        return batch

    def _make_way(self, error: StatementFailed) -> None:
        """Let the others go before the first item."""
        entry = self._entries.popleft()
        if entry.refused_since is None:
            entry.refused_since = time.monotonic()
            logger.warning("%s cannot be stored now, and is tried again: %s", self._name_of(entry.item), error)
        self._entries.append(entry)
        self._refused.append(entry)

    def judge(self, *, others_were_written: bool) -> None:
        """Count a try against what the last ``write`` was refused alone, unless nothing else was written either."""
        for entry in self._refused:
            assert entry.refused_since is not None  # noqa: S101 - set where it was refused
            entry.tries += others_were_written
            too_old = time.monotonic() - entry.refused_since > MAX_AGE
            if self._max_tries is not None and (entry.tries >= self._max_tries or too_old):
                logger.error("%s could not be stored, and is dropped", self._name_of(entry.item))
                self._entries.remove(entry)
        self._refused = []
