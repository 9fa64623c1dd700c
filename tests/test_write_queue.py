"""Many things in few statements: one that is refused harms itself alone, and nothing is lost that could be written later."""

from collections.abc import Callable, Sequence

import pytest

from owlrunner.errors import DatabaseUnavailable, StatementFailed
from owlrunner.runtime import write_queue
from owlrunner.runtime.write_queue import MAX_BATCH, MAX_BATCH_BYTES, WriteQueue


class Store:
    """Takes batches, and refuses what a test says."""

    def __init__(self, refuses: Callable[[Sequence[str]], Exception | None] = lambda _: None) -> None:
        self.batches: list[list[str]] = []
        self._refuses = refuses

    async def __call__(self, batch: Sequence[str]) -> None:
        """Take a batch, or refuse it."""
        refusal = self._refuses(batch)
        if refusal is not None:
            raise refusal
        self.batches.append(list(batch))

    @property
    def stored(self) -> list[str]:
        """All that was taken, in order."""
        return [item for batch in self.batches for item in batch]


def queue(
    *items: str,
    size_of: Callable[[str], int] = len,
    smaller: Callable[[str, StatementFailed], str | None] = lambda _item, _error: None,
    max_tries: int | None = None,
) -> WriteQueue[str]:
    """A queue of texts; those of one first letter may be written together."""
    made = WriteQueue[str](
        group_of=lambda item: item[0], size_of=size_of, name_of=str, smaller=smaller, max_tries=max_tries
    )
    for item in items:
        made.add(item)
    return made


def refusing(*bad: str, transient: bool) -> Callable[[Sequence[str]], Exception | None]:
    """Refuse every batch that holds one of these."""
    return lambda batch: StatementFailed("no", transient=transient) if set(bad) & set(batch) else None


async def test_batches_are_bounded_by_count() -> None:
    """No statement takes more than MAX_BATCH items."""
    store = Store()
    items = [f"a{number}" for number in range(MAX_BATCH + 1)]
    assert await queue(*items).write(store) == MAX_BATCH + 1
    assert [len(batch) for batch in store.batches] == [MAX_BATCH, 1]
    assert store.stored == items


