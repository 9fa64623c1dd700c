"""This is the room for the question which of the declared indexes a partition lacks."""

from collections.abc import Mapping

import owlrunner
from owlrunner_maintenance.names import Relation
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.units import Units


async def missing_indexes(
    units: Units, relation: Relation, declared: Mapping[str, tuple[str, ...]]
) -> list[tuple[str, bool]]:
    """The suffixes of the declared indexes that the table lacks, each with whether a useless one of that name is in the way.

    An index over the same columns stands for the declared one whatever it is called: it may come from the parent.
    """

    async def work(connection: owlrunner.Connection) -> list[tuple[str, bool]]:
        found = await rows(connection, "indexes", {"table": relation.oid})
        usable = {tuple(indexed) for _, valid, indexed in found if valid}
        names = {name: valid for name, valid, _ in found}
        return [
            (suffix, not names.get(f"{relation.name}_{suffix}", True))
            for suffix, indexed in declared.items()
            if indexed not in usable and not names.get(f"{relation.name}_{suffix}", False)
        ]

    return await units.once(work)
