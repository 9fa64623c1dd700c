"""This is the room for turning values from outside (JSON, TOML, the environment) into typed ones, or into a clear complaint."""

import dataclasses
import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs
import msgspec

T = TypeVar("T")

_SCALARS = (str, int, float, bool)

_PATH = re.compile(r"(?P<problem>.*) - at `\$(?P<path>.*)`", re.DOTALL)


class Undecodable(ValueError):
    """The value does not fit the type; ``str()`` says where, what was expected and what was found."""


def decode(raw: object, wanted: type[T], *, where: str, strict: bool = True) -> T:
    """Return ``raw`` (dicts, lists, strings, numbers) as an instance of ``wanted``, an attrs class or a msgspec Struct.

    ``where`` is what a complaint calls the value, such as ``params`` or ``plugins.slack``. With ``strict=False`` strings
    are read as numbers and booleans where those are wanted. Keys that ``wanted`` does not know are refused at any depth:
    msgspec ignores them for attrs classes, and a misspelt key that is silently dropped costs somebody an evening.
    """
    value = convert(raw, wanted, where=where, strict=strict)
    if not _is_flat_and_known(raw, wanted):
        for path in unknown_keys(raw, value):
            raise Undecodable(f"{where}{path}: unknown key")
    return value


def convert(raw: object, wanted: type[T], *, where: str, strict: bool = True) -> T:
    """Decode without a look at unknown keys: for what is known to have none."""
    try:
        return msgspec.convert(raw, wanted, strict=strict, dec_hook=_read_path)
    except msgspec.ValidationError as error:
        raise Undecodable(_sentence(str(error), where)) from None


def _is_flat_and_known(raw: object, wanted: type[Any]) -> bool:
    """Whether there is no room for an unknown key: the quick answer, for what most job types are given."""
    if not isinstance(raw, dict):
        return False
    names = field_names(cast(Hashable, wanted))
    # A loop, because a generator costs as much as all the looks together.
    for key, value in raw.items():  # noqa: SIM110
        if key not in names or not (value is None or type(value) in _SCALARS):
            return False
    return True


@cache
def field_names(wanted: Any) -> Mapping[str, str]:
    """Key → attribute of what a class may be given. Private attributes are not for those who write JSON."""
    if not isinstance(wanted, type):
        return {}
    if issubclass(wanted, msgspec.Struct):
        return dict(zip(wanted.__struct_encode_fields__, wanted.__struct_fields__, strict=True))
    if attrs.has(wanted):
        names = [field.name for field in attrs.fields(wanted)]
    else:
        names = [field.name for field in dataclasses.fields(wanted)] if dataclasses.is_dataclass(wanted) else []
    return {name: name for name in names if not name.startswith("_")}


@cache
def _known_keys(kind: Any) -> frozenset[str] | None:
    """The keys that an instance of this class may have come from; None where it is not made of fields."""
    if issubclass(kind, msgspec.Struct):
        tag = kind.__struct_config__.tag_field
        return frozenset(field_names(cast(Hashable, kind))) | ({tag} if tag else frozenset())
    return frozenset(field_names(cast(Hashable, kind))) if attrs.has(kind) or dataclasses.is_dataclass(kind) else None


def unknown_keys(raw: object, value: object, path: str = "") -> Iterator[str]:
    """Yield the path of every key in ``raw`` that did not make it into ``value``, as ``.a.b`` or ``.a[0].b``."""
    if raw is value:
        # Where anything is wanted msgspec hands on what it was given, however much that is.
        return
    if isinstance(raw, Mapping):
        parts: Iterable[tuple[Any, Any, Any]] = ()
        if isinstance(value, Mapping):
            if len(raw) == len(value):
                # By their order: the keys may have become numbers or dates.
                parts = zip(raw, raw.values(), value.values(), strict=True)
            else:
                yield from (f"{path}.{key}" for key in raw if key not in value)
        elif (known := _known_keys(cast(Hashable, type(value)))) is not None:
            yield from (f"{path}.{key}" for key in raw if key not in known)
            names = field_names(cast(Hashable, type(value)))
            parts = [(key, raw[key], getattr(value, names[key])) for key in raw if key in names]
        for key, part, other in parts:
            yield from unknown_keys(part, other, f"{path}.{key}")
    elif isinstance(raw, list) and isinstance(value, (list, tuple)):
        for index, (one, other) in enumerate(zip(raw, value, strict=False)):
            yield from unknown_keys(one, other, f"{path}[{index}]")


def storable_text(text: str) -> str:
    """``text`` as PostgreSQL can keep it: without NUL characters and lone surrogates."""
    # str's own, so that the result is a plain str whatever class the text is of.
    return str.replace(text, "\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def holds_unstorable_text(value: Any) -> bool:
    """Whether decoded JSON holds a string, as key or value, that PostgreSQL's jsonb refuses."""
    if isinstance(value, str):
        return not (value.isascii() and "\x00" not in value) and storable_text(value) != value
    if isinstance(value, dict):
        return any(holds_unstorable_text(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(holds_unstorable_text(part) for part in value)


def storable_json(value: Any) -> Any:
    """Decoded JSON with every string made storable. Raises ValueError where that would lose a key."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, Mapping):
        storable = {storable_json(key): storable_json(part) for key, part in value.items()}
        if len(storable) < len(value):
            raise ValueError("two keys of one object differ only in what PostgreSQL cannot keep")
        return storable
    return [storable_json(part) for part in value] if isinstance(value, (list, tuple)) else value


def unstorable_number(value: Any) -> float | None:
    """Return the first NaN or infinity in a value made of mappings, sequences and scalars, which JSON has no form for, or None."""
    if isinstance(value, float):
        return None if math.isfinite(value) else value
    parts: Iterable[Any] = ()
    if isinstance(value, Mapping):
        parts = (part for pair in value.items() for part in pair)
    elif isinstance(value, (list, tuple)):
        parts = value
    return next((number for part in parts if (number := unstorable_number(part)) is not None), None)


def _read_path(wanted: type[Any], raw: Any) -> Path:
    """A path where one is wanted: the one type of ours that msgspec does not know."""
    if wanted is Path and isinstance(raw, str):
        return Path(raw)
    raise TypeError(f"expected {wanted.__name__}, got {type(raw).__name__}")


def _sentence(complaint: str, where: str) -> str:
    """Turn msgspec's "Expected `int`, got `str` - at `$.limit`" into "<where>.limit: expected int, got str"."""
    match = _PATH.fullmatch(complaint)
    problem, path = (match["problem"], match["path"]) if match else (complaint, "")
    problem = problem.replace("`", "")
    return f"{where}{path}: {problem[:1].lower()}{problem[1:]}"
