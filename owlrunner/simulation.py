"""This is the room for trying schedules out on paper: which fire times would lead to a run if each run took so long.

Pure values, and the servers' own rules: one active run per job type, ties by the schedules' names, the same share of the jitter.
It supposes that a server is always there with room for every run, and that nothing is active at the beginning.
"""

import heapq
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import attrs

from owlrunner.errors import InvalidRequest
from owlrunner.schedule import FireOutcome, Schedule, start_delay

MOST_FIRES = 100_000
_INSTANT = timedelta(microseconds=1)


@attrs.frozen
class SimulatedFire:
    """What would become of one fire time: ``ran``, ``skipped`` or ``queued``."""

    schedule: Schedule
    time: datetime
    outcome: FireOutcome
    starts_at: datetime | None = None
    """When its run would start: the jitter comes in between, and the wait of a fire that is queued. None where it is skipped."""
    ends_at: datetime | None = None
    blocked_by: "SimulatedFire | None" = None
    """Whose run was active at the fire time."""
    another_waits: bool = False
    """Skipped though its schedule queues: one fire waits already."""


def upcoming(schedules: Iterable[Schedule], start: datetime) -> Iterator[tuple[datetime, Schedule]]:
    """The fire times of all schedules strictly after ``start`` in order; those of one instant by the schedules' names."""
    # The place keeps heapq from comparing schedules, should two have one name.
    ordered = enumerate(sorted(schedules, key=lambda schedule: schedule.name))
    streams = [_fires(place, schedule, start) for place, schedule in ordered]
    return ((time, schedule) for time, _, schedule in heapq.merge(*streams, key=lambda fire: fire[:2]))


def _fires(place: int, schedule: Schedule, start: datetime) -> Iterator[tuple[datetime, int, Schedule]]:
    return ((time, place, schedule) for time in schedule.cron.after(start))


def simulate(
    schedules: Iterable[Schedule],
    start: datetime,
    end: datetime,
    *,
    durations: Mapping[str, timedelta],
    default: timedelta = timedelta(0),
    overlapping: Collection[str] = (),
) -> list[SimulatedFire]:
    """What becomes of each fire time with ``start`` <= time < ``end``, in order.

    ``durations`` says by job type how long a run takes; ``overlapping`` are the job types of which several runs may be active.

    Raises InvalidRequest for more than MOST_FIRES.
    """
    simulation = _Simulation(durations, default, overlapping)
    # Fire times are whole seconds, and after() leaves out the instant it is given.
    fires = itertools.takewhile(lambda fire: fire[0] < end, upcoming(schedules, start - _INSTANT))
    for count, (time, schedule) in enumerate(fires, 1):
        if count > MOST_FIRES:
            raise InvalidRequest(
                f"more than {MOST_FIRES:,} fire times lie in between, the last of them at {time.isoformat()}: choose a shorter span"
            )
        simulation.start_waiting(until=time)
        simulation.decide(schedule, time)
    simulation.start_waiting(until=None)
    return simulation.fires


class _Simulation:
    """The fires so far, and per job type the one whose run has the slot, and those that wait for it."""

    def __init__(self, durations: Mapping[str, timedelta], default: timedelta, overlapping: Collection[str]) -> None:
        self.fires: list[SimulatedFire] = []
        self._durations = durations
        self._default = default
        self._overlapping = overlapping
        self._active: dict[str, tuple[datetime, SimulatedFire]] = {}
        self._waiting: dict[str, list[int]] = {}

    def decide(self, schedule: Schedule, time: datetime) -> None:
        """Decide one fire time as a server would."""
        active = self._active_at(schedule.job_type, time)
        if active is None:
            self._run(SimulatedFire(schedule, time, FireOutcome.RAN), at=time)
            return
        waiting = self._waiting.setdefault(schedule.job_type, [])
        another_waits = any(self.fires[index].schedule is schedule for index in waiting)
        queues = schedule.overlap == "queue" and not another_waits
        if queues:
            waiting.append(len(self.fires))
        self.fires.append(
            SimulatedFire(
                schedule,
                time,
                FireOutcome.QUEUED if queues else FireOutcome.SKIPPED,
                blocked_by=active,
                another_waits=another_waits,
            )
        )

    def start_waiting(self, until: datetime | None) -> None:
        """Give the fires that wait their runs, one after the other, as far as the slot gets free until that time.

        What waits goes before what is due at the very instant, as on a server.
        """
        for job_type, waiting in self._waiting.items():
            while waiting:
                free = self._active[job_type][1].ends_at
                if free is None or (until is not None and free > until):
                    break
                self._run(self.fires[waiting[0]], at=free, place=waiting.pop(0))

    def _run(self, fire: SimulatedFire, *, at: datetime, place: int | None = None) -> None:
        """Give a fire its run, which is triggered at ``at`` and takes the slot from then on."""
        job_type = fire.schedule.job_type
        starts_at = at + start_delay(fire.schedule, fire.time)
        fire = attrs.evolve(fire, starts_at=starts_at, ends_at=starts_at + self._durations.get(job_type, self._default))
        if place is None:
            self.fires.append(fire)
        else:
            self.fires[place] = fire
        if job_type not in self._overlapping:
            self._active[job_type] = (at, fire)

    def _active_at(self, job_type: str, time: datetime) -> SimulatedFire | None:
        """The fire whose run has the slot. A run that takes no time still has it when the next schedule is looked at."""
        triggered_at, fire = self._active.get(job_type, (None, None))
        if fire is None or fire.ends_at is None:
            return None
        return fire if triggered_at == time or fire.ends_at > time else None
