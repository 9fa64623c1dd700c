"""P5 and P6 in a storm: servers are killed and started at random while schedules fire, and every fire time is decided once."""

import logging
import os
import random
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import trio

from owlrunner.plugins import Catalog
from owlrunner.schedule import Schedule, due_fires
from owlrunner.schedules_file import load_schedules
from tests.promises import fast_time
from tests.promises.serving import Door, ServerProcess, StartProcess

SERVERS = 5
KILLS = 10
CHANGES_BETWEEN_KILLS = (10, 40)
FIRE_TIMES = 60
LEASE = 2
PATIENCE = 240.0

SCHEDULES = """
[schedules.each_minute]
job_type = "alone"
cron = "* * * * *"
missed = "all"
params = { steps = 10, seconds = 0.05 }

[schedules.too_long]
job_type = "requeued"
cron = "* * * * *"
missed = "all"
overlap = "queue"
params = { steps = 15, seconds = 0.1 }

[schedules.spread]
job_type = "polite"
cron = "*/2 * * * *"
timezone = "Asia/Kathmandu"
jitter = 30
params = { steps = 5, seconds = 0.1 }
""" + "".join(
    f"""
[schedules.side_by_side_{number}]
job_type = "parallel"
cron = "* * * * *"
params = {{ steps = {number}, seconds = 0.2 }}
"""
    for number in range(1, 5)
)


class Herd:
    """Servers of which some are killed all the time, and others take their place."""

    def __init__(self, start: StartProcess, schedules: Path, chance: random.Random) -> None:
        self._start = start
        self._schedules = schedules
        self._chance = chance
        self._named = 0
        self.living: dict[str, ServerProcess] = {}

    def add(self, name: str = "") -> None:
        """Start one more, under a name of its own or that of a dead one; it need not be ready."""
        self._named += not name
        name = name or f"owl-{self._named}"
        self.living[name] = self._start(
            name,
            lease=LEASE,
            schedules=self._schedules,
            plugins='["tests.promises.promise_jobs", "tests.promises.fast_time"]',
        )

    def strike(self) -> None:
        """Kill one and start one, half of the time under the same name."""
        victim = self._chance.choice(list(self.living))
        self.living.pop(victim).kill()
        self.add(victim if self._chance.random() < 0.5 else "")


async def fire_times(door: Door, schedule: Schedule) -> tuple[list[datetime], list[datetime]]:
    """The fire times of a schedule from its first deploy until it was last decided, and those on record."""
    rows = await door.sql(
        "select created_at, decided_until, array(select fire_time from schedule_fires f where f.schedule = s.name order by 1)"
        " from schedules s where name = %s",
        schedule.name,
    )
    ((since, until, on_record),) = rows
    return [due.time for due in due_fires(schedule, since, until)], on_record


async def is_over(door: Door, wanted: list[Schedule], storm_end: datetime, living: set[str]) -> bool:
    """Whether all that was due in the storm has been decided, and the dead hold nothing any more."""
    for schedule in wanted:
        decided, _ = await fire_times(door, schedule)
        if not decided or schedule.cron.next(decided[-1]) <= storm_end:
            return False
    held = await door.sql(
        "select id from servers where buried_at is null and name <> all(%s)"
        " union all select id from job_runs r where status = 'running'"
        " and not exists (select from servers s where s.id = r.server_id and s.buried_at is null)",
        sorted(living),
    )
    return not held


async def test_kills_at_random_double_and_lose_no_fire(
    door: Door, server_process: StartProcess, catalog: Catalog, tmp_path: Path
) -> None:
    """While servers die and start at random, each fire time comes on record once, with one run at most, and no run stays behind."""
    seed = os.environ.get("OWLRUNNER_TEST_SEED") or str(uuid4())
    # Shown where the test fails.
    logging.getLogger(__name__).warning("to have the same chances again: OWLRUNNER_TEST_SEED=%s", seed)
    chance = random.Random(seed)  # noqa: S311 - nothing is kept secret by it
    file = tmp_path / "schedules.toml"
    file.write_text(SCHEDULES)
    wanted = load_schedules(file, catalog)
    async with door.db.session() as session:
        await fast_time.install(session)
    herd = Herd(server_process, file, chance)
    with trio.fail_after(PATIENCE):
        async with door.changes() as changes:
            for _ in range(SERVERS):
                herd.add()
            # One that cannot start at all is told here, with its log.
            for server in list(herd.living.values()):
                await server.ready()
            kills, count = 0, 0
            while kills < KILLS or count < FIRE_TIMES:
                for _ in range(chance.randint(*CHANGES_BETWEEN_KILLS)):
                    await anext(changes)
                herd.strike()
                kills += 1
                ((count,),) = await door.sql("select count(*) from schedule_fires")
            ((storm_end,),) = await door.sql("select owl_now()")
            while not await is_over(door, wanted, storm_end, set(herd.living)):
                await anext(changes)

    for schedule in wanted:
        expected, on_record = await fire_times(door, schedule)
        assert on_record == expected, schedule.name
    doubled = "select schedule, fire_time from job_runs group by 1, 2 having count(*) > 1"
    assert await door.sql(doubled) == []
    lost = (
        "select schedule, fire_time from schedule_fires f where outcome = 'ran'"
        " and not exists (select from job_runs r where r.id = f.run_id and (r.schedule, r.fire_time) = (f.schedule, f.fire_time))"
    )
    assert await door.sql(lost) == []
    unrecorded = "select id from job_runs r where not exists (select from schedule_fires f where f.run_id = r.id)"
    assert await door.sql(unrecorded) == []
    # With missed = "all" none is given up, whoever died.
    assert await door.sql(
        "select count(*) from schedule_fires where outcome = 'missed' and schedule in ('each_minute', 'too_long')"
    ) == [(0,)]
    # Requeued runs complete in the end, and none of them ever met another one of its job type at work.
    assert await door.sql(
        "select distinct status::text, error from job_runs where job_type = 'alone' and completed_at is not null"
    ) == [("completed", None)]
    ((claimants,),) = await door.sql("select count(distinct server_id) from job_runs")
    assert claimants > 2
