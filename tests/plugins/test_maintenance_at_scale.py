"""The maintenance jobs on a million events, beside those who write."""

from tests.plugins.maintenance_world import APP, World


async def test_the_million_is_there(million_events: World) -> None:
    """The events that these tests begin with are a million, half of them one app's, over seven months with indexes."""
    assert million_events.sql(
        "select count(*), count(*) filter (where app_id = %s), count(distinct tableoid) from events", APP
    ) == [(1_000_000, 500_000, 7)]
    assert million_events.one("select count(*) from pg_indexes where tablename like 'events_2%%' limit %s", 1) == 63
