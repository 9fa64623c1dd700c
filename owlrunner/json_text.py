"""Read JSON that somebody has sent or typed: bodies, params in forms and on the command line.

Whatever the text is, a mebibyte of it is read or refused within hundredths of a second. So the number of values is bounded, and the
standard library's scanner is used: msgspec takes some 10 microseconds for a number like ``1e308``.
"""

import json
import math
import re
from itertools import accumulate
from typing import Any

DEEPEST = 100
"""How deep arrays and objects may be nested."""
MOST_VALUES = 50_000
"""How many values may be in one text: the time to read it, and all that is done with it, goes with their number."""

MOST_ZEROS = 1_000_000
"""How many digits PostgreSQL may have to write for the exponents in one text, which it keeps as digits: ``1e308`` has 309."""
PIECE = 64 * 1024

_FEWEST_EXPONENTS = MOST_ZEROS // 400
"""A float has an exponent of three digits, below 400."""
_EXPONENT = re.compile(rb"[eE][+-]?(\d+)")
_NUMBER_IN_STRING = re.compile(rb'"[+-]?[\d.]+[eE][+-]?(\d+)"')
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


class BadJson(ValueError):
    """It is JSON, but not all readers could take it, or take the same from it; the message says why."""


class NotJson(BadJson):
    """It is no JSON (RFC 8259); the message says where."""


def read_json(text: bytes | str) -> Any:
    """Decode ``text``.

    Raises BadJson for a number that is out of range, a nesting deeper than DEEPEST, more values than MOST_VALUES, and a key
    that stands twice in one object, of which readers take the one value or the other; NotJson for what is no JSON, NaN and
    Infinity included.
    """
    try:
        raw = text.encode() if isinstance(text, str) else text
        _require_bounds(raw)
        value = _decoder.decode(raw.decode())
        if _SURROGATE.search(raw):
            # Half of a pair is no character, and nothing that is stored or sent can hold it.
            json.dumps(value, ensure_ascii=False).encode()
    except BadJson:
        raise
    except (json.JSONDecodeError, UnicodeError) as error:
        raise NotJson(f"not valid JSON: {error}") from None
    except ValueError:
        # Python reads no more than 4,300 digits of an integer: the time for that grows with their square.
        raise BadJson("a number is out of range") from None
    return value


def has_many_zeros(raw: bytes) -> bool:
    """Whether the exponents of the numbers in JSON add up to more than MOST_ZEROS.

    Numbers count that are written as strings, too: they become numbers where those are wanted, and slowly.
    """
    if raw.count(b"e") + raw.count(b"E") < _FEWEST_EXPONENTS:
        return False
    exponents = [*_EXPONENT.findall(_without_strings(raw)), *_NUMBER_IN_STRING.findall(raw)]
    return sum(int(digits.lstrip(b"0")[:4] or b"0") for digits in exponents) > MOST_ZEROS


def _require_bounds(raw: bytes) -> None:
    """Raise BadJson for too many values, and for brackets that are nested too deep. What is no JSON may pass or not."""
    opening = raw.count(b"[") + raw.count(b"{")
    if opening <= DEEPEST and raw.count(b",") + opening < MOST_VALUES:
        # Most texts are far from both.
        return
    outside = _without_strings(raw)
    # Each value is the first one of all, or behind a comma, or the first of an array or object. What is empty counts twice.
    if 1 + outside.count(b",") + outside.count(b"[") + outside.count(b"{") > MOST_VALUES:
        raise BadJson(f"more than {MOST_VALUES:,} values")
    steps = outside.translate(_STEPS, _NO_BRACKETS)
    if max(accumulate(memoryview(steps).cast("b")), default=0) > DEEPEST:
        raise BadJson(f"nested deeper than {DEEPEST} levels")


def _without_strings(raw: bytes) -> bytes:
    """The text between the strings: without what is escaped, every other quotation mark begins one.

    Piece by piece, because a thread gives others a turn between two calls into C, and not within one.
    """
    raw = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    outside: list[bytes] = []
    is_inside = False
    for start in range(0, len(raw), PIECE):
        parts = raw[start : start + PIECE].split(b'"')
        outside += parts[is_inside::2]
        is_inside ^= len(parts) % 2 == 0
    return b"".join(outside)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        # add returns None: the first key that is in the set already.
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadJson(f"the key {repeated[:100]!r} stands in one object more than once")
    return found


def _number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise BadJson("a number is out of range")
    return number


def _constant(name: str) -> float:
    raise NotJson(f"not valid JSON: {name} is no number")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_constant=_constant)
