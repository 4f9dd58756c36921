"""Events become typed columns; what doesn't fit a column is kept beside it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from infra.export.day_tables.event_columns import EventColumns
from infra.export.day_tables.stored_events import StoredEvent
from infra.export.day_tables.tables import partition_key
from shared.contracts.loader import load_contract, parse_contract
from tests.support.samples import MUSIC_CONTRACT

TYPES = ("string", "integer", "number", "boolean", "timestamp", "object", "array")


@pytest.fixture
def columns() -> EventColumns:
    """The columns of a contract with an optional field of each type."""
    fields: dict[str, Any] = {name: {"type": name, "severity": "warn"} for name in TYPES}
    keys = {"id": {"type": "string"}, "user": {"type": "string"}, "time": {"type": "timestamp"}}
    event = {"id": "id", "user": "user", "time": "time"}
    document = {"version": 1, "name": "all", "event": event, "fields": {**keys, **fields}}
    return EventColumns(parse_contract(document, "all.toml"))


def row(columns: EventColumns, *events: str) -> dict[str, Any]:
    """Return the last of some events as an exported row, without its nulls."""
    stored = [StoredEvent("e", event.encode(), None, ()) for event in events]
    last: dict[str, Any] = columns.batch(stored).to_pylist()[-1]
    return {name: value for name, value in last.items() if value is not None and name != "_event_id"}


def test_the_columns_are_the_fields_of_the_contract_with_their_types() -> None:
    schema = EventColumns(load_contract(MUSIC_CONTRACT)).schema

    assert schema.names[:4] == ["event_id", "user_id", "timestamp", "event_type"]
    assert schema.names[-4:] == ["_event_id", "_findings", "_other_fields", "_earlier_events"]
    assert schema.field("timestamp").type == pa.timestamp("us", tz="UTC")
    assert schema.field("duration").type == pa.float64()


VALUES = [
    ("string", '"ü"', "ü"),
    ("integer", "-9223372036854775808", -(2**63)),
    ("number", "0.1", 0.1),
    ("number", "3", 3.0),
    ("boolean", "false", False),
    ("timestamp", '"2024-01-15T10:00:00.123456Z"', datetime(2024, 1, 15, 10, 0, 0, 123456, UTC)),
    ("object", '{"b":1.50,"a":[null]}', '{"b":1.50,"a":[null]}'),
    ("array", '[1,{"x":"ü"}]', '[1,{"x":"ü"}]'),
]


@pytest.mark.parametrize(("name", "text", "value"), VALUES, ids=[f"{name} {text}" for name, text, _ in VALUES])
def test_a_value_of_the_type_is_in_its_column(columns: EventColumns, name: str, text: str, value: Any) -> None:
    found = row(columns, f'{{"{name}":{text}}}')

    assert found == {name: value}
    assert type(found[name]) is type(value)


UNFIT = [
    ("string", "5"),
    ("integer", "9223372036854775808"),
    ("integer", '"5"'),
    ("integer", "1.5"),
    ("number", '"many"'),
    ("boolean", "1"),
    ("timestamp", '"noon"'),
    ("object", "[]"),
    ("array", "{}"),
]


@pytest.mark.parametrize(("name", "text"), UNFIT)
def test_a_value_of_another_type_is_kept_unchanged(columns: EventColumns, name: str, text: str) -> None:
    good = next(value for each, value, _ in VALUES if each == name)

    assert row(columns, f'{{"{name}":{good}}}', f'{{"{name}":{text}}}') == {"_other_fields": f'{{"{name}":{text}}}'}


def test_an_integer_that_no_float_equals_is_also_kept(columns: EventColumns) -> None:
    assert row(columns, '{"number":9007199254740993}') == {
        "number": 9007199254740992.0,
        "_other_fields": '{"number":9007199254740993}',
    }
    assert row(columns, '{"number":9007199254740992}') == {"number": 9007199254740992.0}


def test_unknown_fields_keep_their_text(columns: EventColumns) -> None:
    text = '{"string":"s","a\\"b":1.50,"deep":{"x":[1,2]}}'

    assert row(columns, text) == {"string": "s", "_other_fields": '{"a\\"b":1.50,"deep":{"x":[1,2]}}'}


def test_findings_and_earlier_versions_are_json(columns: EventColumns) -> None:
    event = StoredEvent("e%20", b"{}", b'[{"rule":"range"}]', (b'{"a":1}', b'{"a":2}'))

    [found] = columns.batch([event]).to_pylist()

    assert found["_event_id"] == "e "
    assert json.loads(found["_findings"]) == [{"rule": "range"}]
    assert json.loads(found["_earlier_events"]) == [{"a": 1}, {"a": 2}]


def test_the_column_of_the_day_has_a_name_of_its_own() -> None:
    assert partition_key(["event_id", "DAY"]) == "_day"
    assert partition_key(["event_id", "days"]) == "day"
