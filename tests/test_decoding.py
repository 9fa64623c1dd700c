"""Typed values from outside: what the quick look lets through is what the thorough one would."""

import attrs
import msgspec
import pytest

from owlrunner.decoding import Undecodable, decode, repeated_key


@attrs.frozen
class Private:
    """With a field that is nobody else's business."""

    shown: int = 1
    _hidden: int = 2


class Renamed(msgspec.Struct, rename="camel"):
    """With a field of another name outside."""

    two_words: int = 1


@pytest.mark.parametrize(
    ("raw", "wanted", "key"),
    [({"shown": 3, "_hidden": 4}, Private, "_hidden"), ({"two_words": 3}, Renamed, "two_words")],
)
def test_a_name_that_is_only_ours_is_unknown(raw: object, wanted: type[object], key: str) -> None:
    """A private field, and a field's name that is another one outside, are refused like any misspelt key."""
    with pytest.raises(Undecodable, match=rf"params\.{key}: unknown key"):
        decode(raw, wanted, where="params")


def test_the_name_outside_is_known() -> None:
    """A renamed field is read by the name that it has outside."""
    assert decode({"twoWords": 3}, Renamed, where="params").two_words == 3


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b'{"a": 1, "b": {"a": 2}}', None),
        (b'[{"a": 1}, {"a": 2}]', None),
        (b"1", None),
        (b'{"a": 1, "a": 1}', "a"),
        (b'{"b": [1, {"x": {"\\u0061": 1, "c": 2, "a": 3}}]}', "a"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b', "b": 1e999}', None, id="a long number"),
        pytest.param(b"[" * 5000 + b"]" * 5000, None, id="deep"),
        pytest.param(b'{"x": 1, %s, "x": 2}' % b", ".join(b'"%d": 1' % n for n in range(100_000)), "x", id="many keys"),
    ],
)
def test_a_key_that_stands_twice(text: bytes, key: str | None) -> None:
    """It is found at any depth, however it is written and among however many; where it stands in two objects it is not repeated."""
    assert repeated_key(text) == key
