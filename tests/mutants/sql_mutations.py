"""Changes of SQL that a test should notice: a condition, a lock, an order or a limit fewer, or another one."""

from collections.abc import Iterable, Iterator, Sequence

from tests.mutants.mutant import Change
from tests.mutants.sql_tokens import Token, tokens

_TURNED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "=": "<>", "<>": "=", "and": "or", "or": "and"} | {
    "greatest": "least",
    "least": "greatest",
    "asc": "desc",
    "desc": "asc",
}
_KINDS = {
    "and": "and-or",
    "or": "and-or",
    "greatest": "extreme",
    "least": "extreme",
    "asc": "direction",
    "desc": "direction",
}
_CONDITION = {"where", "on", "having", "when", "filter"}
"""After these a condition stands, even if it is one alone."""
_BOUNDS = {
    *(
        "select",
        "from",
        "where",
        "on",
        "having",
        "when",
        "then",
        "else",
        "end",
        "case",
        "group",
        "order",
        "limit",
        "offset",
        "for",
        "union",
    ),
    *(
        "returning",
        "join",
        "left",
        "cross",
        "inner",
        "right",
        "full",
        "lateral",
        "set",
        "values",
        "do",
        "as",
        "with",
        "window",
        "insert",
        "update",
    ),
}
"""No condition goes on over one of these in the same parentheses."""


def changes(sql: str) -> Iterator[Change]:
    """All changes of a text."""
    found = tokens(sql)
    for place, token in enumerate(found):
        if token.kind in {"word", "operator"}:
            yield from _turned(found, place)
            yield from _dropped(found, place)
        if token.text == "coalesce":
            yield from _without_default(sql, found, place)
        if token.text == "order":
            yield from _order(sql, found, place)
    for region, alone in _conditions(found):
        yield from _without_parts(region, alone=alone)


def _turned(found: Sequence[Token], place: int) -> Iterator[Change]:
    token = found[place]
    turned = _TURNED.get(token.text)
    if turned is None or _is_assignment(found, place) or _is_between(found, place):
        return
    yield Change(token.start, token.end, turned, _KINDS.get(token.text, "comparison"))


def _is_assignment(found: Sequence[Token], place: int) -> bool:
    """Whether this is the sign of ``set name = value``."""
    if found[place].text != "=" or place < 2 or found[place - 2].text not in {"set", ","}:
        return False
    depth = found[place].depth
    clauses = [
        one.text
        for one in found[:place]
        if one.depth == depth and one.text in _BOUNDS - {"case", "when", "then", "else", "end"}
    ]
    return clauses[-1:] == ["set"]


def _is_between(found: Sequence[Token], place: int) -> bool:
    """Whether this is the second half of ``between a and b``."""
    depth = found[place].depth
    before = [
        one.text
        for one in found[:place]
        if one.depth == depth and one.text in {"between", "and", "or", "where", "on", "when"}
    ]
    return found[place].text == "and" and before[-1:] == ["between"]


def _dropped(found: Sequence[Token], place: int) -> Iterator[Change]:
    token, follow = found[place], [one.text for one in found[place + 1 : place + 4]]
    if token.text == "not" and follow[:1] != ["materialized"]:
        yield Change(token.start, found[place + 1].start, "", "not")
    if token.text == "is" and follow[:1] in (["null"], ["distinct"]):
        yield Change(token.end, token.end, " not", "not")
    if token.text == "limit":
        yield Change(token.start, _end(found, place), "", "limit")
    if token.text == "skip" and follow[:1] == ["locked"]:
        yield Change(token.start, found[place + 1].end, "", "skip-locked")
    if token.text == "for" and follow[:1] and follow[0] in {"update", "no", "share", "key"}:
        yield Change(token.start, _end(found, place), "", "lock")


def _end(found: Sequence[Token], place: int) -> int:
    """Where the clause ends that begins with this token."""
    end = found[place].end
    for index in range(place + 1, len(found)):
        one = found[index]
        if one.depth < found[place].depth or one.text == ";":
            break
        if one.depth == found[place].depth and one.text in {"for", "union", "limit", "offset"}:
            break
        end = one.end
    return end


def _without_default(sql: str, found: Sequence[Token], place: int) -> Iterator[Change]:
    inside = _inside(found, place + 1)
    first = _parts(inside, {","})[0]
    if first and len(first) < len(inside):
        close = found[place + 2 + len(inside)]
        yield Change(found[place].start, close.end, sql[first[0].start : first[-1].end], "coalesce")


def _inside(found: Sequence[Token], opening: int) -> list[Token]:
    """What stands in the parentheses that open here."""
    depth = found[opening].depth
    inside = []
    for one in found[opening + 1 :]:
        if one.depth <= depth:
            break
        inside.append(one)
    return inside


def _parts(region: Sequence[Token], separators: Iterable[str]) -> list[list[Token]]:
    """A region taken apart at separators outside of parentheses."""
    parts: list[list[Token]] = [[]]
    for index, one in enumerate(region):
        if region and one.depth == region[0].depth and one.text in separators and not _is_between(region, index):
            parts.append([])
        else:
            parts[-1].append(one)
    return parts


def _order(sql: str, found: Sequence[Token], place: int) -> Iterator[Change]:
    """Each term of an order fewer, or the other way round."""
    region = []
    for one in found[place + 2 :]:
        depth = found[place].depth
        if (
            one.depth < depth
            or one.text == ";"
            or (one.depth == depth and one.text in _BOUNDS - {"case", "when", "then", "else", "end"})
        ):
            break
        region.append(one)
    terms = [term for term in _parts(region, {","}) if term]
    for index, term in enumerate(terms):
        if term[-1].text not in {"asc", "desc"}:
            yield Change(term[-1].end, term[-1].end, " desc", "direction")
        if len(terms) == 1:
            yield Change(found[place].start, term[-1].end, "", "order")
        elif index:
            yield Change(terms[index - 1][-1].end, term[-1].end, "", "order")
        else:
            yield Change(term[0].start, terms[1][0].start, "", "order")


def _conditions(found: Sequence[Token]) -> Iterator[tuple[list[Token], bool]]:
    """Each stretch of text that may be a condition, and whether it is one for certain."""
    for depth in {one.depth for one in found}:
        region: list[Token] = []
        alone = False
        for one in found:
            if one.depth < depth or (one.depth == depth and (one.text in _BOUNDS or one.text in {",", ";"})):
                yield region, alone
                region, alone = [], one.depth == depth and one.text in {"where", "on", "having"}
            elif one.depth >= depth:
                region.append(one)
        yield region, alone


def _without_parts(region: Sequence[Token], *, alone: bool) -> Iterator[Change]:
    """Each condition taken as given: true beside ``and``, false beside ``or``."""
    while region and region[0].text in {"not", "="} and not alone:
        region = region[1:]
    if not region or region[0].text in {"conflict", "constraint", "true"}:
        return
    alternatives = _parts(region, {"or"})
    for alternative in alternatives:
        conjuncts = _parts(alternative, {"and"})
        if not all(conjuncts):
            return
        if len(conjuncts) == 1 and len(alternatives) > 1:
            yield Change(alternative[0].start, alternative[-1].end, "false", "condition")
        elif len(conjuncts) > 1 or alone:
            for conjunct in conjuncts:
                yield Change(conjunct[0].start, conjunct[-1].end, "true", "condition")
