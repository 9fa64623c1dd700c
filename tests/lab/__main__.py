"""The laboratory's command: ``make lab``, or ``python -m tests.lab``."""

import functools
import random
import signal
from pathlib import Path

import click
import trio
from rich.console import Console

from tests.lab.arena import Setting
from tests.lab.faults import Case, Kind
from tests.lab.ground import Ground, open_ground
from tests.lab.report import show, summary, write
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
    with open_ground() as ground:
        environ = dict(one.split("=", 1) for one in settings)
        hold = lease + 1.0 if hold is None else hold
        setting = Setting(lease=lease, hold=hold, tenant=ground.tenant, environ=environ)
        verdicts = trio.run(
            functools.partial(
                _run,
                ground,
                setting,
                console,
                at_once=at_once,
                wanted=cases,
                scenarios=scenarios or tuple(SCENARIOS),
                kinds=[Kind(kind) for kind in kinds] or list(Kind),
                seed=seed,
                minutes=minutes,
                only_list=only_list,
            )
        )
    if verdicts is None:
        raise SystemExit(0 if only_list else 2)
    show(verdicts, seed, console)
    write(verdicts, seed, out)
    if page is not None:
        summary(verdicts, page)
    raise SystemExit(any(not verdict.played.holds for verdict in verdicts))


async def _run(
    ground: Ground,
    setting: Setting,
    console: Console,
    *,
    at_once: int,
    wanted: list[Case],
    scenarios: tuple[str, ...],
    kinds: list[Kind],
    seed: int,
    minutes: float | None,
    only_list: bool,
) -> list[Verdict] | None:
    told = 0

    def tell(verdict: Verdict) -> None:
        nonlocal told
        told += 1
        played = verdict.played
        state = "; ".join(played.broken) or ("holds" if played.struck else "not reached")
        console.print(f"{told} {verdict.case} ({played.seconds:.1f} s): {state}", markup=False)

    stop_at = trio.current_time() + minutes * 60 if minutes is not None else float("inf")
    async with open_forge() as forge:
        session = Session(ground, forge, setting, at_once)
        try:
            cases = wanted or shuffled(await session.learn(scenarios, kinds), seed)
        except Unsound as unsound:
            console.print(str(unsound), markup=False)
            return None
        if only_list:
            for case in sorted(cases, key=str):
                console.print(str(case), markup=False)
            return None
        console.print(f"{len(cases)} cases, seed {seed}")
        return await session.play(cases, tell, stop_at=stop_at)


if __name__ == "__main__":
    main()
