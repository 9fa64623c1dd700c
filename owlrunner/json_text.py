"""Read JSON that somebody has sent or typed: bodies, params in forms and on the command line."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec

DEEPEST = 100
"""How deep arrays and objects may be nested."""

_decode = msgspec.json.Decoder().decode


class BadJson(ValueError):
    """It is JSON, but not all readers could take it, or take the same from it; the message says why."""


class NotJson(BadJson):
    """It is no JSON (RFC 8259); the message says where."""


def read_json(text: bytes | str) -> Any:
    """Decode ``text``.

    Raises BadJson for a number that is out of range, a nesting deeper than DEEPEST, and a key that stands twice in one
    object, of which readers take the one value or the other; NotJson for what is no JSON, NaN and Infinity included.
    """
    try:
        value = _decode(text)
    except msgspec.ValidationError:
        raise BadJson("a number is out of range") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise NotJson(f"not valid JSON: {error}") from None
    except RecursionError:
        raise BadJson(_TOO_DEEP) from None
    # Whoever walks the value later does so recursively. Most texts have too few brackets to be deep at all.
    opening = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if sum(map(text.count, opening)) > DEEPEST and _is_deep(value):  # type: ignore[arg-type]
        raise BadJson(_TOO_DEEP)
    if isinstance(value, (dict, list)) and (key := _repeated_key(text)) is not None:
        raise BadJson(f"the key {key[:100]!r} stands in one object more than once")
    return value


_TOO_DEEP = f"nested deeper than {DEEPEST} levels"


def _is_deep(value: Any) -> bool:
    """Whether arrays and objects are nested deeper than DEEPEST, found level by level, without recursion."""
    level = [value]
    for _ in range(DEEPEST):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return False
    return True


def _parts(value: Any) -> Iterable[Any]:
    """What lies one level deeper, as far as it may have levels itself."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in parts if isinstance(part, (dict, list))]


def _repeated_key(text: bytes | str) -> str | None:
    """Return a key that stands twice in one object, or None."""
    repeated: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        # Each key is looked at once: an object may have a hundred thousand.
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                repeated.append(key)
                return
            seen.add(key)

    # Numbers need not be read: Python refuses very long ones.
    json.loads(text, object_pairs_hook=look, parse_int=len, parse_float=len)
    return repeated[0] if repeated else None
