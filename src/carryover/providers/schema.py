"""Whether a value matches a JSON Schema, for the keywords that structured output uses.

Providers promise answers that match, but not all keep it, and tool calls of older models do not even promise.
Source: JSON Schema 2020-12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from carryover.core.errors import Invalid

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
_CHECKED = {
    *("type", "enum", "const", "anyOf", "$ref"),
    *("properties", "required", "additionalProperties", "items"),
    *("minItems", "maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum"),
}
_ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "default", "examples", "format"}


def check(schema: Mapping[str, Any]) -> None:
    """Raises Invalid when the schema uses a keyword that `fault` would not check."""
    for part in _parts(schema):
        for key in part:
            if key not in _CHECKED | _ANNOTATIONS:
                raise Invalid(f"{key!r} of JSON Schema is not supported here; say it with another keyword", field=key)


def fault(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any] | None = None, where: str = "$") -> str | None:
    """Why `value` does not match, in a few words; None when it does."""
    root = schema if root is None else root
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        if found := fault(value, target, root, where):
            return found
    if "anyOf" in schema:
        faults = [fault(value, choice, root, where) for choice in schema["anyOf"]]
        if None not in faults:
            return f"{where} matches none of its forms ({faults[-1]})"
    return (
        _type_fault(value, schema, where)
        or _size_fault(value, schema, where)
        or _object_fault(value, schema, root, where)
        or _array_fault(value, schema, root, where)
    )


def _type_fault(value: Any, schema: Mapping[str, Any], where: str) -> str | None:
    wanted = schema.get("type", list(_TYPES))
    kinds: list[str] = [wanted] if isinstance(wanted, str) else wanted
    if not any(_is(value, kind) for kind in kinds):
        return f"{where} is not of type {' or '.join(kinds)}"
    if "enum" in schema and not any(_same(value, choice) for choice in schema["enum"]):
        return f"{where} is not one of {schema['enum']}"
    if "const" in schema and not _same(value, schema["const"]):
        return f"{where} is not {schema['const']!r}"
    return None


def _is(value: Any, kind: str) -> bool:
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _size_fault(value: Any, schema: Mapping[str, Any], where: str) -> str | None:
    if isinstance(value, str):
        size, low, high = len(value), "minLength", "maxLength"
    elif isinstance(value, list):
        size, low, high = len(cast("list[Any]", value)), "minItems", "maxItems"
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        size, low, high = value, "minimum", "maximum"
    else:
        return None
    if low in schema and size < schema[low]:
        return f"{where} is below {low} {schema[low]}"
    if high in schema and size > schema[high]:
        return f"{where} is above {high} {schema[high]}"
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return f"{where} does not match {schema['pattern']}"
    return None


def _object_fault(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], where: str) -> str | None:
    if not isinstance(value, dict):
        return None
    members = cast("dict[str, Any]", value)
    known: Mapping[str, Any] = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in members:
            return f"{where}.{name} is missing"
    others = schema.get("additionalProperties", True)
    for name, member in members.items():
        wanted = known.get(name, others)
        if wanted is False:
            return f"{where}.{name} is unknown"
        if wanted is not True and (found := fault(member, wanted, root, f"{where}.{name}")):
            return found
    return None


def _array_fault(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], where: str) -> str | None:
    if not isinstance(value, list) or "items" not in schema:
        return None
    for n, item in enumerate(cast("list[Any]", value)):
        if found := fault(item, schema["items"], root, f"{where}[{n}]"):
            return found
    return None


def _parts(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The schema and all schemas inside it."""
    inside: list[Any] = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    inside += [*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")]
    found = [schema]
    for part in inside:
        if isinstance(part, Mapping):
            found += _parts(cast("Mapping[str, Any]", part))
    return found
