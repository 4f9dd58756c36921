"""The event of the smoke test satisfies any contract whose required values can be made."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.batch.smoke_event import make_event, read_template
from shared.contracts.loader import load_contract, parse_contract
from shared.contracts.model import Contract
from shared.errors import SourceError
from tests.support.samples import MUSIC_CONTRACT, ROOT, SPARKIFY_CONTRACT, music_event

NOW = datetime(2024, 1, 15, 10, 30, 45, 123_000, UTC)
KEY_FIELDS = {"id": {"type": "string"}, "user": {"type": "string"}, "time": {"type": "timestamp", "max_future": "0s"}}


def contract(**fields: dict[str, Any]) -> Contract:
    document = {
        "version": 1,
        "name": "t",
        "event": {"id": "id", "user": "user", "time": "time"},
        "fields": {**KEY_FIELDS, **fields},
        "checks": {"unknown_fields": "reject"},
    }
    return parse_contract(document, "t.toml")


@pytest.mark.parametrize("path", [MUSIC_CONTRACT, SPARKIFY_CONTRACT, ROOT / "docs" / "snippets" / "hub.toml"])
def test_an_event_is_made_for_every_shipped_contract(path: Path) -> None:
    loaded = load_contract(path)

    first, second = make_event(loaded, NOW), make_event(loaded, NOW)

    assert first.user == second.user == "sluice-smoke"
    assert first.verdict.cell_key != second.verdict.cell_key
    assert first.verdict.cell_key.micros == int(NOW.timestamp() * 1_000) * 1_000


def test_the_id_and_the_user_are_reserved_ones() -> None:
    event = make_event(load_contract(MUSIC_CONTRACT), NOW)

    assert event.id.startswith("sluice-smoke-")
    assert json.loads(event.raw) == {
        "event_id": event.id,
        "userId": "sluice-smoke",
        "timestamp": "2024-01-15T10:30:45.123000Z",
        "event_type": "click",
    }


@pytest.mark.parametrize(
    "field",
    [
        {"type": "string"},
        {"type": "string", "case": "upper", "trim": True},
        {"type": "string", "min_length": 40},
        {"type": "string", "max_length": 3},
        {"type": "string", "max_length": 0, "severity": "warn"},
        {"type": "string", "pattern": "[A-Z]{2}"},
        {"type": "string", "pattern": r"\d{13}"},
        {"type": "string", "pattern": r"\d+\.\d+\.\d+"},
        {"type": "string", "pattern": "[^/]+/[^/]+"},
        {"type": "string", "one_of": ["x", "y"], "pattern": "y"},
        {"type": "integer"},
        {"type": "integer", "min": 5, "max": 5},
        {"type": "integer", "max": -5},
        {"type": "integer", "min": 0.5},
        {"type": "integer", "one_of": [7]},
        {"type": "number", "min": 0.25, "max": 0.5},
        {"type": "number", "max": -0.5},
        {"type": "number", "min": -1e300, "max": 1e300},
        {"type": "number", "max": float("inf")},
        {"type": "boolean"},
        {"type": "boolean", "one_of": [False]},
        {"type": "object", "min_length": 2},
        {"type": "array", "min_length": 2, "max_length": 2},
        {"type": "timestamp", "max_age": "1m"},
        {"type": "timestamp", "unit": "ms", "max_age": "1m"},
        {"type": "timestamp", "unit": "us"},
        {"type": "timestamp", "unit": "s"},
        {"type": "timestamp", "unit": "ns", "max_age": "1m", "max_future": "1m"},
        {"type": "timestamp", "unit": "serial_days", "max_age": "1m", "max_future": "1m"},
        {"type": "timestamp", "format": "rfc2822", "max_age": "1m", "max_future": "1m"},
        {"type": "timestamp", "format": "%d/%m/%Y %H:%M"},
        {"type": "string", "from": "a.b.c"},
    ],
    ids=str,
)
def test_required_values_are_made_from_their_rules(field: dict[str, Any]) -> None:
    event = make_event(contract(x={**field, "required": True}), NOW)

    assert json.loads(event.verdict.value)["x"] is not None
    assert {finding.severity for finding in event.verdict.warnings} <= {field.get("severity")}


@pytest.mark.parametrize(
    ("ids", "expected"), [(["time", "n"], "2024-01-15T10:30:45.123000Z:0"), ("digest(record)", "")]
)
def test_ids_of_any_scalars_and_digests_are_shown_as_stored(ids: Any, expected: str) -> None:
    document = {
        "version": 1,
        "name": "t",
        "event": {"id": ids, "user": "user", "time": "time"},
        "fields": {**KEY_FIELDS, "n": {"type": "number", "max": 0, "min": 0, "required": True}},
    }

    event = make_event(parse_contract(document, "t.toml"), NOW)

    assert event.id == expected or (not expected and len(event.id) == 32)


@pytest.mark.parametrize(
    "field",
    [
        {"pattern": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"},
        {"pattern": "[a-z]+"},
        {"case": "upper"},
        {"max_length": 8},
        {"type": "integer", "min": 1},
        {"type": "integer", "max": 1_000_000},
    ],
    ids=str,
)
def test_ids_differ_under_any_rule(field: dict[str, Any]) -> None:
    made = contract(id={"type": "string", **field})

    assert len({make_event(made, NOW).id for _ in range(3)}) == 3


def test_a_value_that_cannot_be_made_is_named_with_the_remedy() -> None:
    made = contract(code={"type": "string", "required": True, "pattern": "X-[0-9]{3}-Z"})

    with pytest.raises(
        SourceError, match=r"^t.toml: no event could be made \(no value could be made for code\): "
    ) as e:
        make_event(made, NOW)
    assert "code: found nothing, expected a value; pass a valid event with --event FILE" in str(e.value)


def test_id_user_and_time_of_a_template_are_replaced() -> None:
    template = music_event(1)

    event = make_event(load_contract(MUSIC_CONTRACT), NOW, template)

    changed = {"event_id": event.id, "userId": "sluice-smoke", "timestamp": "2024-01-15T10:30:45.123000Z"}
    assert json.loads(event.raw) == {**music_event(1), **changed}
    assert template == music_event(1)


def test_an_id_of_a_template_stays_if_none_can_be_made() -> None:
    made = contract(id={"type": "string", "pattern": "X-[0-9]{3}-Z"}, code={"type": "string", "required": True})

    event = make_event(made, NOW, {"id": "X-123-Z", "user": "u", "time": "2020-01-01T00:00:00Z", "code": "c"})

    assert (event.id, event.user, event.verdict.cell_key.micros // 1_000) == (
        "X-123-Z",
        "sluice-smoke",
        int(NOW.timestamp() * 1_000),
    )


def test_an_invalid_template_is_named_with_its_finding() -> None:
    with pytest.raises(SourceError, match=r"event_type: found \"dance\", expected one of .*; correct the event"):
        make_event(load_contract(MUSIC_CONTRACT), NOW, music_event(1, event_type="dance"))


@pytest.mark.parametrize(("text", "problem"), [(b"[1]", "expected one event as a JSON object"), (b"{", "found Input")])
def test_a_file_without_one_object_is_refused(tmp_path: Path, text: bytes, problem: str) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(text)

    with pytest.raises(SourceError, match=problem):
        read_template(file)
    with pytest.raises(SourceError, match="can't be read: No such file"):
        read_template(tmp_path / "nowhere.json")
