"""This is the room for tables: a line for each row under a header, every column as wide as it must be."""

from collections.abc import Mapping, Sequence

import click


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], colours: Mapping[str, Mapping[str, str]]) -> str:
    """The rows under their header. Nothing is cut: one wants to copy ids.

    ``colours`` gives, by the head of a column, the colour of a cell by its last word.
    """
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    header = "  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)).rstrip()
    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [
        "  ".join(
            _painted(cell, width, colours.get(head, {})) for head, cell, width in zip(heads, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([click.style(header, bold=True), rule, *lines])


def _painted(cell: str, width: int, colours: Mapping[str, str]) -> str:
    colour = colours.get(cell.rpartition(" ")[2])
    return cell.ljust(width) if colour is None else click.style(cell.ljust(width), fg=colour)
