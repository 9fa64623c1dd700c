"""This is the room for telling the space that rows take from the space that deleted rows left behind.

Deleting makes no database smaller: the space stays with the table, for rows to come. Who only looks at the size would delete
for ever. PostgreSQL's own counters of dead rows lag, and are lost in a crash, so the rows themselves are measured.
"""

import attrs
from psycopg import sql

import owlrunner
from owlrunner_maintenance.names import Name
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.tables import Partition

SAMPLED_PAGES = 16_384
"""How many pages are read at most (128 MB): by chance, that is right within a hundredth."""
MARGIN = 0.02
"""What is deleted beyond the need, as a share of the partition, so that the next look does not find a little left to do."""
_PAGE_HEADER = 24


@attrs.frozen
class Space:
    """What a partition takes, and how much of that its rows need. All in bytes."""

    total: int
    rows: int
    reusable: int
    """What new rows can take before the partition grows."""

    @property
    def bytes_per_row(self) -> float:
        """What one row takes, its share of the indexes included."""
        return (self.total - self.reusable) / self.rows if self.rows else 0.0


async def measure(connection: owlrunner.Connection, partition: Partition) -> Space:
    """Measure a plain partition, by a sample where it is big."""
    ((heap, outside, indexes, page),) = await rows(connection, "space", {"partition": partition.relation.oid})
    pages = heap // page
    if not pages:
        return Space(outside + indexes, 0, 0)
    stored_columns = await rows(connection, "stored_columns", {"partition": partition.relation.oid})
    share = min(1.0, SAMPLED_PAGES / pages)
    ((counted, live),) = await rows(
        connection,
        "live_rows",
        {"percent": 100 * share},
        partition=partition.relation.identifier,
        stored=sql.SQL(" + ").join(
            sql.SQL("coalesce(pg_column_size(owl_row.{}), 0)").format(Name(name)) for (name,) in stored_columns
        ),
    )
    total = heap + outside + indexes
    if not counted:
        return Space(total, 0, total if share == 1.0 else 0)
    # The end of a page that is too short for one more row is nobody's: half a row on average.
    room = pages * (page - _PAGE_HEADER - live / counted / 2) + outside
    used = min(1.0, live / share / room)
    return Space(total, round(counted / share), round(total * (1 - used)))
