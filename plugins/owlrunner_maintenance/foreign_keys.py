"""This is the room for what hangs on what: the database's foreign keys, and the order of deletion that follows from them."""

from collections.abc import Iterator
from typing import NamedTuple

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


Chain = tuple[ForeignKey, ...]
"""Foreign keys from a root downwards, each of which goes on where the one before ends."""


class Below(NamedTuple):
    """A table that hangs on a root, and every chain by which it does."""

    table: Relation
    chains: tuple[Chain, ...]


@attrs.frozen
class ForeignKeys:
    """All foreign keys of a database."""

    keys: tuple[ForeignKey, ...]

    def below(self, root: Relation) -> list[Below]:
        """The tables whose rows go with a row of the root, children before their parents.

        That is what cascading keys lead to; where another kind of key is in the way, the order sees to it that its rows go
        first, if they are to go at all.
        """
        chains: dict[Relation, list[Chain]] = {}
        for chain in self._chains(root, ()):
            chains.setdefault(chain[-1].child, []).append(chain)
        return [Below(table, tuple(chains[table])) for table in self.children_first([root, *chains]) if table in chains]

    def children_first(self, tables: list[Relation]) -> list[Relation]:
        """The tables, each after all those of them that refer to it; where they refer to each other, in some order."""
        ordered: list[Relation] = []
        seen: set[Relation] = set()

        def visit(table: Relation) -> None:
            if table in seen:
                return
            seen.add(table)
            for key in self.keys:
                if key.parent == table and key.child in tables:
                    visit(key.child)
            ordered.append(table)

        for table in tables:
            visit(table)
        return ordered

    def refusing(self, table: Relation) -> list[ForeignKey]:
        """The keys by which a row of another table keeps one of this table from being deleted."""
        return [key for key in self.keys if key.parent == table and key.on_delete in _REFUSING and key.child != table]

    def _chains(self, table: Relation, so_far: Chain) -> Iterator[Chain]:
        """Every chain of cascading keys that begins with ``so_far``, which ends at the table. No table twice in one."""
        for key in self.keys:
            visited = {table, *(one.parent for one in so_far)}
            if key.parent == table and key.on_delete == _CASCADE and key.child not in visited:
                chain = (*so_far, key)
                yield chain
                yield from self._chains(key.child, chain)


async def foreign_keys(connection: owlrunner.Connection) -> ForeignKeys:
    """Read them."""
    return ForeignKeys(
        tuple(
            ForeignKey(Relation(*row[0:3]), Relation(*row[3:6]), tuple(row[6]), tuple(row[7]), row[8])
            for row in await rows(connection, "foreign_keys")
        )
    )
