"""soft_delete_cleanup on a million events, beside those who write: nobody who lives loses an event, nobody who went leaves one."""

import threading
from collections import Counter
from uuid import UUID

import attrs
import psycopg
import pytest

from tests.plugins.maintenance_world import APP, NOW, OTHER_APP, World
from tests.plugins.soft_deleted import Team, team

pytestmark = pytest.mark.slow

INSERT = (
    "insert into events (app_id, session_id, level, message, timestamp)"
    " select id, gen_random_uuid(), 'info', %s, %s from apps where id = %s for key share"
)
"""As a careful writer does it: the app is held until the event is committed."""


@attrs.define
class Writer:
    """Somebody who puts events of one app in, one after the other, as long as there is such an app."""

    url: str
    app: str
    stop: threading.Event
    written: int = 0
    turned_away: int = 0
    errors: list[psycopg.Error] = attrs.field(factory=list)

    def write(self) -> None:
        """Write until it is time to stop, and once more after the app is gone."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self.stop.is_set() and not self.turned_away:
                try:
                    cursor = connection.execute(INSERT, (f"{self.app} {self.written}", NOW, self.app))
                except psycopg.Error as error:
                    self.errors.append(error)
                else:
                    self.written += cursor.rowcount
                    self.turned_away += not cursor.rowcount


def with_app(world: World, slug: str, app: str) -> Team:
    """A team whose app is the one of half of the million events."""
    made = team(world, slug, events=0)
    world.sql("delete from app_user_apps where app_id = %s", made.app)
    world.sql("update apps set id = %s where id = %s", app, made.app)
    return attrs.evolve(made, app=UUID(app))


async def test_half_a_million_events_go_beside_writers(million_events: World) -> None:
    """Half a million events of an expired team go in batches; no insert for another app fails or is lost, and none is orphaned."""
    world = million_events
    gone, living = with_app(world, "gone", APP), with_app(world, "living", OTHER_APP)
    gone.delete("teams", gone.id)
    stop = threading.Event()
    writers = [Writer(world.url, app, stop) for app in (APP, OTHER_APP)]
    threads = [threading.Thread(target=one.write) for one in writers]
    for thread in threads:
        thread.start()
    try:
        report = await world.run("soft_delete_cleanup")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    late, beside = writers
    assert [one.errors for one in writers] == [[], []]
    assert (report.status, report.result["teams"], report.result["apps"]) == ("completed", 1, 1)
    assert "notRemoved" not in report.result
    assert report.result["events"] == 500_000 + late.written
    assert (late.written > 0, late.turned_away, beside.turned_away) == (True, 1, 0)
    assert Counter(dict(world.sql("select app_id::text, count(*) from events group by 1"))) == {
        OTHER_APP: 500_000 + beside.written
    }
    assert (gone.there(), living.there()) == ((False, False, False), (True, True, True))
