"""Typed values from outside: what the quick look lets through is what the thorough one would."""

import attrs
import msgspec
import pytest

from owlrunner.decoding import Undecodable, decode, unknown_keys


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


def test_what_may_be_anything_is_not_searched() -> None:
    """Where anything is wanted no key is unknown, and however deep it is takes no time."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert list(unknown_keys({"value": deep}, {"value": deep})) == []
