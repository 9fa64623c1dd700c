"""This is the room for making one partition: under a free name, with its indexes, and with its rows out of a default partition."""

import attrs
from psycopg import sql

import owlrunner
from owlrunner_maintenance.free_names import first_free, taken
from owlrunner_maintenance.months import Month, Span, as_bound
from owlrunner_maintenance.names import Name, Names
from owlrunner_maintenance.queries import changed, columns, rows
from owlrunner_maintenance.settings import MaintenanceSettings, PartitionedTable
from owlrunner_maintenance.tables import Parent, Partition
from owlrunner_maintenance.units import MaintenanceFailed

FOREIGN = "f"


@attrs.frozen
class Made:
    """A partition that was made."""

    name: str
    """As people know it."""
    instead_of: str = ""
    """What has the name that it would have had, such as "table events_2024_05"; "" where it has that."""
    moved: int = 0
    """How many rows it got out of the default partition."""


class RowsInDefault(MaintenanceFailed):
    """Rows of the span lie in the default partition, which no other partition may then cover."""

    def __init__(self, partition: str, found: int, why_not_moved: str) -> None:
        super().__init__(f"{found} rows of it lie in the default partition {partition}: {why_not_moved}")
        self.partition, self.rows, self.why_not_moved = partition, found, why_not_moved


@attrs.frozen
class NewPartition:
    """A span of a month that no partition covers."""

    settings: MaintenanceSettings
    table: PartitionedTable
    parent: Parent
    default: Partition | None
    month: Month
    span: Span

    async def create(self, connection: owlrunner.Connection) -> Made:
        """Make it with its indexes, in the transaction under way.

        Raises RowsInDefault, MaintenanceFailed where every name is taken, and psycopg.Error.
        """
        in_default = await self._rows_in_default(connection)
        schema, usual = self.parent.relation.schema, f"{self.parent.relation.name}_{self.month}"
        suffixes = ["", *self.table.indexes]
        name, *index_names = await first_free(connection, schema, usual, suffixes)
        has_name = await taken(connection, schema, [usual]) if name != usual else {}
        await self._create_table(connection, Name(schema, name))
        for index, indexed in zip(index_names, self.table.indexes.values(), strict=True):
            await rows(
                connection,
                "create_index",
                index=Name(index),
                partition=Name(schema, name),
                columns=columns(indexed),
            )
        moved = await self._move(connection, Name(schema, name)) if in_default else 0
        await rows(
            connection,
            "attach_partition",
            parent=self.parent.relation.identifier,
            partition=Name(schema, name),
            lower=sql.Literal(as_bound(self.span.start)),
            upper=sql.Literal(as_bound(self.span.end)),
        )
        label = Names.of(self.table.table).label
        return Made(label(name), f"{has_name[usual]} {label(usual)}" if has_name else "", moved)

    async def _create_table(self, connection: owlrunner.Connection, partition: Name) -> None:
        tablespace = self.parent.tablespace
        await rows(
            connection,
            "create_table_like",
            partition=partition,
            parent=self.parent.relation.identifier,
            tablespace=sql.SQL("tablespace {}").format(Name(tablespace)) if tablespace else sql.SQL(""),
        )

    async def _rows_in_default(self, connection: owlrunner.Connection) -> int:
        """How many rows of the span are to be moved; raises RowsInDefault when there are some that cannot."""
        if self.default is None or self.default.kind == FOREIGN:
            return 0
        most = self.settings.max_pruned_rows
        partition = self.default.relation.identifier
        ((found,),) = await rows(connection, "rows_in_default", {"rows": most + 1}, partition=partition, **self._range)
        if not found:
            return 0
        why_not = ""
        if not self.settings.move_from_default:
            why_not = "move_from_default is not set"
        elif found > most:
            why_not = "they are more than may be moved at once (max_pruned_rows)"
        elif (await rows(connection, "reacts_to_deletion", {"table": self.default.relation.oid}))[0][0]:
            why_not = "a trigger or a foreign key reacts to their deletion there"
        if why_not:
            raise RowsInDefault(Names.of(self.table.table).label(self.default.relation.name), int(found), why_not)
        return int(found)

    async def _move(self, connection: owlrunner.Connection, partition: Name) -> int:
        if self.default is None:
            return 0
        default = self.default.relation.identifier
        # What attaching takes anyway; taken first, so that no row comes in behind us, and nobody who writes deadlocks with us.
        await rows(connection, "lock_partition", partition=default, wait=sql.SQL(""))
        written = await rows(connection, "plain_columns", {"table": self.parent.relation.oid})
        return await changed(
            connection,
            "move_from_default",
            {},
            partition=partition,
            default=default,
            columns=columns(tuple(name for (name,) in written)),
            **self._range,
        )

    @property
    def _range(self) -> dict[str, sql.Composable]:
        """The span as a condition: the zone of a literal is dropped by columns without one, as it is in bounds."""
        return {
            "column": Name(self.parent.column),
            "lower": sql.Literal(as_bound(self.span.start)),
            "upper": sql.Literal(as_bound(self.span.end)),
        }
