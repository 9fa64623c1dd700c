"""db_pruning: the oldest goes first, no more than is needed, and never what is still wanted."""

from tests.plugins.maintenance_world import World

PAST = ("2024_01", "2024_02", "2024_03")


def with_months(world: World, *months: str, parent: str = "events") -> None:
    """Partitions for these months, as partition_creation makes them."""
    for month in months:
        world.sql(
            f"create table {parent}_{month} partition of {parent} for values"
            f" from ('{month.replace('_', '-')}-01 00:00+00') to (timestamptz '{month.replace('_', '-')}-01 00:00+00' + interval '1 month')"  # noqa: E501
        )


async def test_old_partitions_go_and_the_current_one_stays(maintained: World) -> None:
    """With a limit that nothing satisfies, all past partitions are dropped, oldest first, and the current month stays."""
    maintained.sql("set timezone = 'UTC'")
    with_months(maintained, *PAST, "2024_05")
    result = await maintained.result("db_pruning", {"max_size_bytes": 1})
    assert result["dropped_partitions"] == [f"events_{month}" for month in PAST]
    assert maintained.partitions("events") == ["events_2024_05"]
    assert (result["deleted_rows"], result["within_limit"]) == (0, False)
    assert result["current_size_gb"] > 0
