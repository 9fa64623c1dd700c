"""Params: what is stored is what was read, for whatever a params class may hold."""

import enum
import math
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from owlrunner.errors import InvalidParams
from owlrunner.params import decode_params, encode_params


class Colour(enum.Enum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Flat:
    """Scalars alone."""

    count: int = 1
    rate: float = 0.5
    name: str = ""
    on: bool = False
    colour: Colour = Colour.RED
    grade: Literal[1, 2, "best"] = 1
    limit: Annotated[int, msgspec.Meta(ge=0)] | None = None
    either: int | str = 0


class Tagged(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, tag="tagged"):
    """A part with another name outside, and a default that is left out."""

    two_words: int = 1
    rate: float | None = None


class Other(msgspec.Struct, frozen=True, tag="other"):
    """Another part."""

    weights: dict[str, float] = {}


@attrs.frozen
class Part:
    """A part."""

    size: int
    name: str = "part"


@attrs.frozen
class Deep:
    """Everything else."""

    parts: list[Part] = attrs.field(factory=list)
    by_name: dict[str, Part] = attrs.field(factory=dict)
    by_number: dict[int, float] = attrs.field(factory=dict)
    by_day: dict[date, int] = attrs.field(factory=dict)
    some: frozenset[int] = frozenset()
    pair: tuple[int, float] = (0, 0.0)
    either: Tagged | Other | None = None
    day: date | None = None
    at: datetime | None = None
    clock: time | None = None
    span: timedelta | None = None
    money: Decimal | None = None
    key: UUID | None = None
    blob: bytes = b""
    path: Path = Path("/")
    anything: Any = None


FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.integers(-(10**30), 10**30)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | FINITE | TEXT,
    lambda some: st.lists(some, max_size=3) | st.dictionaries(TEXT, some, max_size=3),
    max_leaves=5,
)
PART = st.fixed_dictionaries({"size": NUMBERS | NUMBERS.map(str)}, optional={"name": TEXT})
FLAT = st.fixed_dictionaries(
    {},
    optional={
        # A float is a whole number only as far as floats tell whole numbers apart.
        "count": NUMBERS | NUMBERS.map(str) | st.integers(-(2**53), 2**53).map(float),
        "rate": FINITE | NUMBERS | FINITE.map(str),
        "name": TEXT,
        "on": st.sampled_from([True, False, "true", "0", 1]),
        "colour": st.sampled_from(["red", "blue"]),
        "grade": st.sampled_from([1, 2, "best"]),
        "limit": st.none() | st.integers(0, 9) | st.integers(0, 9).map(str) | st.just("null"),
        "either": NUMBERS | TEXT,
    },
)
DEEP = st.fixed_dictionaries(
    {},
    optional={
        "parts": st.lists(PART, max_size=3),
        "by_name": st.dictionaries(TEXT, PART, max_size=2),
        "by_number": st.dictionaries(NUMBERS.map(str), FINITE | FINITE.map(str), max_size=2),
        "by_day": st.dictionaries(st.dates().map(str), NUMBERS, max_size=2),
        "some": st.lists(NUMBERS | NUMBERS.map(str), max_size=4),
        "pair": st.tuples(NUMBERS, FINITE).map(list),
        "either": st.none()
        | st.fixed_dictionaries({"type": st.just("tagged")}, optional={"twoWords": st.integers(0, 3) | st.just("2")})
        | st.fixed_dictionaries({"type": st.just("other")}, optional={"weights": st.dictionaries(TEXT, FINITE)}),
        "day": st.dates().map(str),
        "at": st.datetimes().map(datetime.isoformat),
        "clock": st.times().map(time.isoformat),
        "span": st.integers(0, 10**6) | st.just("P3DT4H"),
        "money": st.decimals(allow_nan=False, allow_infinity=False).map(str) | FINITE,
        "key": st.uuids().map(str),
        "blob": st.sampled_from(["", "YWJj"]),
        "path": st.sampled_from(["/srv", "."]),
        "anything": JSON,
    },
)


