"""The mutators change what they are said to change, and nothing else."""

import ast

import pytest

from tests.mutants import python_mutations, sql_mutations
from tests.mutants.code import changed_files
from tests.mutants.mutant import mutants_of
from tests.mutants.sql_tokens import tokens
from tests.mutants.tree_copy import HERE

SQL = {
    "where a = %(a)s and (b < 1 or not c)": {
        "where true and (b < 1 or not c)",
        "where a <> %(a)s and (b < 1 or not c)",
        "where a = %(a)s or (b < 1 or not c)",
        "where a = %(a)s and true",
        "where a = %(a)s and (false or not c)",
        "where a = %(a)s and (b <= 1 or not c)",
        "where a = %(a)s and (b < 1 and not c)",
        "where a = %(a)s and (b < 1 or false)",
        "where a = %(a)s and (b < 1 or c)",
    },
    "update t set a = coalesce(b, f(c), 0), d = least(b, c)": {
        "update t set a = b, d = least(b, c)",
        "update t set a = coalesce(b, f(c), 0), d = greatest(b, c)",
    },
    "select a from t order by a desc, b limit 1 for no key update skip locked": {
        "select a from t order by b limit 1 for no key update skip locked",
        "select a from t order by a asc, b limit 1 for no key update skip locked",
        "select a from t order by a desc limit 1 for no key update skip locked",
        "select a from t order by a desc, b desc limit 1 for no key update skip locked",
        "select a from t order by a desc, b  for no key update skip locked",
        "select a from t order by a desc, b limit 1 ",
        "select a from t order by a desc, b limit 1 for no key update ",
    },
    "select a is null, b is distinct from c from t order by a": {
        "select a is not null, b is distinct from c from t order by a",
        "select a is null, b is not distinct from c from t order by a",
        "select a is null, b is distinct from c from t ",
        "select a is null, b is distinct from c from t order by a desc",
    },
    "select case when a between 1 and 2 then b end -- and or not =\n, 'x = ''y''', $q$ a = b $q$, {key}": set(),
}
PYTHON = {
    "def f():\n    '''Say.'''\n    logger.info('%d', 1 + 2)\n    raise E('x', not y)\n": set(),
    "@h\nasync def f(a: int | None = None) -> None:\n    await g(a, shield=True)\n": {
        "    pass",
        "    await g(a, )",
        "    await g(a, shield=False)",
    },
    "def f():\n    return zip(x + 1, y, strict=True), g(y, strict=True)\n": {
        "    return zip(x - 1, y, strict=True), g(y, strict=True)",
        "    return zip(x + 2, y, strict=True), g(y, strict=True)",
        "    return zip(x + 1, y, strict=True), g(y, )",
        "    return zip(x + 1, y, strict=True), g(y, strict=False)",
    },
    "def f(ö):\n    self.x = 0 if ö < 1 else 2\n": {
        "    pass",
        "    self.x = 1 if ö < 1 else 2",
        "    self.x = 0 if ö <= 1 else 2",
        "    self.x = 0 if ö < 2 else 2",
        "    self.x = 0 if ö < 1 else 3",
        "    self.x = 0 if (ö < 1) and False else 2",
        "    self.x = 0 if (ö < 1) or True else 2",
    },
}


@pytest.mark.parametrize("sql", SQL)
def test_sql_is_changed_in_one_place_at_a_time(sql: str) -> None:
    """Conditions, comparisons, orders, limits, locks and defaults are dropped or turned; texts, comments and gaps stay."""
    assert {mutant.text for mutant in mutants_of("x.sql", sql, sql_mutations.changes(sql))} == SQL[sql]


@pytest.mark.parametrize("source", PYTHON)
def test_python_is_changed_in_one_place_at_a_time(source: str) -> None:
    """Statements, arguments, operators and numbers are changed; annotations, zip's ``strict``, what is logged or raised stay."""
    lines = {mutant.text.splitlines()[-1] for mutant in mutants_of("x.py", source, python_mutations.changes(source))}
    assert lines == PYTHON[source]


def test_every_query_can_be_taken_apart() -> None:
    """Every query that is changed consists of tokens, with balanced parentheses."""
    for name in changed_files(("*.sql",)):
        found = tokens((HERE / name).read_text("utf-8"))
        assert {one.depth for one in found if one.text == ";"} <= {0}, name
        assert all(one.depth >= 0 for one in found), name


def test_mutants_of_python_are_python() -> None:
    """A changed module can be read, and so can one whose match statement is a case shorter."""
    match = "match x:\n            case 1:\n                pass\n            case _:\n                return 2\n"
    source = f"def f():\n    for x in y:\n        {match}"
    mutants = list(mutants_of("x.py", source, python_mutations.changes(source)))
    assert {mutant.kind for mutant in mutants} >= {"match", "number"}
    for mutant in mutants:
        ast.parse(mutant.text)


def test_equal_changes_of_equal_lines_are_told_apart() -> None:
    """A mutant is known by the lines it changes, and by which of equal ones it is."""
    sql = "select a = b\nunion all\nselect a = b"
    mutants = list(mutants_of("x.sql", sql, sql_mutations.changes(sql)))
    assert [(one.before, one.after, one.nth, one.line) for one in mutants] == [
        ("select a = b", "select a <> b", 1, 1),
        ("select a = b", "select a <> b", 2, 3),
    ]
    assert len({one.name for one in mutants}) == 2
