"""This is the room for the declared indexes of partitions: which one lacks, and under which names they are made."""

from collections.abc import Mapping

import attrs

import owlrunner
from owlrunner_maintenance.free_names import first_free
from owlrunner_maintenance.names import Name, Relation, numbered
from owlrunner_maintenance.queries import columns, rows
from owlrunner_maintenance.units import Units


@attrs.frozen
class MissingIndex:
    """A declared index that a partition lacks."""

    suffix: str
    columns: tuple[str, ...]
    leftovers: tuple[str, ...]
    """Useless indexes that are there in its stead."""


async def missing_indexes(
    units: Units, relation: Relation, declared: Mapping[str, tuple[str, ...]]
) -> list[MissingIndex]:
    """The declared indexes that the table lacks.

    An index over the same columns stands for the declared one whatever it is called: it may come from the parent.
    """

    async def work(connection: owlrunner.Connection) -> list[MissingIndex]:
        found = await rows(connection, "indexes", {"table": relation.oid})
        usable = {tuple(indexed) for _, valid, indexed in found if valid}
        names = {name: valid for name, valid, _ in found}
        return [
            MissingIndex(
                suffix,
                indexed,
                tuple(
                    name
                    for name, valid, over in found
                    if not valid and (tuple(over) == indexed or name == numbered(relation.name, 1, suffix))
                ),
            )
            for suffix, indexed in declared.items()
            if indexed not in usable and not names.get(numbered(relation.name, 1, suffix), False)
        ]

    return await units.once(work)


async def make_index(units: Units, relation: Relation, missing: MissingIndex) -> str:
    """Make an index beside those who write to the table, after its leftovers are dropped; return its name.

    Raises psycopg.Error, or MaintenanceFailed where every name is taken.
    """
    for leftover in missing.leftovers:
        await rows(units.connection, "drop_index_concurrently", index=Name(relation.schema, leftover))

    async def look(connection: owlrunner.Connection) -> str:
        return (await first_free(connection, relation.schema, relation.name, [missing.suffix]))[0]

    name = await units.once(look)
    await rows(
        units.connection,
        "create_index_concurrently",
        index=Name(name),
        partition=relation.identifier,
        columns=columns(missing.columns),
    )
    return name
