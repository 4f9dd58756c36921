"""Describe the records that a contract accepts as JSON Schema, for the producers of events. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from infra.contracts.portable_patterns import portable_pattern
from shared.contracts.model import Contract, Field, Unit
from shared.validation.checks import MAX_INTEGER, MIN_INTEGER

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# What a contract accepts as RFC 3339; the format "date-time" of JSON Schema requires an offset.
_RFC_3339 = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d| UTC)?$"
_UNITS: dict[Unit, str] = {
    "s": "seconds since 1970",
    "ms": "milliseconds since 1970",
    "us": "microseconds since 1970",
    "ns": "nanoseconds since 1970",
    "serial_days": "days since 1899-12-30",
}
_SIZES = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}


def record_schema(contract: Contract, *, strict: bool = False) -> Schema:
    """Return the JSON Schema 2020-12 of the records that a contract accepts, before their transform.

    Every accepted record is valid. A valid record can be rejected by what JSON Schema can't express: rules of text that
    is trimmed or changed in case first, formats of times, patterns without an equivalent, and ages.

    Args:
        contract: accepts the records.
        strict: whether a record that is stored with a finding of severity "warn" is invalid.
    """
    root = _Node()
    for each in contract.fields:
        node = root
        for key in each.path[:-1]:
            node = node.children.setdefault(key, _Node())
        node.fields[each.path[-1]] = each
    schema = root.schema(contract, strict=strict)
    return {"$schema": DIALECT, "title": contract.name, "type": "object", **schema}


@dataclass
class _Node:
    """An object of the record: the fields in it, and further objects."""

    fields: dict[str, Field] = field(default_factory=dict)
    children: dict[str, _Node] = field(default_factory=dict)

    def schema(self, contract: Contract, *, strict: bool) -> Schema:
        closed = contract.unknown_fields == "reject"
        properties = {key: _field_schema(each, strict=strict) for key, each in self.fields.items()}
        required = [key for key, each in self.fields.items() if _is_required(each) and _asserted(each, strict)]
        for key, child in self.children.items():
            schema = child.schema(contract, strict=strict)
            if "required" in schema or closed:  # otherwise another value is kept like an unknown field
                schema = {"type": "object", **schema}
            required += [key] * ("required" in schema)
            properties[key] = schema
        found: Schema = {"properties": properties}
        if required:
            found["required"] = required
        if closed:
            found["additionalProperties"] = False
        return found


def _is_required(each: Field) -> bool:
    return each.required and each.default is None  # the user is required, and can have a default


def _asserted(each: Field, strict: bool) -> bool:
    return strict or each.severity == "reject"


def _field_schema(each: Field, *, strict: bool) -> Schema:
    description = _description(each)
    schema: Schema = {"description": description} if description else {}
    if not _asserted(each, strict):
        return schema
    schema |= _rules(each)
    if not _is_required(each):
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema


def _rules(each: Field) -> Schema:
    if each.type == "timestamp":
        return _time_rules(each)
    rules: Schema = {"type": each.type}
    if each.type in ("integer", "number"):
        low, high = (MIN_INTEGER, MAX_INTEGER) if each.type == "integer" else (-math.inf, math.inf)
        low = low if each.minimum is None else max(low, each.minimum)
        high = high if each.maximum is None else min(high, each.maximum)
        rules |= {key: bound for key, bound in (("minimum", low), ("maximum", high)) if math.isfinite(bound)}
    least, most = each.min_length, each.max_length
    if each.type == "string" and each.required:
        least = max(1, least or 0)
    if each.trim or each.case:
        least, most = (1 if each.required else None), None  # the rules apply to the changed text
    elif each.one_of is not None:
        rules["enum"] = list(each.one_of)
    if each.pattern is not None and not each.trim and not each.case and (pattern := portable_pattern(each.pattern)):
        rules["pattern"] = pattern
    if each.type in _SIZES:
        rules |= {key: size for key, size in zip(_SIZES[each.type], (least, most), strict=True) if size is not None}
    return rules


def _time_rules(each: Field) -> Schema:
    if each.unit:
        return {"type": "number"}
    if each.format:
        return {"type": "string", "minLength": 1}
    return {"type": "string", "pattern": _RFC_3339}


def _description(each: Field) -> str:
    """Return what the schema doesn't express."""
    parts = []
    if each.path[-1] != each.name:
        parts.append(f"stored as {each.name}")
    if each.type == "timestamp":
        parts.append(f"a time: {_UNITS[each.unit] if each.unit else each.format or 'RFC 3339'}")
    parts += ["trimmed"] * each.trim + [f"in {each.case} case"] * (each.case is not None)
    if (each.trim or each.case) and each.one_of is not None:
        parts.append(f"one of {', '.join(map(str, each.one_of))}")
    if each.pattern is not None and (each.trim or each.case or portable_pattern(each.pattern) is None):
        parts.append(f"matches {each.pattern} in RE2's syntax")
    if each.default is not None:
        parts.append(f"default {each.default!r}")
    if each.severity == "warn":
        parts.append("a value that breaks a rule is stored with a finding")
    return "; ".join(parts)
