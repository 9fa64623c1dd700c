"""This is the room for the form that a JSON Schema makes: a field for each of a job type's params, and back from its texts to JSON.

What a field cannot be made for (objects, lists of objects, either-or) is written as JSON.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

from owlrunner.json_text import BadJson, read_json

PREFIX = "param."
"""What the names of these fields begin with, so that no param gets in the way of the form's own."""
_AT_FIELD = re.compile(r"params\.(\w+)[^:]*: (.*)", re.DOTALL)
_MISSING = re.compile(r"params: object missing required field (\w+)")
_KINDS = {"integer": "whole", "number": "number", "boolean": "yesno", "string": "text"}
_NULLABLE = "x-nullable"
_LISTS = {"string", "integer", "number"}


@attrs.frozen
class Field:
    """One param, as a form asks for it."""

    name: str
    kind: str
    """text, whole, number, yesno, choice, date, lines or json."""
    schema: Mapping[str, Any]
    is_required: bool
    text: str = ""
    """What stands in it."""
    problem: str = ""

    @property
    def label(self) -> str:
        """Its name for people."""
        return str(self.schema.get("title") or self.name.replace("_", " ").capitalize())

    @property
    def help(self) -> str:
        """What the author of the job type says about it, and what must be so."""
        told = [str(self.schema.get("description", "")).strip(), self._limits]
        if self.kind == "lines":
            told.append("One per line")
        if self.kind == "json":
            told.append("As JSON")
        return ". ".join(one.rstrip(".") for one in told if one)

    @property
    def options(self) -> list[str]:
        """What may be chosen."""
        return [_text_of(value) for value in self.schema.get("enum", [])]

    @property
    def _limits(self) -> str:
        low = self.schema.get("minimum", self.schema.get("exclusiveMinimum"))
        high = self.schema.get("maximum", self.schema.get("exclusiveMaximum"))
        if "minimum" in self.schema and "maximum" in self.schema:
            return f"{low} to {high}"
        above = f"{'At least' if 'minimum' in self.schema else 'More than'} {low}" if low is not None else ""
        below = f"{'At most' if 'maximum' in self.schema else 'Less than'} {high}" if high is not None else ""
        return f"{above}, {below.lower()}" if above and below else above or below


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """The fields of a form for params of this schema, filled with the defaults."""
    required = schema.get("required", [])
    fields = []
    for name, declared in schema.get("properties", {}).items():
        resolved = _resolved(declared, schema.get("$defs", {}))
        kind = _kind(resolved)
        default = resolved.get("default")
        text = "" if default is None else _as_text(kind, default)
        fields.append(Field(name, kind, resolved, name in required, text))
    return fields


def read(fields: list[Field], form: Mapping[str, str]) -> tuple[dict[str, Any], list[Field]]:
    """The params that a form holds, and the fields as they were filled in, with a problem where a text cannot be one."""
    params: dict[str, Any] = {}
    filled: list[Field] = []
    for field in fields:
        # Browsers send line ends of their own.
        text = form.get(PREFIX + field.name, "").replace("\r\n", "\n")
        problem = ""
        if field.kind == "yesno":
            params[field.name] = bool(text)
        elif text.strip():
            try:
                params[field.name] = _value(field, text)
            except (ValueError, msgspec.DecodeError) as error:
                problem = str(error)
        elif field.is_required and field.kind != "text":
            problem = "Must be given"
        elif field.is_required or field.text:
            # Somebody took the default away.
            if field.kind == "text":
                params[field.name] = text
            elif field.schema.get(_NULLABLE):
                params[field.name] = None
        filled.append(attrs.evolve(field, text=text, problem=problem))
    return params, filled


def with_problem(fields: list[Field], complaint: str) -> tuple[list[Field], str]:
    """The fields with a complaint about the params at the one that it names, or else the complaint."""
    match = _AT_FIELD.fullmatch(complaint)
    missing = _MISSING.fullmatch(complaint)
    name, problem = match.groups() if match else (missing[1], "Must be given") if missing else ("", "")
    if not any(field.name == name for field in fields):
        return fields, complaint
    told = _sentence(problem)
    return [attrs.evolve(field, problem=told) if field.name == name else field for field in fields], ""


def _sentence(problem: str) -> str:
    return problem[:1].upper() + problem[1:]


def _resolved(declared: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """One schema without references at its top, and without null, for which an empty field stands."""
    schema = dict(declared)
    if "anyOf" in schema:
        others = [one for one in schema["anyOf"] if one.get("type") != "null"]
        if len(others) == 1:
            schema = {**others[0], **{key: value for key, value in schema.items() if key != "anyOf"}, _NULLABLE: True}
    if "$ref" in schema:
        found = definitions.get(str(schema["$ref"]).removeprefix("#/$defs/"), {})
        # The title of a class is no name for the field that holds one.
        schema = {key: value for key, value in found.items() if key != "title"} | schema
    return schema


def _kind(schema: Mapping[str, Any]) -> str:
    item = schema.get("items", {})
    if "enum" in schema:
        return "choice"
    if schema.get("type") == "array" and item.get("type") in _LISTS and "enum" not in item:
        return "lines"
    if schema.get("type") == "string" and schema.get("format") == "date":
        return "date"
    return _KINDS.get(schema.get("type", ""), "json")


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _as_text(kind: str, value: Any) -> str:
    if value is None:
        return ""
    if kind == "yesno":
        return "yes" if value else ""
    if kind == "lines" and isinstance(value, list):
        return "\n".join(_text_of(one) for one in value)
    if kind == "json":
        return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return _text_of(value)


def _value(field: Field, text: str) -> Any:
    """What a text means. Raises ValueError and DecodeError."""
    match field.kind:
        case "whole":
            return _whole(text)
        case "number":
            return _number(text)
        case "choice":
            return next((value for value in field.schema["enum"] if _text_of(value) == text), text)
        case "lines":
            item = field.schema["items"]["type"]
            lines = [line for line in text.split("\n") if line.strip()]
            return lines if item == "string" else [_whole(one) if item == "integer" else _number(one) for one in lines]
        case "json":
            try:
                return read_json(text)
            except BadJson as problem:
                raise ValueError(_sentence(str(problem))) from None
        case _:
            return text


def _whole(text: str) -> int:
    try:
        return int(text.strip())
    except ValueError:
        raise ValueError(f"Expected a whole number, got {text.strip()[:40]!r}") from None


def _number(text: str) -> float:
    try:
        number = float(text.strip())
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"Expected a number, got {text.strip()[:40]!r}")
    return number
