"""One session: mutants are played one after another in each slot, each by the tests that are most likely to notice it."""

import contextlib
import queue
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import attrs

from tests.mutants.mutant import Mutant
from tests.mutants.slots import Slot, open_slot
from tests.mutants.usage import Usage
from tests.mutants.verdict import Fate, Verdict

_START = 15.0
"""Seconds that a run of pytest may take beside its tests."""
_SLOWER = 3.0
"""How many times as long as in the map tests may take: several mutants are played at once, and beside other work."""


@attrs.define
class Choice:
    """Chooses tests: those named after the file, those that noticed other mutants of it, those that are quick and use little."""

    usage: Usage
    spend: float
    """How many seconds of tests one mutant is worth."""
    _noticed: dict[str, Counter[str]] = attrs.Factory(lambda: defaultdict(Counter))
    _breadth: Counter[str] = attrs.field(init=False)
    """How many places each test uses: what looks at a few of them looks closely."""

    def __attrs_post_init__(self) -> None:
        self._breadth = Counter(test for tests in self.usage.uses.values() for test in tests)

    def learn(self, verdict: Verdict) -> None:
        """Remember which test noticed."""
        if verdict.by in self.usage.tests:
            self._noticed[verdict.file][verdict.by] += 1

    def tests_for(self, mutant: Mutant) -> tuple[list[str], int]:
        """The tests to run, in their order, and how many are left out."""
        tests, noticed = self.usage.tests, self._noticed[mutant.file]

        name = Path(mutant.file).stem

        def rank(test: str) -> tuple[bool, float, float, str]:
            is_named_after = name in Path(test.partition("::")[0]).stem
            return not is_named_after, -noticed[test], tests[test] * self._breadth[test], test

        using = sorted(self.usage.tests_of(mutant), key=rank)
        chosen: list[str] = []
        seconds = 0.0
        for test in using:
            # One at least, however long it takes.
            if not chosen or seconds + tests[test] <= self.spend:
                chosen.append(test)
                seconds += tests[test]
        return chosen, len(using) - len(chosen)

    def seconds(self, tests: Iterable[str]) -> float:
        """How long tests take."""
        return sum(self.usage.tests[test] for test in tests)


@contextlib.contextmanager
def open_slots(at_once: int) -> Iterator["queue.Queue[Slot]"]:
    """Make room for so many mutants at once."""
    free: queue.Queue[Slot] = queue.Queue()
    with contextlib.ExitStack() as stack:
        for _ in range(at_once):
            free.put(stack.enter_context(open_slot()))
        yield free


def play(
    mutants: Sequence[Mutant],
    choice: Choice,
    free: "queue.Queue[Slot]",
    tell: Callable[[Verdict], None],
    stop_at: float,
) -> None:
    """Play mutants until all are, or it is time to stop."""

    def one(mutant: Mutant) -> Verdict | None:
        if time.monotonic() >= stop_at:
            return None
        slot = free.get()
        try:
            return _verdict(slot, mutant, choice)
        finally:
            free.put(slot)

    with ThreadPoolExecutor(free.qsize()) as threads:
        slots = list(free.queue)
        waiting = [threads.submit(one, mutant) for mutant in mutants]
        try:
            for future in as_completed(waiting):
                verdict = future.result()
                if verdict is not None:
                    choice.learn(verdict)
                    tell(verdict)
        finally:
            # Whoever interrupts does not want to wait for tests whose outcome nobody hears of.
            for future in waiting:
                future.cancel()
            for slot in slots:
                slot.end_what_is_left()


def _verdict(slot: Slot, mutant: Mutant, choice: Choice) -> Verdict:
    started = time.monotonic()
    tests, left_out = choice.tests_for(mutant)
    fate, by = Fate.UNUSED, ""
    if slot.is_refused(mutant):
        fate = Fate.INVALID
    elif tests:
        played = slot.play(mutant, tests, _START + _SLOWER * choice.seconds(tests))
        by = played.by
        fate = Fate.SURVIVED if played.holds else Fate.KILLED if played.in_time else Fate.TIMEOUT
    seconds = round(time.monotonic() - started, 1)
    about = (mutant.name, mutant.file, mutant.kind, mutant.before, mutant.after, mutant.nth)
    return Verdict(*about, fate, seconds, played=len(tests), left_out=left_out, by=by)


def unsound(verdicts: Sequence[Verdict], choice: Choice, free: "queue.Queue[Slot]") -> str:
    """The first test that noticed mutants and fails without any, too; empty if none does."""
    tests = sorted({one.by for one in verdicts if one.by in choice.usage.tests})
    slot = free.get()
    try:
        played = slot.run(tests, 20 * _START + _SLOWER * choice.seconds(tests), "-x") if tests else None
    finally:
        free.put(slot)
    return "" if played is None or played.holds else played.by or "the tests do not end"


def shuffled(mutants: Iterable[Mutant], seed: int) -> list[Mutant]:
    """The mutants in an order that the seed decides."""
    order = sorted(mutants, key=lambda mutant: mutant.identity)
    random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
    return order
