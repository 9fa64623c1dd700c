"""An exception is looked at without letting its own code do harm."""

import pytest

from owlrunner.errors import OwlRunnerError
from owlrunner.raised_errors import MAX_ERROR, can_be_shown, describe, is_a, named, parts_of, without
from tests.hostile_errors import HOSTILE, NoDerive, causes, doubled_groups, nested_groups


@pytest.mark.parametrize("way", HOSTILE)
def test_whatever_an_exception_does_it_can_be_looked_at(way: str) -> None:
    """Every look at a hostile exception comes back, with plain and short texts."""
    error = HOSTILE[way]()
    for text in (describe(error), named(error)):
        assert type(text) is str
        assert 0 < len(text) <= MAX_ERROR
    assert parts_of(error)
    assert is_a(error, BaseException)
    assert not is_a(error, KeyboardInterrupt)
    assert isinstance(can_be_shown(error), bool)
    assert is_a(without(error, KeyError), BaseException)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("x"), "ValueError: x"),
        (ValueError(), "ValueError"),
        (OwlRunnerError("a sentence"), "a sentence"),
        (OwlRunnerError(), "OwlRunnerError"),
        (ExceptionGroup("one", [ValueError("x")]), "ValueError: x"),
        (ExceptionGroup("two", [ValueError("x"), OwlRunnerError("y")]), "two: ValueError: x; y"),
        (
            ExceptionGroup("six", [ValueError(str(n)) for n in range(6)]),
            "six: " + "; ".join(f"ValueError: {n}" for n in range(5)),
        ),
        (
            nested_groups(9),
            "around: around: around: around: …; ValueError: beside; ValueError: beside; ValueError: beside",
        ),
        (ValueError("a\0b\ud800"), "ValueError: a\N{REPLACEMENT CHARACTER}b?"),
        (ValueError("x" * 20_000), "ValueError: " + "x" * (MAX_ERROR - 12)),
    ],
)
def test_an_error_text(error: BaseException, text: str) -> None:
    """The class and the message, the message alone of our own sentences, and the first parts of a group."""
    assert describe(error) == text


@pytest.mark.parametrize("way", ["message", "class", "exits"])
def test_what_can_be_said_of_a_hostile_one_is_said(way: str) -> None:
    """The class is told, and the message as far as there is one."""
    wanted = {
        "message": "HostileMessage: as it is",
        "class": "Hiding: hidden",
        "exits": "ExitsWhenSeen: (its message cannot be shown)",
    }
    assert describe(HOSTILE[way]()) == wanted[way]


def test_the_parts_of_groups_in_groups() -> None:
    """Parts are told once each, in their order; an exception is its own only part."""
    first, second = ValueError("1"), KeyError("2")
    assert parts_of(ExceptionGroup("", [ExceptionGroup("", [first, second]), first])) == [first, second]
    assert parts_of(first) == [first]
    assert len(parts_of(doubled_groups(60))) == 1


def test_what_is_left_without_one_kind() -> None:
    """Exceptions of the kind go, and so do groups of one; where nothing would be left everything stays."""
    first, second, third = ValueError("1"), KeyError("2"), OSError("3")
    group = ExceptionGroup("", [first, ExceptionGroup("", [second, third])])
    assert without(group, KeyError).exceptions[1].exceptions == (third,)  # type: ignore[attr-defined]
    assert without(ExceptionGroup("", [first, ExceptionGroup("", [second])]), KeyError) is first
    only = ExceptionGroup("", [second, second])
    assert without(only, KeyError) is only
    hostile = NoDerive("", [first, second])
    assert without(hostile, KeyError) is hostile


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("x"), True),
        (causes(2_000), True),
        (ExceptionGroup("many", [ValueError("x")] * 998), True),
        (ExceptionGroup("too many", [ValueError("x")] * 1_000), False),
        (HOSTILE["notes"](), False),
        (HOSTILE["repr"](), True),
        (doubled_groups(60), False),
    ],
)
def test_what_can_be_shown(error: BaseException, shown: bool) -> None:
    """A traceback that is too large or too deep to be formatted is not."""
    assert can_be_shown(error) is shown
