"""The fast path and the checks agree under random contracts: the same verdicts, and the same stored bytes."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.loader import parse_contract
from shared.contracts.masks import DROPPED, MaskKey
from shared.contracts.model import Contract
from shared.validation.results import Accepted, Rejected
from shared.validation.validator import Validator
from tests.support.small_messages import PUBLISHED, json_values, small_contract, small_event

Path = tuple[str, ...]

SECRET = "0123456789abcdef" * 2
MASKED = [MaskKey(SECRET).mask("ann"), DROPPED, f" {DROPPED}", "~" + "x" * 32]
KEYS = ["a", "b", "c", "meta"]
VALID: dict[str, list[Any]] = {
    "string": ["click", " Song ", "ß"],
    "integer": [0, 7, 3.0, -(2**63)],
    "number": [1, 0.5, -2.0],
    "boolean": [True, False],
    "timestamp": ["2024-01-15T10:00:00Z", "2024-01-15T10:00:00.123456789+01:00"],
    "object": [{"k": 1}, {}],
    "array": [[], [1, "2"]],
}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "string": [{"trim": True}, {"case": "lower"}, {"max_length": 4}, {"pattern": "[a-z]+"}, {"one_of": ["click"]}],
    "integer": [{"min": 1}, {"one_of": [0, 7]}],
    "number": [{"max": 0.7}],
    "boolean": [],
    "timestamp": [{"max_age": "1h"}],
    "object": [{"min_length": 1}],
    "array": [{"max_length": 1}],
}
DEFAULTS = {"string": "x", "integer": 5, "number": 1.5, "boolean": True}

paths = st.lists(st.sampled_from(KEYS), min_size=1, max_size=4).map(tuple)
# Objects on the way to a field arrive empty, as null, as another type, or with further keys.
odd = st.sampled_from([{}, None, "", 5, [], {"k": 1}, {"a": {}}, {"a": {"b": {}}}, {"b": {"c": {}}}]) | json_values


def independent(found: list[Path]) -> list[Path]:
    """Return paths without those that begin with another one."""
    kept: list[Path] = []
    for path in found:
        if not any(path[: len(each)] == each or each[: len(path)] == path for each in kept):
            kept.append(path)
    return kept


@st.composite
def contracts(draw: st.DrawFn, *, masked: bool = False) -> Contract:
    """A contract whose fields have paths of one to four keys that share their beginnings, and masks."""
    found = independent(draw(st.lists(paths, min_size=1, max_size=6)))
    nested_id = draw(st.booleans())
    fields: dict[str, dict[str, Any]] = {
        "id": {"type": "string", **({"from": "id.event"} if nested_id else {})},
        "user": {"type": draw(st.sampled_from(["string", "integer"]))},
        "time": {"type": "timestamp"},
    }
    for number, path in enumerate(found):
        kind = draw(st.sampled_from(sorted(VALID)))
        table: dict[str, Any] = {"type": kind, "from": ".".join(path)}
        if OPTIONS[kind] and draw(st.booleans()):
            table |= draw(st.sampled_from(OPTIONS[kind]))
        if draw(st.booleans()):
            table["severity"] = "warn"
        if draw(st.booleans()):
            table["required"] = True
        elif kind in DEFAULTS and len(table) == 2 and draw(st.booleans()):
            table["default"] = DEFAULTS[kind]
        # A field may have the name of a key that it isn't taken from.
        fields[draw(st.sampled_from([f"f{number}", "b"])) if "b" not in fields else f"f{number}"] = table
    for name, table in fields.items() if masked else ():
        allowed = [None] if name == "time" else [None, "hash"] if name in ("id", "user") else [None, "hash", "drop"]
        mask = draw(st.sampled_from(allowed))
        if mask and (mask == "drop" or table["type"] in ("string", "integer")):
            table["mask"] = mask
    document = {
        "version": 1,
        "name": "random",
        "event": {"id": "id", "user": "user", "time": "time"},
        "fields": fields,
        "checks": {"unknown_fields": draw(st.sampled_from(["keep", "drop", "reject"]))},
    }
    return parse_contract(document, "random.toml", SECRET)


def put(record: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        inner = record.get(key)
        if not isinstance(inner, dict):
            record[key] = inner = {}
        record = inner
    record[path[-1]] = copy.deepcopy(value)  # a drawn value may be extended later


@st.composite
def events(draw: st.DrawFn, contract: Contract) -> bytes:
    """An event with a valid, odd, null or missing value for each field, and with further keys anywhere."""
    record: dict[str, Any] = {}
    for field in contract.fields:
        likely = 9 if field.name in ("id", "user", "time") else 2
        chance = draw(st.integers(0, likely + 2))
        if chance <= likely:
            put(record, field.path, draw(st.sampled_from(VALID[field.type] + (MASKED if field.mask else []))))
        elif chance == likely + 1:
            put(record, field.path, draw(odd))
    for _ in range(draw(st.integers(0, 3))):
        put(record, draw(paths), draw(odd))
    for name in draw(st.lists(st.sampled_from(["other", "f0", "b", "zoë", "x.y"]), max_size=2)):
        record.setdefault(name, copy.deepcopy(draw(odd)))
    return msgspec.json.encode(record)


@given(data=st.data())
@settings(max_examples=300)
@pytest.mark.slow
def test_verdicts_do_not_depend_on_the_way_or_the_batch(data: st.DataObject) -> None:
    contract = data.draw(contracts())
    quality = data.draw(st.booleans())
    raws = data.draw(st.lists(events(contract), min_size=1, max_size=6))
    fresh = Validator(contract, quality=quality)
    expected = [fresh.validate_record(msgspec.json.decode(raw), PUBLISHED, raw) for raw in raws]

    validator = Validator(contract, quality=quality)
    for _ in range(2):  # the second time with learned fields
        assert validator.validate_all(raws, PUBLISHED) == expected
        assert [validator.validate(raw, PUBLISHED) for raw in raws] == expected


@given(data=st.data())
@settings(max_examples=100)
@pytest.mark.slow
def test_masked_values_do_not_depend_on_the_way_or_the_batch(data: st.DataObject) -> None:
    contract = data.draw(contracts(masked=True))
    quality = data.draw(st.booleans())
    raws = data.draw(st.lists(events(contract), min_size=1, max_size=6))
    fresh = Validator(contract, quality=quality)
    expected = [fresh.validate_record(msgspec.json.decode(raw), PUBLISHED, raw) for raw in raws]

    validator = Validator(contract, quality=quality)
    for _ in range(2):
        assert validator.validate_all(raws, PUBLISHED) == expected
        assert [validator.validate(raw, PUBLISHED) for raw in raws] == expected
    # What is stored of a rejected event gets a verdict of its own, and stays the same when it is rejected again.
    kept = [verdict.raw for verdict in expected if isinstance(verdict, Rejected)]
    again = validator.validate_all(kept, PUBLISHED)
    assert [verdict.raw for verdict in again if isinstance(verdict, Rejected)] == [
        raw for raw, verdict in zip(kept, again, strict=True) if isinstance(verdict, Rejected)
    ]


@pytest.mark.parametrize("unknown", ["keep", "drop", "reject"])
@pytest.mark.parametrize("parent", [{}, {"b": {}}, {"b": {"c": None}}, {"b": {"d": None}}])
def test_an_empty_parent_of_a_field_is_left_out(unknown: str, parent: dict[str, Any]) -> None:
    fields = '[fields.c]\ntype = "string"\nfrom = "a.b.c"\n[fields.d]\ntype = "string"\nfrom = "a.b.d"\n'
    validator = Validator(small_contract(f'{fields}[checks]\nunknown_fields = "{unknown}"'))
    raw = msgspec.json.encode(small_event(a=parent))

    for _ in range(2):
        verdict = validator.validate(raw, PUBLISHED)
        assert isinstance(verdict, Accepted)
        assert msgspec.json.decode(verdict.value) == small_event()


def test_a_further_key_beside_a_field_is_unknown() -> None:
    contract = small_contract('[fields.c]\ntype = "string"\nfrom = "a.c"\n[checks]\nunknown_fields = "keep"')
    raw = msgspec.json.encode(small_event(a={"c": "1", "x": {}}))

    verdict = Validator(contract).validate(raw, PUBLISHED)

    assert isinstance(verdict, Accepted)
    assert msgspec.json.decode(verdict.value) == small_event(c="1", a={"x": {}})
