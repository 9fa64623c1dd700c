"""``make bench``: measures in rounds, everything of a round interleaved, and prints figures, goals and plots."""

from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from tests.benchmarks import door, history, latency, over_http, tenant, upkeep
from tests.benchmarks.contestants import Ceiling, Contestant, OwlRunner, PgQueuer, Procrastinate
from tests.benchmarks.drain import Drained, drain
from tests.benchmarks.figures import Figures, show
from tests.benchmarks.goals import GOALS
from tests.benchmarks.house import House, open_house
from tests.benchmarks.plots import draw

OURS = OwlRunner("OwlRunner")
GUARDED = OwlRunner("OwlRunner", job_type="guarded_noop")
CEILING = Ceiling("ceiling")
PGQUEUER = PgQueuer("PgQueuer", arguments=("10",))
PGQUEUER_BEST = PgQueuer("PgQueuer best", arguments=("500", "uvloop"))
PROCRASTINATE = Procrastinate("procrastinate", arguments=("1",))
PROCRASTINATE_BEST = Procrastinate("procrastinate best", arguments=("10",))
ALL: tuple[Contestant, ...] = (CEILING, OURS, PGQUEUER_BEST, PGQUEUER, PROCRASTINATE_BEST, PROCRASTINATE)
SLOW = (PROCRASTINATE, PROCRASTINATE_BEST)
SLOW_SECONDS = 8.0


class Round:
    """One round of the stages that were asked for."""

    def __init__(self, house: House, figures: Figures, jobs: int) -> None:
        self._house = house
        self._figures = figures
        self._jobs = jobs

    def drain(self) -> None:
        """Drains of everybody, one worker each; and ours with the guard, and by two servers."""
        for one in ALL:
            jobs = self._jobs // 10 if one in SLOW else self._jobs
            self._drained(
                "drain", one.name, drain(self._house, one, jobs, cut_after=SLOW_SECONDS if one in SLOW else 60.0)
            )
        self._drained("drain, 2 workers", OURS.name, drain(self._house, OURS, self._jobs, workers=2))
        self._drained("drain with the guard", GUARDED.name, drain(self._house, GUARDED, self._jobs))

    def statements(self) -> None:
        """How many statements a drain takes."""
        with self._house.counting() as statements:
            done = drain(self._house, OURS, self._jobs)
            # Those of the driver, which polls, do not count.
            self._figures.add("statements", OURS.name, per_run=(statements() - done.polls) / self._jobs)

    def history(self) -> None:
        """Drains and triggers beside a million ended runs, an open transaction, and their deletion."""
        on = history.TEMPLATE
        self._drained("drain, empty", OURS.name, drain(self._house, OURS, self._jobs))
        self._drained("drain, history", OURS.name, drain(self._house, OURS, self._jobs, template=on))
        self._drained(
            "drain, retention", OURS.name, drain(self._house, OURS, self._jobs, template=on, beside=history.retention)
        )
        self._drained("drain, held", OURS.name, drain(self._house, OURS, self._jobs, beside=history.open_transaction))
        for stage, template in (("trigger, empty", OURS.template), ("trigger, history", on)):
            self._figures.add(stage, OURS.name, **door.trigger(self._house, 3000, template=template))
        for stage, template in (("page, empty", OURS.template), ("page, history", on)):
            self._figures.add(stage, OURS.name, **over_http.pages(self._house, template, 500))
        self._figures.add("dashboard, history", OURS.name, **over_http.first_page(self._house, on))

    def latency(self) -> None:
        """From a trigger to the handler, and from a cancel request to its end."""
        for one in (CEILING, OURS, PGQUEUER, PROCRASTINATE):
            self._figures.add("pickup", one.name, **latency.pickup(self._house, one, 200))
        self._figures.add("cancel", OURS.name, **latency.cancel(self._house, 60))

    def trigger(self) -> None:
        """Getting runs in by Python."""
        self._figures.add("trigger", CEILING.name, **door.ceiling_trigger(self._house, 5000))
        self._figures.add("trigger", OURS.name, **door.trigger(self._house, 5000))
        self._figures.add("trigger", PGQUEUER.name, **door.bulk(self._house, PGQUEUER, 50_000))

    def http(self) -> None:
        """Getting runs in by HTTP."""
        self._figures.add("http", "bare route", **over_http.bare(3000))
        self._figures.add("http", OURS.name, **over_http.triggers(self._house, 3000))

    def crowd(self) -> None:
        """An honest client beside 200 that hold connections of a server that may open 256 files."""
        self._figures.add("crowd", OURS.name, **over_http.beside_a_crowd(self._house, 200, 256, 10.0))

    def tenant(self) -> None:
        """Others beside a tenant who asks for as much as a team may."""
        self._figures.add("tenant", OURS.name, **tenant.beside_a_tenant(self._house, 15.0))

    def upkeep(self) -> None:
        """An idle server, ten thousand sleepers, and progress."""
        self._figures.add("idle", OURS.name, **upkeep.idle(self._house, OURS))
        self._figures.add("sleepers", OURS.name, **upkeep.sleepers(self._house, 10_000))
        self._figures.add("progress", OURS.name, **upkeep.progress(self._house))

    def cron(self) -> None:
        """How late fires are."""
        for servers in (1, 4):
            self._figures.add("cron", f"{servers} servers", **upkeep.punctuality(self._house, servers))

    def _drained(self, stage: str, name: str, done: Drained) -> None:
        self._figures.add(
            stage,
            name,
            **{
                "jobs a second": done.rate,
                "WAL bytes a job": done.wal_bytes / done.jobs,
                "RSS MB": done.rss / 1_000_000,
                "worker CPU µs a job": done.worker_cpu / done.jobs * 1e6,
            },
        )


STAGES = ("drain", "statements", "history", "latency", "trigger", "http", "crowd", "tenant", "upkeep", "cron")


@click.command()
@click.option("--stage", "stages", type=click.Choice(STAGES), multiple=True, help="Only these.")
@click.option("--rounds", default=3, show_default=True, help="How often all of it is measured.")
@click.option("--jobs", default=100_000, show_default=True, help="How many runs are drained.")
@click.option("--past", default=1_000_000, show_default=True, help="How many ended runs a history has.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("build/bench"), show_default=True)
@click.option("--plots", type=click.Path(file_okay=False, path_type=Path), help="Draw plots into this folder, too.")
def main(stages: tuple[str, ...], rounds: int, jobs: int, past: int, out: Path, plots: Path | None) -> None:
    """Measure OwlRunner beside its peers and beside hand-written SQL, on one PostgreSQL."""
    console = Console(width=140)
    figures = Figures(
        on_new=lambda key, value: console.print(f"{key.stage}: {key.contestant}: {key.metric}: {value:,.3g}")
    )
    out.mkdir(parents=True, exist_ok=True)
    with open_house() as house:
        for template in {one.template: one for one in ALL}.values():
            template.make_template(house)
        wanted = stages or STAGES
        if "history" in wanted:
            history.make_history(house, past)
        for _ in range(rounds):
            measured = Round(house, figures, jobs)
            for stage in wanted:
                measure: Callable[[], None] = getattr(measured, stage)
                measure()
            figures.write(out / "figures.json", GOALS)
            figures.write_goals(out / "goals.md", GOALS)
    show(figures, GOALS, console)
    if plots is not None:
        draw(figures, plots)


if __name__ == "__main__":
    main()
