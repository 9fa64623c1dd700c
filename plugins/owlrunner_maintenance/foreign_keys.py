"""This is the room for what hangs on what: the database's foreign keys, and the order of deletion that follows from them."""

from collections.abc import Iterable

import attrs

import owlrunner
from owlrunner_maintenance.names import Relation
from owlrunner_maintenance.queries import rows

_CASCADE = "c"
_REFUSING = ("a", "r")


@attrs.frozen
class ForeignKey:
    """A row of ``child`` refers with ``child_columns`` to the row of ``parent`` that has these values in ``parent_columns``."""

    child: Relation
    parent: Relation
    child_columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    on_delete: str
    """PostgreSQL's letter: c(ascade), a (no action), r(estrict), n (set null), d (set default)."""


@attrs.frozen
class Below:
    """What goes with a row of a root table."""

    spine: frozenset[Relation]
    """The root table and those between it and a row that must be known before it goes: these are locked, row by row."""
    hops: tuple[ForeignKey, ...]
    """Cascading keys from the spine to the spine."""
    order: tuple[Relation, ...]
    """The tables to delete from, each before those that its rows would refuse to let go: the spine and what hangs on it."""
    hanging: tuple[ForeignKey, ...]
    """Cascading keys from the spine to other tables. What hangs on those in turn is left to PostgreSQL's own cascade."""


@attrs.frozen
class ForeignKeys:
    """All foreign keys of a database."""

    keys: tuple[ForeignKey, ...]

    def below(self, root: Relation, linked: Iterable[Relation]) -> Below:
        """What goes with a row of the root, by cascading keys. To the rows of ``linked`` others belong without a key.

        Keys that refuse do not lead further down: what they protect stays, and so does the root.
        """
        cascading = self._cascading_from(root)
        tables = {root, *(key.child for key in cascading)}
        spine = {root, *linked} & tables
        # What refuses must go first, so where it hangs must be known.
        refusing = {key.child for key in self.keys if key.on_delete in _REFUSING and key.parent in tables} & tables
        while more := {key.parent for key in cascading if key.child in spine | refusing} - spine:
            spine |= more
        known = [key for key in cascading if key.parent in spine]
        return Below(
            frozenset(spine),
            tuple(key for key in known if key.child in spine),
            tuple(self.children_first([*spine, *(key.child for key in known)])),
            tuple(key for key in known if key.child not in spine),
        )

    def children_first(self, tables: Iterable[Relation]) -> list[Relation]:
        """The tables, each once, after all those of them that refer to it.

        Where they refer to each other in a circle, a key that refuses counts before one that cascades: PostgreSQL follows the
        latter by itself.
        """
        in_order = sorted(set(tables), key=lambda table: (table.schema, table.name))
        for kinds in ((_CASCADE, *_REFUSING), _REFUSING):
            in_order = self._sorted(in_order, kinds)
        return in_order

    def reached_from(self, table: Relation) -> set[Relation]:
        """The tables of which rows may go by PostgreSQL's cascade when one of the table goes."""
        return {key.child for key in self._cascading_from(table)}

    def refusing(self, table: Relation) -> list[ForeignKey]:
        """The keys by which a row keeps one of this table from being deleted."""
        return [key for key in self.keys if key.parent == table and key.on_delete in _REFUSING]

    def _sorted(self, tables: list[Relation], kinds: tuple[str, ...]) -> list[Relation]:
        ordered: list[Relation] = []
        seen: set[Relation] = set()

        def visit(table: Relation) -> None:
            if table in seen:
                return
            seen.add(table)
            for key in self.keys:
                if key.parent == table and key.on_delete in kinds and key.child in tables:
                    visit(key.child)
            ordered.append(table)

        for table in tables:
            visit(table)
        return ordered

    def _cascading_from(self, root: Relation) -> list[ForeignKey]:
        found: list[ForeignKey] = []
        reached = {root}
        while more := [k for k in self.keys if k.on_delete == _CASCADE and k.parent in reached and k not in found]:
            found += more
            reached |= {key.child for key in more}
        return found


async def foreign_keys(connection: owlrunner.Connection) -> ForeignKeys:
    """Read them."""
    return ForeignKeys(
        tuple(
            ForeignKey(Relation(*row[0:3]), Relation(*row[3:6]), tuple(row[6]), tuple(row[7]), row[8])
            for row in await rows(connection, "foreign_keys")
        )
    )
