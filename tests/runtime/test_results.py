"""What a handler returned as JSON that PostgreSQL keeps, or the reason why there is none."""

from datetime import date
from typing import Any

import msgspec
import pytest

from owlrunner.runtime.results import MAX_RESULT_BYTES, result_json


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, None),
        ({"a": 1}, '{"a":1}'),
        ([1, "x"], '{"value":[1,"x"]}'),
        ({1: "a\x00"}, '{"1":"a\N{REPLACEMENT CHARACTER}"}'),
        ({1: None, date(2026, 1, 2): "x"}, '{"1":null,"2026-01-02":"x"}'),
        ({"null": ["a", None]}, '{"null":["a",null]}'),
        ({float("nan"): None}, '{"nan":null}'),
        ({1.5: "a\x00", date(2026, 1, 2): 1}, '{"1.5":"a\N{REPLACEMENT CHARACTER}","2026-01-02":1}'),
        ({"a": "\ud800"}, '{"a":"?"}'),
        ({"a": msgspec.Raw(b'{"b": 1}')}, '{"a":{"b": 1}}'),
    ],
)
def test_what_is_kept(result: Any, text: str | None) -> None:
    """Keys of other kinds become texts, texts become such as PostgreSQL can keep, and what is no object becomes one."""
    assert result_json(result) == text


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({1: float("nan")}, "ValueError: nan has no form in JSON"),
        ({"a": [None, float("-inf")]}, "ValueError: -inf has no form in JSON"),
        ({"a": msgspec.Raw(b'1}, {"b": 2')}, "DecodeError"),
        ({"a": object()}, "TypeError"),
        (
            "x" * MAX_RESULT_BYTES,
            f"ValueError: {MAX_RESULT_BYTES + 2:,} bytes as JSON, and at most {MAX_RESULT_BYTES:,} are kept",
        ),
        (
            {"a\x00": 1, "a\N{REPLACEMENT CHARACTER}": 2},
            "ValueError: two keys of one object differ only in what PostgreSQL cannot keep",
        ),
    ],
)
def test_what_is_not(result: Any, reason: str) -> None:
    """The reason stands in its place."""
    text = result_json(result)
    assert text is not None
    assert msgspec.json.decode(text)["unstorable"].startswith(reason)


def test_the_largest_result() -> None:
    """As many bytes as are kept are kept."""
    text = result_json("x" * (MAX_RESULT_BYTES - 2))
    assert text is not None
    assert text.startswith('{"value":"xxx')
