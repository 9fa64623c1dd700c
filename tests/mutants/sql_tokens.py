"""What SQL consists of, with places: PostgreSQL's lexical rules, and the two kinds of gaps that our queries have.

Parsers were weighed. sqlglot keeps no places for clauses, and takes neither ``for {strength}`` nor ``%(name)s::uuid[]`` for what
they are. pglast is PostgreSQL's own parser, but tells where a node begins and not where it ends, refuses the gaps, and has a
licence (GPL) that ours cannot follow. What is dropped and turned here is told by key words and parentheses, and PostgreSQL itself
judges the result.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space> \s+ | --[^\n]* | /\*.*?\*/ )
    | (?P<text> [eE]'(?:[^'\\]|''|\\.)*' | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<gap> %\(\w+\)s | %% | \{\w+\} )
    | (?P<name> "(?:[^"]|"")*" )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<number> \d[\w.]* )
    | (?P<mark> :: | [()\[\],;.:] )
    | (?P<operator> (?:(?!%\(|--|/\*)[-+*/<>=~!@\#%^&|`?])+ )
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A word, a name, a text, a number, an operator, a mark, or a gap that is filled in later."""

    kind: str
    text: str
    """Words in lower case."""
    start: int
    end: int
    depth: int
    """In how many parentheses it stands; these themselves stand outside."""


def tokens(sql: str) -> list[Token]:
    """The tokens of a text, without white space and comments. Raises ValueError where there is none."""
    return list(_tokens(sql))


def _tokens(sql: str) -> Iterator[Token]:
    place = depth = 0
    while place < len(sql):
        match = _TOKEN.match(sql, place)
        if match is None:
            raise ValueError(f"no token begins with {sql[place : place + 20]!r}")
        place = match.end()
        kind, text = str(match.lastgroup if match.lastgroup != "tag" else "text"), match.group()
        if kind == "space":
            continue
        depth -= text in {")", "]"}
        yield Token(kind, text.lower() if kind == "word" else text, match.start(), place, depth)
        depth += text in {"(", "["}