DEEPER: list[Any] = []
for _ in range(100_000):
    DEEPER = [DEEPER]


def stored(raw: object, wanted: type[Any]) -> Any:
    """What is stored for such params."""
    return msgspec.json.decode(encode_params(raw, wanted))


@given(FLAT)
def test_flat_params_come_back_equal(raw: dict[str, Any]) -> None:
    """What is stored for scalars decodes to what was given, names the keys that were given, and is stored as itself again."""
    once = stored(raw, Flat)
    assert once.keys() == raw.keys()
    assert decode_params(once, Flat) == decode_params(raw, Flat)
    assert stored(once, Flat) == once


@given(DEEP)
def test_deep_params_come_back_equal(raw: dict[str, Any]) -> None:
    """So does what is stored for objects, lists, mappings, dates, decimals, bytes and either-or."""
    once = stored(raw, Deep)
    assert once.keys() == raw.keys()
    assert decode_params(once, Deep) == decode_params(raw, Deep)
    assert stored(once, Deep) == once


@pytest.mark.parametrize(
    ("wanted", "raw", "expected"),
    [
        (Flat, {"count": "3", "on": "true", "rate": 2}, {"count": 3, "on": True, "rate": 2.0}),
        (Deep, {"parts": [{"size": "3"}]}, {"parts": [{"size": 3}]}),
        (Deep, {"by_number": {"7.0": "1.50"}}, {"by_number": {"7": 1.5}}),
        (Deep, {"span": 90}, {"span": "PT90S"}),
        (Deep, {"either": {"type": "tagged", "twoWords": "2"}}, {"either": {"type": "tagged", "twoWords": 2}}),
    ],
)
def test_the_decoded_value_is_stored(wanted: type[Any], raw: object, expected: object) -> None:
    """A text for a number is stored as the number, and no default is stored that nobody gave."""
    assert stored(raw, wanted) == expected


@attrs.define
class Shift:
    """A class that moves a number each time it is made."""

    day: int

    def __attrs_post_init__(self) -> None:
        """Move it."""
        self.day += 1


@attrs.define
class Size:
    """A class that makes a number of bytes from a text, and does not take the number."""

    size: Any
    count: int = 0

    def __attrs_post_init__(self) -> None:
        """Read it."""
        self.size = int(self.size.removesuffix("kB")) * 1000


@attrs.define(eq=False)
class Sorted:
    """A class that brings its list in order, and has no equality."""

    names: list[str]

    def __attrs_post_init__(self) -> None:
        """Sort them."""
        self.names.sort()


@pytest.mark.parametrize(
    ("wanted", "raw", "expected"),
    [
        (Shift, {"day": 1}, {"day": 1}),
        (Size, {"size": "3kB", "count": 1}, {"size": "3kB", "count": 1}),
        (Sorted, {"names": ["b", "a"]}, {"names": ["a", "b"]}),
    ],
)
def test_a_change_is_made_once(wanted: type[Any], raw: object, expected: object) -> None:
    """Where a class would change its own value again, what was given is stored."""
    assert stored(raw, wanted) == expected
    assert attrs.asdict(decode_params(expected, wanted)) == attrs.asdict(decode_params(raw, wanted))


def test_a_set_is_always_the_same_text() -> None:
    """The order in which the members of a set were given does not show."""
    assert stored({"some": ["3", 20, 1]}, Deep) == stored({"some": [20, 1, 3]}, Deep) == {"some": [1, 20, 3]}


@attrs.frozen
class Checked:
    """A class that ends the process when its value is not right."""

    day: int

    def __attrs_post_init__(self) -> None:
        """Look at it."""
        sys.exit("no such day")


@pytest.mark.parametrize("use", [decode_params, encode_params])
def test_a_check_that_ends_the_process_is_a_refusal(use: Callable[[object, type[Any]], object]) -> None:
    """Whatever a class's own checks raise is told as what is wrong with the params, and ends no server."""
    with pytest.raises(InvalidParams, match=r"^params: SystemExit: no such day$"):
        use({"day": 1}, Checked)


