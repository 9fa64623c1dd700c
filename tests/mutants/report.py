"""What a session found: a table by file, and those that survived."""

from collections import Counter
from collections.abc import Collection, Mapping

from rich.console import Console
from rich.table import Table

from tests.mutants.verdict import Fate, Verdict

Identity = tuple[str, str, str, int]


def show(verdicts: list[Verdict], may_live: Collection[Identity], totals: Mapping[str, int], console: Console) -> None:
    """Print the survivors and the table."""
    for verdict in verdicts:
        if is_wanted_dead(verdict, may_live):
            console.print(f"{verdict.name} {verdict.fate}", markup=False, highlight=False)
            console.print(f"    {verdict.before}\n => {verdict.after}", markup=False, highlight=False)
    table = Table("file", *("played", "of", "killed", "timeout", "survived", "may live", "invalid", "score"))
    for file in sorted({verdict.file for verdict in verdicts}):
        table.add_row(file, *_row([one for one in verdicts if one.file == file], may_live, totals.get(file, 0)))
    table.add_section()
    table.add_row("all", *_row(verdicts, may_live, sum(totals.values())))
    console.print(table)


def is_wanted_dead(verdict: Verdict, may_live: Collection[Identity]) -> bool:
    """Whether it survived without a reason."""
    return verdict.fate in {Fate.SURVIVED, Fate.UNUSED} and verdict.identity not in may_live


def _row(verdicts: list[Verdict], may_live: Collection[Identity], total: int) -> list[str]:
    fates = Counter(verdict.fate for verdict in verdicts)
    pardoned = sum(one.fate in {Fate.SURVIVED, Fate.UNUSED} and one.identity in may_live for one in verdicts)
    survived = fates[Fate.SURVIVED] + fates[Fate.UNUSED] - pardoned
    noticed = fates[Fate.KILLED] + fates[Fate.TIMEOUT]
    score = f"{noticed / (noticed + survived):.0%}" if noticed + survived else "-"
    numbers = [len(verdicts), total, fates[Fate.KILLED], fates[Fate.TIMEOUT], survived, pardoned, fates[Fate.INVALID]]
    return [*map(str, numbers), score]
