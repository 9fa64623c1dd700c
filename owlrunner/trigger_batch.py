"""Sort many requests to trigger runs by what becomes of each, before and after the database is asked."""

from collections.abc import Callable, Sequence
from typing import Self
from uuid import UUID

import attrs

from owlrunner.errors import NotFound, Refused, RunAlreadyActive
from owlrunner.storage.new_runs import NewRun
from owlrunner.trigger_request import NO_PROJECT, TriggerRequest


@attrs.define
class Batch:
    """Many requests; each is known by its number, which is its place among all."""

    size: int
    runs: list[NewRun] = attrs.field(factory=list)
    """Those that are to be created."""
    numbers: list[int] = attrs.field(factory=list)
    """The number of each of the runs."""
    others: list[tuple[int, int]] = attrs.field(factory=list)
    """Number of a request that wants the slot of an earlier one, with that one's place in ``runs``."""
    refused: dict[int, Refused] = attrs.field(factory=dict)

    @classmethod
    def of(cls, wanted: Sequence[TriggerRequest], new_run: Callable[[TriggerRequest], NewRun]) -> Self:
        """Sort them. ``new_run`` makes a run of a request, or raises Refused."""
        batch = cls(len(wanted))
        # One statement cannot create a run and meet it again, so of those who want one slot the first one asks for all.
        asks: dict[tuple[str, UUID | None], int] = {}
        for number, one in enumerate(wanted):
            try:
                run = new_run(one)
            except Refused as refusal:
                batch.refused[number] = refusal
                continue
            if run.exclusive:
                place = asks.setdefault((run.job_type, run.project_id), len(batch.runs))
                if place < len(batch.runs):
                    batch.others.append((number, place))
                    continue
            batch.runs.append(run)
            batch.numbers.append(number)
        return batch

    def answers(self, told: Sequence[tuple[bool, UUID] | None]) -> list[UUID | Refused]:
        """Return what each request comes to.

        ``told`` has for each of the runs whether it is new, and the id of it or of the one that holds its slot; None where
        there is no such project.
        """
        answers: list[UUID | Refused | None] = [self.refused.get(number) for number in range(self.size)]
        for number, answer in zip(self.numbers, told, strict=True):
            if answer is not None:
                created, run_id = answer
                answers[number] = run_id if created else RunAlreadyActive(run_id)
        for number, place in self.others:
            answer = told[place]
            answers[number] = RunAlreadyActive(answer[1]) if answer is not None else None
        return [answer if answer is not None else NotFound(NO_PROJECT) for answer in answers]