@attrs.frozen
class Unbounded:
    """A class whose default is infinite."""

    limit: float = math.inf
    parts: list[int] = attrs.field(factory=list)


def test_an_infinite_default_is_not_stored() -> None:
    """A default is the class's own business: only what was given is stored, and must be finite."""
    assert stored({"parts": ["1"]}, Unbounded) == {"parts": [1]}
    assert decode_params({"parts": [1]}, Unbounded).limit == math.inf


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", math.nan, math.inf])
@pytest.mark.parametrize(
    ("wanted", "make", "where"),
    [
        (Flat, lambda number: {"rate": number}, "params.rate"),
        (Deep, lambda number: {"pair": [1, number]}, "params.pair[1]"),
        (Deep, lambda number: {"by_number": {"1": number}}, "params.by_number.1"),
        (Deep, lambda number: {"either": {"type": "other", "weights": {"a": number}}}, "params.either.weights.a"),
        (Deep, lambda number: {"money": number}, "params.money"),
    ],
)
def test_what_is_not_finite_is_refused(number: object, wanted: type[Any], make: Any, where: str) -> None:
    """NaN and infinity, as numbers or as texts for numbers, are refused by their path; none becomes null."""
    with pytest.raises(InvalidParams) as told:
        encode_params(make(number), wanted)
    assert str(told.value).startswith(f"{where}: expected a finite number, got ")


@pytest.mark.parametrize("raw", [{"anything": [{"a": math.nan}]}, {"anything": {math.inf: 1}}])
def test_what_is_not_finite_is_found_anywhere(raw: object) -> None:
    """Also where the class takes anything, and as a key."""
    with pytest.raises(InvalidParams, match=r"params\.anything.*: expected a finite number"):
        encode_params(raw, Deep)


@pytest.mark.parametrize(
    ("wanted", "raw"),
    [
        (Flat, {"name": "a\0b"}),
        (Flat, {"name": "\ud800"}),
        (Deep, {"anything": {"a\0": 1}}),
        (Deep, {"by_name": {"\udfff": {"size": 1}}}),
    ],
)
def test_text_that_cannot_be_kept_is_refused(wanted: type[Any], raw: object) -> None:
    """NUL characters and halves of surrogate pairs are refused, in values and keys."""
    with pytest.raises(InvalidParams, match="cannot be stored"):
        encode_params(raw, wanted)


@pytest.mark.parametrize("raw", [{"anything": 10**5000}, {"anything": object()}, {"anything": DEEPER}])
def test_what_cannot_be_encoded_is_refused(raw: object) -> None:
    """A number of too many digits, what is no JSON, and what is nested too deep get a complaint about the params."""
    with pytest.raises(InvalidParams, match=r"^params"):
        encode_params(raw, Deep)


def test_a_text_about_json_is_kept() -> None:
    """What only looks like an escaped NUL is stored as it is."""
    assert stored({"name": "\\u0000"}, Flat) == {"name": "\\u0000"}


async def test_numbers_come_back_from_the_database(db: Any) -> None:
    """The largest, the smallest and the longest numbers are what they were after PostgreSQL has kept them."""
    raw = {
        "parts": [{"size": 10**30}, {"size": -(2**63)}],
        "by_number": {"0": 1.7976931348623157e308, "1": 5e-324, "2": 1e23, "3": 0.1, "4": 2.0**53},
    }
    async with db.session() as session:
        cursor = await session.connection.execute("select %s::jsonb", (encode_params(raw, Deep).decode(),))
        ((kept,),) = await cursor.fetchall()
    assert decode_params(kept, Deep) == decode_params(raw, Deep)


def test_numbers_that_grow_in_the_database_are_few() -> None:
    """For 1e308 PostgreSQL writes 309 digits, so 256 KiB of such params would be 13 MiB each time they are read."""
    encode_params({"anything": [1e250] * 4000}, Deep)
    with pytest.raises(
        InvalidParams, match=r"^params: the exponents of numbers such as 1e300 add up to more than 1,000,000$"
    ):
        encode_params({"anything": [1e250] * 4001}, Deep)
