"""JSON from outside: what every reader would take for the same is read, and anything else is refused with a reason."""

from typing import Any

import pytest

from owlrunner.json_text import (
    DEEPEST,
    MOST_VALUES,
    PIECE,
    BadJson,
    NotJson,
    has_many_zeros,
    read_json,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": 1, "b": {"a": 2}}', {"a": 1, "b": {"a": 2}}),
        (b'[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ('"\\ud83e\\udd89"', "🦉"),
        ("null", None),
        ("[" * DEEPEST + "]" * DEEPEST, None),
        ("[" + "[]," * DEEPEST + "[]]", None),
        (b'"' + b"[" * 5000 + b'"', "[" * 5000),
        pytest.param(b"[%s]" % b",".join([b"1"] * (MOST_VALUES - 1)), None, id="as many values as may be"),
        pytest.param(b'[1, {"b": 1}%s]' % (b', {"b": 1}' * (MOST_VALUES // 2 - 2)), None, id="as many of each kind"),
        pytest.param(b'["%s"]' % (b",[{" * MOST_VALUES), None, id="a long text"),
        pytest.param(
            b'["\\"", ' + b'"["' + b', "["' * 200 + b"]", None, id="brackets in strings behind an escaped quote"
        ),
        pytest.param(
            b'["%s", "%s"]' % (b"x" * PIECE, b"[" * 200), None, id="brackets in a string that begins in another piece"
        ),
        (b"1e308", 1e308),
        (b"-1e-999", -0.0),
        ("9" * 4300, int("9" * 4300)),
    ],
)
def test_what_is_read(text: bytes | str, value: Any) -> None:
    """A key may stand in two objects, brackets may be many, and nesting goes as deep as is allowed."""
    read = read_json(text)
    assert value is None or read == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested deeper than 100 levels", id="deep"),
        pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested deeper than 100 levels", id="deeper"),
        pytest.param('{"a":[' * 51 + "]}" * 51, "nested deeper than 100 levels", id="deep in two ways"),
        pytest.param("[" + "1," * (MOST_VALUES - 1) + "1]", "more than 50,000 values", id="many numbers"),
        pytest.param(
            b'[1, {"b": 1}%s]' % (b', {"b": 1}' * (MOST_VALUES // 2 - 1)), "more than 50,000 values", id="many objects"
        ),
        pytest.param(b"[%s]" % b",".join([b'"\\\\"'] * MOST_VALUES), "more than 50,000 values", id="many texts"),
        (b"1e999", "a number is out of range"),
        (b"[1, -1e999]", "a number is out of range"),
        pytest.param(b"[1, " + b"1" * 310 + b".0]", "a number is out of range", id="a long number with a point"),
        pytest.param(b"9" * 5000, "a number is out of range", id="a long number"),
        (b'{"a": 1, "a": 1}', "the key 'a' stands in one object more than once"),
        ('{"b": [1, {"x": {"\\u0061": 1, "c": 2, "a": 3}}]}', "the key 'a' stands in one object more than once"),
        pytest.param(
            b'{"x": 1, %s, "x": 2}' % b", ".join(b'"%d": 1' % n for n in range(40_000)),
            "the key 'x' stands in one object more than once",
            id="many keys",
        ),
        pytest.param('{"%s": 1, "%s": 1}' % (("k" * 5000,) * 2), f"the key '{'k' * 100}' stands in", id="a long key"),
    ],
)
def test_what_readers_would_differ_in(text: bytes | str, complaint: str) -> None:
    """It is refused at any depth, however it is written and among however many, and no more of a key is quoted than fits a line."""
    with pytest.raises(BadJson) as refused:
        read_json(text)
    assert str(refused.value).startswith(complaint)
    assert not isinstance(refused.value, NotJson)


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            "{",
            "NaN",
            "[Infinity]",
            b"-Infinity",
            b"\xff",
            b'"\xff"',
            "\udcff",
            '"\udcff"',
            "{'a': 1}",
            b'{"a": 1} 2',
        ),
        *('"\\ud800"', b'{"\\uDfFf": 1}', '["\\ud83e"]', b'"\n"', "\ufeff1", "[1,]", "01", '"' + "\\" * 4001),
    ],
)
def test_what_is_no_json(text: bytes | str) -> None:
    """It is refused with what is wrong."""
    with pytest.raises(NotJson, match=r"^not valid JSON: ."):
        read_json(text)


@pytest.mark.parametrize(
    ("number", "count", "many"),
    [
        (b"1e250", 4000, False),
        (b"1e250", 4001, True),
        (b"-1.5e-250", 4001, True),
        (b"1E+250", 4001, True),
        (b"1e25", 40_001, True),
        (b"1e-7", 49_000, False),
        (b'"1e250"', 4001, True),
        (b'"-1.5E-250"', 4001, True),
        (b'"3e250f"', 9000, False),
        (b'"1e00250"', 4001, True),
        (b'"1e0"', 9000, False),
        (b'"1e%s"' % (b"9" * 5000), 90, False),
        (b'"1e%s"' % (b"9" * 70), 2600, True),
    ],
    ids=str,
)
def test_which_exponents_are_too_many(number: bytes, count: int, many: bool) -> None:
    """Those that add up to more than a million, in numbers and in strings that are numbers alone."""
    assert has_many_zeros(b"[%s]" % b",".join([number] * count)) is many
