"""Params of a job type: decode what somebody gave, and encode what was understood as the JSON that is stored.

What is stored is what was read: the decoded values of the keys that were given, at every depth. Defaults are left out, so that a
run or a schedule stays readable for a server of another version, whose params class has one field more or less.
"""

import json
import math
import types
import typing
from collections.abc import Hashable, Mapping
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any, cast

import msgspec

from owlrunner.decoding import Undecodable, convert, decode, field_names, holds_unstorable_text
from owlrunner.errors import InvalidParams
from owlrunner.json_text import MOST_ZEROS, has_many_zeros, read_json
from owlrunner.raised_errors import named

WHERE = "params"
MANY_ZEROS = f"params: the exponents of numbers such as 1e300 add up to more than {MOST_ZEROS:,}"
UNSTORABLE = "params: text with NUL characters or lone surrogates cannot be stored"
_SCALARS = (int, float, str, bool, types.NoneType)


def decode_params(raw: object, wanted: type[Any]) -> Any:
    """Return params as JSON has them as an instance of ``wanted``.

    Strings stand for numbers and booleans where those are wanted, because command lines know only strings.

    Raises InvalidParams.
    """
    try:
        return decode(raw, wanted, where=WHERE, strict=False)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # A class's own checks may raise anything, sys.exit() included, and end no server by that.
        raise _refusal(error) from error


def encode_params(raw: object, wanted: type[Any]) -> bytes:
    """Return params as the JSON text to store. Decoding it gives what decoding ``raw`` gives.

    Raises InvalidParams, also for a number that is not finite and for text that PostgreSQL cannot keep.
    """
    value = decode_params(raw, wanted)
    scalars = _scalar_attributes(cast(Hashable, wanted))
    try:
        if scalars is not None and isinstance(raw, dict):
            return _json(_given_scalars(raw, value, scalars))
        stored = _given(raw, value, WHERE)
        if not _comes_back(stored, value, wanted):
            # A class that changes what it is given, and would change that again.
            _require_finite(raw, WHERE)
            stored = raw
        return _json(stored)
    except Exception as error:
        raise _refusal(error) from error


def _refusal(error: BaseException) -> InvalidParams:
    """The complaint that an error comes to."""
    return InvalidParams(str(error) if type(error) is Undecodable else f"{WHERE}: {named(error)}")


def _json(stored: object) -> bytes:
    try:
        text = msgspec.json.encode(stored)
    except UnicodeEncodeError:  # half a surrogate pair
        raise Undecodable(UNSTORABLE) from None
    # A text about JSON may hold the same characters, hence the second look.
    if b"\\u0000" in text and holds_unstorable_text(read_json(text)):
        raise Undecodable(UNSTORABLE)
    if has_many_zeros(text):
        raise Undecodable(MANY_ZEROS)
    return text


def _given_scalars(raw: dict[str, Any], value: object, attributes: Mapping[str, str]) -> dict[str, Any]:
    """The decoded values of the keys in ``raw``, for a class that holds nothing but scalars: the quick way."""
    stored = {}
    for key in raw:
        part = stored[key] = getattr(value, attributes[key])
        if type(part) is float and not math.isfinite(part):
            raise _not_finite(f"{WHERE}.{key}", part)
    return stored


@cache
def _scalar_attributes(wanted: Any) -> Mapping[str, str] | None:
    """Key → attribute of a class whose fields are all scalars that stay as they are decoded; None for any other class."""
    if hasattr(wanted, "__attrs_post_init__") or hasattr(wanted, "__post_init__"):
        return None
    try:
        hints = typing.get_type_hints(wanted, include_extras=True)
    except NameError:  # annotations that only msgspec finds its way through
        return None
    names = field_names(cast(Hashable, wanted))
    return names if all(_is_scalar(hints.get(attribute)) for attribute in names.values()) else None


def _is_scalar(hint: Any) -> bool:
    """Whether all values of the type are scalars of JSON, or enums of them."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _is_scalar(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return all(_is_scalar(part) for part in typing.get_args(hint))
    if origin is typing.Literal:
        return True
    return hint in _SCALARS or (isinstance(hint, type) and issubclass(hint, Enum))


def _given(raw: object, value: object, path: str) -> Any:
    """What was made of ``raw``, as JSON has it, without what nobody gave.

    Raises Undecodable for a number that is not finite.
    """
    if raw is value and type(value) in (list, dict) and _is_json(value):
        # Anything was wanted: it is what it was, and there may be much of it.
        return value
    if isinstance(raw, Mapping):
        if isinstance(value, Mapping) and len(raw) == len(value):
            # By their order: the keys may have become numbers or dates.
            pairs = zip(raw.values(), value.items(), strict=True)
            return {_key(key, path): _given(part, other, f"{path}.{key}") for part, (key, other) in pairs}
        if names := field_names(cast(Hashable, type(value))):
            # The only key that is no field is the one that names the class where several are allowed.
            return {
                key: _given(part, getattr(value, names[key]), f"{path}.{key}") if key in names else part
                for key, part in raw.items()
            }
    elif isinstance(raw, list):
        if isinstance(value, (list, tuple)) and len(raw) == len(value):
            listed = enumerate(zip(raw, value, strict=True))
            return [_given(part, other, f"{path}[{index}]") for index, (part, other) in listed]
        if isinstance(value, (set, frozenset)):
            # In an order of its own, so that one set is always stored as one text.
            return sorted((_given(None, part, f"{path}[]") for part in value), key=msgspec.json.encode)
    return _as_json(value, path)


def _is_json(value: object) -> bool:
    """Whether a value is made of what JSON has. By the standard library, because msgspec makes null of what is not finite."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _as_json(value: object, path: str) -> Any:
    if type(value) in (str, int, bool, types.NoneType):
        return value
    _require_finite(msgspec.to_builtins(value, builtin_types=(Decimal,), enc_hook=_write_path), path)
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_write_path)


def _write_path(value: object) -> str:
    """A path as text: the one type of ours that msgspec does not know."""
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _key(key: object, path: str) -> str:
    if isinstance(key, str):
        return key
    _require_finite(key, f"{path}: a key")
    return str(*msgspec.to_builtins({key: None}, str_keys=True))


def _comes_back(stored: object, value: object, wanted: type[Any]) -> bool:
    """Whether this decodes to the same value again."""
    try:
        again = convert(stored, wanted, where=WHERE, strict=False)
    except Exception:  # noqa: BLE001 - the class is the plugin's; what it raises for a form of ours is no complaint about what was given
        return False
    return again == value or _all(again) == _all(value)


def _all(value: object) -> object:
    """Everything in a value, for a class that has no equality."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_write_path)


def _require_finite(value: object, path: str) -> None:
    """Raise Undecodable for the first number, as a value or a key, that is infinite or none at all: JSON would make it null."""
    if isinstance(value, (float, Decimal)):
        if not math.isfinite(value):
            raise _not_finite(path, value)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            _require_finite(key, f"{path}: a key")
            _require_finite(part, f"{path}.{key}")
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, part in enumerate(value):
            _require_finite(part, f"{path}[{index}]")


def _not_finite(path: str, number: object) -> Undecodable:
    return Undecodable(f"{path}: expected a finite number, got {number}")