async def test_batches_are_bounded_by_bytes() -> None:
    """Items that are large together go apart; one that is too large alone still goes."""
    store = Store()
    await queue("a1", "a2", "a3", size_of=lambda item: MAX_BATCH_BYTES * (2 if item == "a2" else 1) // 2).write(store)
    assert store.batches == [["a1"], ["a2"], ["a3"]]


async def test_what_must_not_be_written_together_is_not() -> None:
    """A batch holds items of one group, in order."""
    store = Store()
    await queue("a1", "a2", "b1", "a3").write(store)
    assert store.batches == [["a1", "a2"], ["b1"], ["a3"]]


@pytest.mark.parametrize("transient", [True, False])
async def test_one_bad_item_keeps_nobody_from_being_written(transient: bool) -> None:
    """A batch that is refused is halved until the bad item stands alone; all others are written."""
    items = [f"a{number}" for number in range(100)]
    store = Store(refusing("a37", transient=transient))
    subject = queue(*items)
    assert await subject.write(store) == 99
    assert store.stored == [item for item in items if item != "a37"]
    assert list(subject) == ["a37"]


async def test_a_bad_item_is_written_when_it_is_taken() -> None:
    """What was refused for the time being stays, and is written at a later try."""
    bad = {"a1"}
    store = Store(lambda batch: StatementFailed("no", transient=True) if bad & set(batch) else None)
    subject = queue("a0", "a1", "a2")
    await subject.write(store)
    bad.clear()
    await subject.write(store)
    assert sorted(store.stored) == ["a0", "a1", "a2"]
    assert len(subject) == 0


async def test_data_that_is_refused_becomes_smaller() -> None:
    """An item whose data is refused is replaced by what its kind allows, step by step, and written in its place."""
    store = Store(refusing("a-large", "a-less", transient=False))
    steps: dict[str, str] = {"a-large": "a-less", "a-less": "a"}
    assert await queue("a1", "a-large", "a2", smaller=lambda item, _: steps.get(item)).write(store) == 3
    assert store.stored == ["a1", "a", "a2"]


async def test_what_everybody_meets_is_told() -> None:
    """When two items in a row are refused alone it is the database's fault: the caller waits, and everything is kept."""
    store = Store(lambda _: StatementFailed("read-only", transient=True))
    subject = queue(*(f"a{number}" for number in range(8)))
    for _ in range(20):
        with pytest.raises(StatementFailed):
            await subject.write(store)
        subject.judge(others_were_written=False)
    assert len(subject) == 8


async def test_an_outage_is_told_at_once_and_makes_batches_smaller() -> None:
    """Without an answer nothing is known of the items: all are kept, and the next batch is half as large."""
    sizes: list[int] = []

    def lose(batch: Sequence[str]) -> Exception:
        sizes.append(len(batch))
        return DatabaseUnavailable("gone", unknown=True)

    subject = queue(*(f"a{number}" for number in range(8)))
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await subject.write(Store(lose))
    assert sizes == [8, 4, 2]
    assert len(subject) == 8


async def test_a_hopeless_item_is_dropped_after_its_tries() -> None:
    """With a limit, an item that is refused alone while others are written is dropped in the end, not before."""
    store = Store(refusing("a-bad", transient=True))
    subject = queue("a-bad", max_tries=3)
    for number in range(3):
        assert "a-bad" in list(subject)
        subject.add(f"a{number}")
        await subject.write(store)
        subject.judge(others_were_written=True)
    assert list(subject) == []
    assert store.stored == ["a0", "a1", "a2"]


async def test_an_item_is_dropped_for_its_age_when_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a limit, an item that nothing can be compared with is dropped when it has been refused for long enough."""
    subject = queue("a-bad", max_tries=3)
    with pytest.raises(StatementFailed):
        await subject.write(Store(refusing("a-bad", transient=True)))
    subject.judge(others_were_written=False)
    assert len(subject) == 1
    monkeypatch.setattr(write_queue, "MAX_AGE", -1.0)
    with pytest.raises(StatementFailed):
        await subject.write(Store(refusing("a-bad", transient=True)))
    subject.judge(others_were_written=False)
    assert len(subject) == 0


async def test_a_refusal_counts_once_until_it_is_judged() -> None:
    """What an earlier write was refused, after which nobody judged, is not counted beside what the last one was."""
    subject = queue("a-bad", max_tries=2)
    for number in range(2):
        subject.add(f"a{number}")
        await subject.write(Store(refusing("a-bad", transient=True)))
    subject.judge(others_were_written=True)
    assert list(subject) == ["a-bad"]


async def test_without_a_limit_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outcome that is refused alone is tried for ever."""
    monkeypatch.setattr(write_queue, "MAX_AGE", -1.0)
    subject = queue("a-bad")
    for number in range(50):
        subject.add(f"a{number}")
        await subject.write(Store(refusing("a-bad", transient=True)))
        subject.judge(others_were_written=True)
    assert list(subject) == ["a-bad"]


async def test_what_waits_is_passed_over() -> None:
    """An item that is not to be written yet stays, and those behind it are written."""
    store = Store()
    waiting = {"a1"}
    subject = queue("a0", "a1", "a2")
    assert await subject.write(store, waits=lambda item: item in waiting) == 2
    assert list(subject) == ["a1"]
    await subject.write(store)
    assert store.stored == ["a0", "a2", "a1"]


async def test_only_so_many_of_the_first_are_written() -> None:
    """With a count, what came later stays for the next time."""
    store = Store()
    subject = queue("a0", "a1", "a2")
    assert await subject.write(store, 2) == 2
    assert (store.stored, list(subject)) == (["a0", "a1"], ["a2"])


async def test_batches_grow_again() -> None:
    """After a refusal the batches double until they are as large as before."""
    bad = {"a0"}
    store = Store(lambda batch: StatementFailed("no", transient=True) if bad & set(batch) else None)
    subject = queue(*(f"a{number}" for number in range(64)))
    await subject.write(store)
    sizes = [len(batch) for batch in store.batches]
    assert sizes[0] == 1
    assert sizes == sorted(sizes) or sizes[:-1] == sorted(sizes[:-1])
    assert max(sizes) > 8


async def test_two_that_are_refused_in_a_row_may_not_be_at_fault() -> None:
    """The error goes to the caller after the second one, before the others are tried; one that is written in between counts."""
    store = Store(refusing("a0", "a2", "a3", transient=True))
    subject = queue("a0", "a1", "a2", "a3", "a4")
    subject._most = 1
    with pytest.raises(StatementFailed):
        await subject.write(store)
    assert store.stored == ["a1"]
    assert list(subject) == ["a4", "a0", "a2", "a3"]


async def test_one_that_is_refused_among_others_is_no_error() -> None:
    """Whether it stands first or last, the others are written, and nothing is raised."""
    for bad in ("a0", "a2"):
        store = Store(refusing(bad, transient=True))
        subject = queue("a0", "a1", "a2")
        assert await subject.write(store) == 2
        assert list(subject) == [bad]


async def test_data_is_made_smaller_only_where_it_is_the_reason() -> None:
    """What was refused for now stays as it is."""
    store = Store(refusing("a0", transient=True))
    subject = queue("a0", "a1", smaller=lambda _item, _error: "a-small")
    await subject.write(store)
    assert (store.stored, list(subject)) == (["a1"], ["a0"])


async def test_those_that_are_passed_over_keep_their_order() -> None:
    """Each is looked at once, and what was passed over stands as before."""
    store = Store()
    subject = queue("a0", "b1", "a2", "b3", "a4")
    assert await subject.write(store, waits=lambda item: item[0] == "a") == 2
    assert (store.stored, list(subject)) == (["b1", "b3"], ["a0", "a2", "a4"])
    assert await subject.write(store, waits=lambda _: True) == 0
    assert list(subject) == ["a0", "a2", "a4"]
