"""Describe contract files as JSON Schema, for the completion and the errors of TOML editors. Pure.

The schema is generated from the structs that the loader reads, so both always have the same keys and values.
"""

from __future__ import annotations

from typing import Any

import msgspec

from infra.contracts.record_schema import DIALECT, Schema
from shared.contracts.schema import TYPES_OF_KEYS, AggregateTable, ChecksTable, EventTable, FieldTable
from shared.contracts.source import FORMATS_OF_KEYS, SourceFormat

_TABLES = (SourceFormat, EventTable, FieldTable, ChecksTable, AggregateTable)

# What an editor shows beside a key.
DESCRIPTIONS: dict[str, dict[str, str]] = {
    "SourceFormat": {
        "format": "Format of the files; by default inferred from each file.",
        "encoding": "Name of a Python text codec, such as windows-1252.",
        "delimiter": "One character between cells; a blank stands for any number of blanks and tabs.",
        "skip_lines": "Lines before the header, or before the first row if columns is set.",
        "columns": "Names of the columns of files without a header row, in order.",
        "decimal": "Decimal mark of numbers.",
        "thousands": "Mark between groups of three digits.",
    },
    "EventTable": {
        "id": "The field, or list of fields, that identifies an event among all events of its user and day.",
        "user": "The field with the user.",
        "time": "The field with the time of the event.",
        "bucket": "The time that one row holds.",
    },
    "FieldTable": {
        "type": "Type of the value.",
        "from": "Path in the received JSON, with dots into objects; by default the name of the field.",
        "required": "An absent value breaks rule required; null or an empty string breaks rule null.",
        "severity": "reject the event, or warn: store the event and its findings.",
        "default": "Replaces an absent or null value.",
        "trim": "Remove whitespace at both ends.",
        "case": "Change letters to this case.",
        "mask": "Keep the value itself from being stored.",
        "unit": "Unit of times that are numbers.",
        "format": "Format of times that are texts, as for Python's strptime.",
        "one_of": "The allowed values.",
        "pattern": "What the whole text has to match, in RE2's syntax.",
        "min_length": "Least number of characters, elements or keys.",
        "max_length": "Greatest number of characters, elements or keys.",
        "min": "Least number (inclusive).",
        "max": "Greatest number (inclusive).",
        "max_future": 'Greatest time after the publication of the message, such as "5m".',
        "max_age": 'Greatest time before the publication of the message, such as "400d".',
    },
    "ChecksTable": {
        "unknown_fields": "What to do with received fields that no [fields] reads.",
        "max_rejected": "Share of a day's events, from 0 to 1, that may be rejected without a warning.",
    },
    "AggregateTable": {
        "by": "The field whose values the measures are computed for; without it they are for the whole day.",
        "where": "Fields with the value that each must have, or a list of such values.",
        "mergeable": "Keep the state that merges the measures of several days.",
    },
}
_MEASURE = {
    "description": "count, or unique, sum, min, max or mean of a field.",
    "type": "string",
    "pattern": r"^\s*(?:count|(?:unique|sum|min|max|mean)\s*\(\s*[^()]+\s*\))\s*$",
}


def editor_schema() -> Schema:
    """Return the JSON Schema 2020-12 of contract files."""
    _, components = msgspec.json.schema_components(_TABLES, ref_template="#/$defs/{name}")
    tables = {name: _table(name, schema) for name, schema in components.items()}
    tables["FieldTable"]["allOf"] = [_only_with(key, "type", types) for key, types in TYPES_OF_KEYS.items()]
    tables["SourceFormat"]["allOf"] = [_only_with(key, "format", formats) for key, formats in FORMATS_OF_KEYS.items()]
    tables["AggregateTable"]["additionalProperties"] = _MEASURE
    tables["EventTable"]["properties"]["time"]["minLength"] = 1
    return {
        "$schema": DIALECT,
        "title": "Contract of Sluice",
        "type": "object",
        "properties": {
            "version": {"description": "Version of the format.", "const": 1},
            "name": {"description": "Name of these events; a label in the log.", "type": "string", "minLength": 1},
            "source": {"$ref": "#/$defs/SourceFormat"},
            "event": {"$ref": "#/$defs/EventTable"},
            "fields": _named("FieldTable", least=1),
            "checks": {"$ref": "#/$defs/ChecksTable"},
            "aggregates": _named("AggregateTable", least=0),
        },
        "required": ["version", "name", "event", "fields"],
        "additionalProperties": False,
        "$defs": tables,
    }


def _table(name: str, schema: Schema) -> Schema:
    """Return the schema of a table with descriptions, and without the null that a TOML file can't have."""
    properties = {
        key: {"description": DESCRIPTIONS[name][key], **_without_null(value)}
        for key, value in schema["properties"].items()
    }
    summary = schema["description"].partition("\n")[0].replace("`", "")
    return {**schema, "description": summary, "properties": properties}


def _without_null(schema: Schema) -> Schema:
    found = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    options = [option for option in found.pop("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        return {**options[0], **found}
    if options and all(option.keys() == {"type"} for option in options):  # editors show this error more clearly
        return {"type": [option["type"] for option in options], **found}
    return {"anyOf": options, **found} if options else found


def _only_with(key: str, other: str, values: Any) -> Schema:
    """Return the condition that a table has a key, other than as false, only with these values of another."""
    given = {"required": [key], "properties": {key: {"not": {"const": False}}}}
    return {"if": given, "then": {"properties": {other: {"enum": list(values)}}}}


def _named(table: str, *, least: int) -> Schema:
    schema: Schema = {"type": "object", "additionalProperties": {"$ref": f"#/$defs/{table}"}}
    return {**schema, "minProperties": least} if least else schema
