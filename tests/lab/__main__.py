"""The laboratory's command: ``make lab``, or ``python -m tests.lab``."""

import functools
import math
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import click
import trio
from rich.console import Console

from tests.lab.arena import Setting
from tests.lab.faults import Case, Kind
from tests.lab.ground import Ground, open_ground
from tests.lab.record import Record
from tests.lab.report import show, summary
from tests.lab.scenarios import SCENARIOS
from tests.lab.server_process import open_forge
from tests.lab.session import Session, Unsound, Verdict, shuffled


def _case(_context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> list[Case]:
    try:
        return [Case.parse(name) for name in names]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option("--scenario", "scenarios", type=click.Choice(sorted(SCENARIOS)), multiple=True, help="Only these.")
@click.option("--kind", "kinds", type=click.Choice([kind.value for kind in Kind]), multiple=True, help="Only these.")
@click.option("--case", "cases", callback=_case, multiple=True, help="Only this one, by the name in a report.")
@click.option("--list", "only_list", is_flag=True, help="Only learn the statements, and list the cases.")
@click.option("--seed", type=int, help="The order of the cases; by chance unless given.")
@click.option("--minutes", type=float, help="Begin no case after so many minutes: a part of all cases, by the seed.")
@click.option("--resume", is_flag=True, help="Leave out the cases that hold by the record of an earlier session.")
@click.option("--again", is_flag=True, help="Play what is broken once more, alone; it is broken if that breaks, too.")
@click.option("--at-once", default=5, show_default=True, help="How many cases are played side by side.")
@click.option("--lease", default=3.0, show_default=True, help="The servers' lease, in seconds.")
@click.option(
    "--hold", type=float, help="For how long something is held back; by default a second longer than the lease."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An environment variable for the servers.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("build/lab"), show_default=True)
@click.option(
    "--summary", "page", type=click.Path(dir_okay=False, path_type=Path), help="Put the table into this page, too."
)
def main(
    scenarios: tuple[str, ...],
    kinds: tuple[str, ...],
    cases: list[Case],
    only_list: bool,
    seed: int | None,
    minutes: float | None,
    resume: bool,
    again: bool,
    at_once: int,
    lease: float,
    hold: float | None,
    settings: tuple[str, ...],
    out: Path,
    page: Path | None,
) -> None:
    """Break each statement of each scenario in each way, and check what became of it."""
    # Whoever ends the laboratory wants its processes and its PostgreSQL ended, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console(width=140, soft_wrap=True)
    seed = random.randrange(10**6) if seed is None else seed  # noqa: S311 - an order, no secret
    record = Record(out)
    verdicts = {str(one.case): one for one in record.read() if one.played.holds} if resume else {}
    wanted = Wanted(
        cases,
        scenarios or tuple(SCENARIOS),
        [Kind(kind) for kind in kinds] or list(Kind),
        frozenset(verdicts),
        seed,
        minutes,
        again,
    )
    if not only_list:
        record.begin(list(verdicts.values()))

    def tell(verdict: Verdict) -> None:
        verdicts[str(verdict.case)] = verdict
        record.add(verdict)
        played = verdict.played
        state = "; ".join(played.broken) or ("holds" if played.struck else "not reached")
        console.print(f"{len(verdicts)} {verdict.case} ({played.seconds:.1f} s): {state}", markup=False)

    with open_ground() as ground:
        setting = Setting(
            lease=lease,
            hold=lease + 1.0 if hold is None else hold,
            tenant=ground.tenant,
            environ=dict(one.split("=", 1) for one in settings),
        )
        run = functools.partial(_list, console) if only_list else functools.partial(_play, console, tell)
        unsound = ""
        try:
            unsound = trio.run(_at_work, ground, setting, at_once, wanted, run)
        except* KeyboardInterrupt:
            console.print("interrupted; --resume goes on from here")
    if unsound:
        raise click.ClickException(unsound)
    if only_list:
        return
    show(list(verdicts.values()), seed, console)
    if page is not None:
        summary(list(verdicts.values()), page)
    raise SystemExit(any(not verdict.played.holds for verdict in verdicts.values()))


@attrs.frozen
class Wanted:
    """What is to be played."""

    cases: list[Case]
    """These alone, if there are any."""
    scenarios: tuple[str, ...]
    kinds: list[Kind]
    held: frozenset[str]
    """The cases that are left out."""
    seed: int
    minutes: float | None
    again: bool
    """Whether what is broken is played once more, alone: a machine that does too much at once breaks limits, too."""


Run = Callable[[Session, Wanted], Awaitable[None]]


async def _at_work(ground: Ground, setting: Setting, at_once: int, wanted: Wanted, run: Run) -> str:
    """Do something with a session; returns what is wrong with a scenario, if something is."""
    async with open_forge() as forge:
        try:
            await run(Session(ground, forge, setting, at_once), wanted)
        except Unsound as unsound:
            return str(unsound)
    return ""


async def _list(console: Console, session: Session, wanted: Wanted) -> None:
    for case in sorted(await session.learn(wanted.scenarios, wanted.kinds), key=str):
        console.print(str(case), markup=False)


async def _play(console: Console, tell: Callable[[Verdict], None], session: Session, wanted: Wanted) -> None:
    stop_at = trio.current_time() + wanted.minutes * 60 if wanted.minutes is not None else math.inf
    cases = wanted.cases or shuffled(await session.learn(wanted.scenarios, wanted.kinds), wanted.seed)
    cases = [case for case in cases if str(case) not in wanted.held]
    console.print(f"{len(cases)} cases, seed {wanted.seed}")
    broken: list[Case] = []

    def note(verdict: Verdict) -> None:
        tell(verdict)
        if not verdict.played.holds:
            broken.append(verdict.case)

    await session.play(cases, note, stop_at=stop_at)
    if wanted.again:
        await attrs.evolve(session, at_once=1).play(broken, tell)


if __name__ == "__main__":
    main()
