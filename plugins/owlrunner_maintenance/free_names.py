"""This is the room for finding names that nothing in a schema has yet."""

from collections.abc import Sequence

import owlrunner
from owlrunner_maintenance.names import MOST_NAMESAKES, numbered
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.units import MaintenanceFailed


async def first_free(
    connection: owlrunner.Connection, schema: str, name: str, suffixes: Sequence[str]
) -> tuple[str, ...]:
    """The name with each suffix, none of which is taken: as they are, or with the first number with which all are free.

    Raises MaintenanceFailed where the name is taken with every number.
    """
    for number in range(1, MOST_NAMESAKES + 1):
        names = tuple(numbered(name, number, suffix) for suffix in suffixes)
        if not await taken(connection, schema, names):
            return names
    raise MaintenanceFailed(f"the name {name} is taken, with every number up to {MOST_NAMESAKES}")


async def taken(connection: owlrunner.Connection, schema: str, names: Sequence[str]) -> dict[str, str]:
    """Those of the names that are taken, each with what has it."""
    return dict(await rows(connection, "taken_names", {"schema": schema, "names": list(names)}))
