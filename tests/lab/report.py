"""What came of it: a table of scenarios and faults, and the cases that were broken."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.lab.faults import Kind
from tests.lab.session import Verdict

BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def _cells(verdicts: Iterable[Verdict]) -> dict[str, dict[Kind, tuple[int, int]]]:
    """Scenario → kind → how many cases were struck, and how many of those were broken."""
    cells: dict[str, dict[Kind, tuple[int, int]]] = defaultdict(dict)
    for verdict in verdicts:
        if verdict.played.struck or not verdict.played.holds:
            row, kind = cells[verdict.case.scenario], verdict.case.fault.kind
            cases, broken = row.get(kind, (0, 0))
            row[kind] = (cases + 1, broken + (not verdict.played.holds))
    return cells


def _rows(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """The table: a row for each scenario, and one for all."""
    cells = _cells(verdicts)
    rows = [[scenario, *(_cell([row.get(kind, (0, 0))]) for kind in Kind)] for scenario, row in sorted(cells.items())]
    rows.append(["all", *(_cell([row.get(kind, (0, 0)) for row in cells.values()]) for kind in Kind)])
    return rows


def _cell(parts: Iterable[tuple[int, int]]) -> str:
    cases, broken = (sum(numbers) for numbers in zip(*parts, strict=True)) if parts else (0, 0)
    return f"{cases}" + (f", {broken} broken" if broken else "") if cases else ""


def show(verdicts: Sequence[Verdict], seed: int, console: Console) -> None:
    """Print the table and the broken cases."""
    table = Table("scenario", *Kind, title="cases")
    for row in _rows(verdicts):
        table.add_row(*row)
    console.print(table)
    broken = [verdict for verdict in verdicts if not verdict.played.holds]
    for verdict in sorted(broken, key=lambda one: str(one.case)):
        console.print(f"{verdict.case}: {'; '.join(verdict.played.broken)}", markup=False)
    missed = sum(not verdict.played.struck and verdict.played.holds for verdict in verdicts)
    console.print(f"{len(verdicts)} cases, {len(broken)} broken, {missed} not reached; seed {seed}")


def summary(verdicts: Sequence[Verdict], page: Path) -> None:
    """Put the table into a page of the documentation, between its marks."""
    lines = ["| scenario | " + " | ".join(Kind) + " |", "|---" * (len(Kind) + 1) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in _rows(verdicts)]
    before, rest = page.read_text("utf-8").split(BEGIN)
    _, after = rest.split(END)
    page.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after, "utf-8")
