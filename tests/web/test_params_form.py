"""The form that a job type's params make: a field for each, and back from texts to JSON."""

import enum
from datetime import date
from typing import Annotated, Any, Literal

import attrs
import pytest
from msgspec import Meta

import owlrunner
from owlrunner.errors import InvalidParams
from owlrunner.web.dashboard.params_form import PREFIX, Field, fields_of, read, with_problem


class Size(enum.Enum):
    """How large."""

    SMALL = "s"
    LARGE = "l"


@attrs.frozen
class Shelf:
    """Where it stands."""

    row: int


@attrs.frozen
class Order:
    """Of everything a little."""

    count: Annotated[int, Meta(ge=1, le=9, description="How many.", title="Pieces")]
    label: str
    size: Size = Size.LARGE
    grade: Literal[1, 2, 3] = 2
    weight: Annotated[float, Meta(gt=0)] | None = 1.5
    due: date | None = None
    gift: bool = True
    notes: str = "fragile"
    tags: list[str] = attrs.field(factory=list)
    marks: list[int] = attrs.field(factory=list)
    shelf: Shelf | None = None
    either: int | str = 3


@owlrunner.job_type(scope="project")
async def order(ctx: owlrunner.JobContext, params: Order) -> None:
    """Take an order."""


FIELDS = fields_of(order.params_schema())
SOUND = {"count": "3", "label": "x", "size": "l", "grade": "2", "weight": "1.5", "gift": "yes", "notes": "fragile"}


def field(name: str) -> Field:
    """One of the fields."""
    return next(one for one in FIELDS if one.name == name)


def filled(**texts: str) -> dict[str, str]:
    """A form as a browser sends it; a box that is not ticked is not in it."""
    return {PREFIX + name: text for name, text in (SOUND | texts).items() if text or name != "gift"}


def test_each_param_gets_its_kind_of_field() -> None:
    """Kinds, defaults, choices, what is needed and what is told about it come from the schema."""
    assert {one.name: one.kind for one in FIELDS} == {
        "count": "whole",
        "label": "text",
        "size": "choice",
        "grade": "choice",
        "weight": "number",
        "due": "date",
        "gift": "yesno",
        "notes": "text",
        "tags": "lines",
        "marks": "lines",
        "shelf": "json",
        "either": "json",
    }
    assert {one.name: one.text for one in FIELDS if one.text} == {
        "size": "l",
        "grade": "2",
        "weight": "1.5",
        "gift": "yes",
        "notes": "fragile",
        "either": "3",
    }
    assert [one.name for one in FIELDS if one.is_required] == ["count", "label"]
    assert (field("count").label, field("count").help) == ("Pieces", "How many. 1 to 9")
    assert field("weight").help == "More than 0"
    assert sorted(field("size").options) == ["l", "s"]
    assert field("tags").label == "Tags"


def test_bounds_are_told_as_they_are() -> None:
    """What must be more than a number is not said to begin with it."""
    schema = {"properties": {"share": {"type": "integer", "exclusiveMinimum": 0, "maximum": 10}}}
    (one,) = fields_of(schema)
    assert one.help == "More than 0, at most 10"


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ({}, {}),
        ({"gift": ""}, {"gift": False}),
        ({"grade": "3"}, {"grade": 3}),
        ({"weight": ""}, {"weight": None}),
        ({"notes": ""}, {"notes": ""}),
        ({"due": "2026-03-28"}, {"due": "2026-03-28"}),
        ({"tags": "a\r\n\r\nb c\r\n"}, {"tags": ["a", "b c"]}),
        ({"marks": "1\n-2"}, {"marks": [1, -2]}),
        ({"shelf": '{"row": 1}'}, {"shelf": {"row": 1}}),
        ({"either": '"x"'}, {"either": "x"}),
    ],
)
def test_texts_become_params(texts: dict[str, str], wanted: dict[str, Any]) -> None:
    """What is filled in is what the job type gets; what is left empty has its default, or is null where that is meant."""
    params, fields = read(FIELDS, filled(**texts))
    assert [one.problem for one in fields if one.problem] == []
    common = {"count": 3, "label": "x", "size": "l", "grade": 2, "weight": 1.5, "gift": True, "notes": "fragile"}
    assert params == common | wanted
    assert isinstance(order.decode_params(params)[0], Order)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("count", "", "Must be given"),
        ("count", "3.5", "Expected a whole number, got '3.5'"),
        ("weight", "heavy", "Expected a number, got 'heavy'"),
        ("weight", "nan", "Expected a number, got 'nan'"),
        ("weight", "1e999", "Expected a number, got '1e999'"),
        ("marks", "1\nx", "Expected a whole number, got 'x'"),
        ("shelf", "{", "Not valid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("shelf", "[" * 5000, "Nested deeper than 100 levels"),
        ("shelf", '{"a": 1, "a": 2}', "The key 'a' stands in one object more than once"),
    ],
)
def test_a_text_that_is_no_value_is_told_at_its_field(name: str, text: str, problem: str) -> None:
    """What cannot be read is told where it stands, and what was written stays there."""
    _, fields = read(FIELDS, filled(**{name: text}))
    assert [(one.name, one.text, one.problem) for one in fields if one.problem] == [(name, text, problem)]


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"count": 10, "label": "x"}, "count"),
        ({"label": "x"}, "count"),
        ({"count": 1, "label": "x", "shelf": {"row": "q"}}, "shelf"),
        ({"count": 1, "label": "x", "size": "m"}, "size"),
        ({"count": 1, "label": "x", "tags": ["a", 1]}, "tags"),
    ],
)
def test_what_the_job_type_complains_about_is_told_at_its_field(params: dict[str, Any], name: str) -> None:
    """A complaint that names a param stands at that param's field."""
    with pytest.raises(InvalidParams) as complaint:
        order.decode_params(params)
    fields, rest = with_problem(FIELDS, str(complaint.value))
    assert ([one.name for one in fields if one.problem], rest) == ([name], "")


def test_other_complaints_stand_above_the_form() -> None:
    """A complaint about the params as a whole is kept as it is."""
    assert with_problem(FIELDS, "params: too many") == (FIELDS, "params: too many")
