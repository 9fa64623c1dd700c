"""The command of the mutants: ``make mutants``, or ``python -m tests.mutants``."""

import math
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import click
from rich.console import Console

from tests.mutants import may_live, session
from tests.mutants.code import changed_files, mutants_in
from tests.mutants.report import is_wanted_dead, show
from tests.mutants.usage import Usage
from tests.mutants.verdict import Record, Verdict


@click.command()
@click.option("--only", multiple=True, metavar="GLOB", help="Only files with such a path.")
@click.option("--mutant", "names", multiple=True, help="Only this one, by its name in a report.")
@click.option("--list", "only_list", is_flag=True, help="Only list the mutants.")
@click.option("--table", "only_table", is_flag=True, help="Only show what is on record.")
@click.option("--seed", type=int, help="The order of the mutants; by chance unless given.")
@click.option("--minutes", type=float, help="Begin no mutant after so many minutes: a part of all, by the seed.")
@click.option("--resume", is_flag=True, help="Leave out those that were noticed by the record of an earlier session.")
@click.option("--unplayed", is_flag=True, help="Leave out all that are on record, those that survived, too.")
@click.option("--spend", default=30.0, show_default=True, help="How many seconds of tests one mutant is worth.")
@click.option("--at-once", default=2, show_default=True, help="How many mutants are played side by side.")
@click.option("--keep-map", is_flag=True, help="Use the map that is there, though the code has changed since.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("build/mutants"), show_default=True
)
def main(
    only: tuple[str, ...],
    names: tuple[str, ...],
    only_list: bool,
    only_table: bool,
    seed: int | None,
    minutes: float | None,
    resume: bool,
    unplayed: bool,
    spend: float,
    at_once: int,
    keep_map: bool,
    out: Path,
) -> None:
    """Change the code in one place at a time, and see whether a test notices."""
    # Whoever ends this wants its processes and its databases ended, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Each slot has a PostgreSQL of its own: two that share one would take each other's template away.
    os.environ.pop("OWLRUNNER_TEST_DATABASE_URL", None)
    console = Console(width=160, soft_wrap=True, emoji=False)
    pardons = may_live.pardons()
    if gone := may_live.outdated(pardons, mutants_in):
        raise click.ClickException("\n".join(["may_live.toml names mutants that are no more:", *map(str, gone)]))
    mutants = [mutant for file in changed_files(only) for mutant in mutants_in(file)]
    mutants = [mutant for mutant in mutants if not names or mutant.name in names]
    totals = Counter(mutant.file for mutant in mutants)
    if only_list:
        for mutant in mutants:
            console.print(f"{mutant.name}\n    {mutant.before}\n => {mutant.after}", markup=False, highlight=False)
        console.print(f"{len(mutants)} mutants")
        return

    record = Record(out)
    there = {mutant.identity for mutant in mutants}
    known = [verdict for verdict in record.read() if resume or unplayed or only_table]
    verdicts = {one.identity: one for one in known}
    allowed = {pardon.identity for pardon in pardons}
    done = {one.identity for one in known if unplayed or not is_wanted_dead(one, ())}
    wanted = [mutant for mutant in session.shuffled(mutants, seed or 0) if mutant.identity not in done | allowed]
    if not only_table:
        seed = random.randrange(10**6) if seed is None else seed  # noqa: S311 - an order, no secret
        wanted = session.shuffled(wanted, seed)
        record.begin(known)

        def tell(verdict: Verdict) -> None:
            verdicts[verdict.identity] = verdict
            record.add(verdict)
            console.print(f"{verdict.name} ({verdict.seconds:.1f} s): {verdict.fate} {verdict.by}", markup=False)

        usage = Usage.read(out).brought_up_to_date(keep=keep_map)
        usage.write(out)
        choice = session.Choice(usage, spend)
        for one in known:
            choice.learn(one)
        console.print(f"{len(wanted)} mutants, seed {seed}")
        stop_at = time.monotonic() + minutes * 60 if minutes is not None else math.inf
        with session.open_slots(at_once) as free:
            try:
                session.play(wanted, choice, free, tell, stop_at)
                if by := session.unsound(list(verdicts.values()), choice, free):
                    console.print(f"It fails without a mutant, too: {by}", markup=False)
            except KeyboardInterrupt:
                console.print("interrupted")
    shown = [one for one in verdicts.values() if one.identity in there]
    show(shown, allowed, totals, console)
    raise SystemExit(any(is_wanted_dead(one, allowed) for one in shown))


if __name__ == "__main__":
    main()
