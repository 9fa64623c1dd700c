"""This is the room for telling the space that rows take from the space that deleted rows left behind.

Deleting makes no database smaller: the space stays with the table, for rows to come. Who only looks at the size would delete
for ever. PostgreSQL's own counters of dead rows lag, and are lost in a crash, so the rows themselves are measured.
"""

from psycopg import sql

import owlrunner
from owlrunner_maintenance.names import Name, Relation
from owlrunner_maintenance.oldest import UNKNOWN, OldRow, Space
from owlrunner_maintenance.queries import rows

SAMPLED_PAGES = 16_384
"""How many pages are read at most (128 MB): by chance, that is right within a hundredth."""
_PAGE_HEADER = 24


async def measure(connection: owlrunner.Connection, table: Relation) -> Space:
    """Measure a plain table, by a sample where it is big."""
    found = await rows(connection, "space", {"partition": table.oid})
    if not found:
        # Dropped by somebody else since it was found.
        return UNKNOWN
    ((heap, outside, total, page),) = found
    pages = heap // page
    if not pages:
        return Space(total, 0, 0)
    share = min(1.0, SAMPLED_PAGES / pages)
    ((counted, live),) = await rows(
        connection,
        "live_rows",
        {"percent": 100 * share},
        partition=table.identifier,
        stored=await stored_bytes(connection, table),
    )
    if not counted:
        return Space(total, 0, total if share == 1.0 else 0, emptying_frees=share == 1.0)
    # The end of a page that is too short for one more row is nobody's: half a row on average.
    room = pages * (page - _PAGE_HEADER - live / counted / 2) + outside
    used = min(1.0, live / share / room)
    return Space(total, round(counted / share), round(total * (1 - used)), live / share, emptying_frees=True)


async def oldest_rows(
    connection: owlrunner.Connection, table: Relation, column: str, space: Space, most: int
) -> list[OldRow]:
    """The oldest rows of a plain table, with what the deletion of each frees."""
    found = await rows(
        connection,
        "oldest_rows",
        {"rows": most},
        partition=table.identifier,
        column=Name(column),
        stored=await stored_bytes(connection, table),
    )
    return [OldRow(place, written, moment, size * space.weight) for place, written, moment, size in found]


async def stored_bytes(connection: owlrunner.Connection, table: Relation) -> sql.Composed:
    """The bytes of a row's values as they are stored."""
    names = await rows(connection, "stored_columns", {"partition": table.oid})
    return sql.SQL(" + ").join(
        sql.SQL("coalesce(pg_column_size(owl_row.{}), 0)").format(Name(name)) for (name,) in names
    )
