"""The fast path gives the same verdicts as the checks, and valid events take it."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared import json_nesting
from shared.contracts.loader import load_contract
from shared.validation.fast_path import MAX_LEARNED_FIELDS, NONE_VALID, FastPath
from shared.validation.results import Accepted, Rejected
from shared.validation.validator import MAX_EVENT_BYTES, Validator
from tests.support.samples import MUSIC_CONTRACT, ROOT, SPARKIFY, SPARKIFY_CONTRACT, music_event, sparkify_records
from tests.support.small_messages import PUBLISHED, json_values, small_contract, small_event

MUSIC = load_contract(MUSIC_CONTRACT)
EVERYTHING = load_contract(ROOT / "tests" / "fuzz" / "everything.toml")
EVERYTHING_EVENT = {
    "type": "click",
    "n": 7,
    "meta": {"tag": "t", "more": {"deep": "down", "deeper": 1}, "other": None},
    "actor": {"id": 5, "login": "ann"},
    "at": 1_705_312_800_000_000,
    "s": 1_705_312_800,
    "ms": 1_705_312_800_000.5,
    "w": "15/01/2024 10:00:00 +0100",
    "r": "2024-01-15T10:00:00.123456789+01:00",
    "x": 3,
    "l": 300,
    "f": True,
    "u": "SS",
    "a": [1, "2"],
    "o": {"k": None},
}
CONTRACTS = {
    "music": (MUSIC, music_event(device="web", artist=" Kite Season ", extra=None)),
    "everything, unknown fields kept": (replace(EVERYTHING, unknown_fields="keep"), EVERYTHING_EVENT),
    "everything, unknown fields dropped": (replace(EVERYTHING, unknown_fields="drop"), EVERYTHING_EVENT),
    "everything, unknown fields rejected": (EVERYTHING, EVERYTHING_EVENT),
}


def validate_without_fast_path(validator: Validator, raw: bytes) -> Any:
    return validator.validate_record(msgspec.json.decode(raw), PUBLISHED, raw)


def takes_fast_path(validator: Validator, raw: bytes) -> bool:
    return len(validator._fast_path((raw,), (PUBLISHED,), MAX_EVENT_BYTES).rows) == 1


names = st.sampled_from(["other", "user_id", "actor", "event_id", "meta", "kind", "tag", "zoë", "a.b", '"', "f0"])
odd_texts = st.sampled_from(
    ["", " ", " CLICK ", "ß", "İ", "song-9", "2024-01-15T10:00:00Z", "2024-01-15 10:00:60z", "1e5"]
)
odd_values = (
    json_values | odd_texts | st.sampled_from([2**63, -(2**63) - 1, 2**64, 3.0, 1e300, -0.0, [], {}, {"id": 1}])
)


@pytest.mark.parametrize("quality", [True, False])
@pytest.mark.parametrize("which", CONTRACTS)
@given(data=st.data())
def test_both_ways_give_the_same_verdict(which: str, quality: bool, data: st.DataObject) -> None:
    contract, event = CONTRACTS[which]
    validator = Validator(contract, quality=quality)
    raws = []
    for _ in range(data.draw(st.integers(1, 4))):
        record = dict(event)
        for key in data.draw(st.lists(st.sampled_from(sorted(event)), max_size=2)):
            if data.draw(st.booleans()):
                record[key] = data.draw(odd_values)
            else:
                record.pop(key, None)
        record |= data.draw(st.dictionaries(names, odd_values, max_size=2))
        if data.draw(st.booleans()):
            record["actor"] = {**EVERYTHING_EVENT["actor"], **data.draw(st.dictionaries(names, odd_values, max_size=2))}  # type: ignore[dict-item]
        raws.append(msgspec.json.encode(record))

    # twice: the first validation learns the unknown fields for the second
    for _ in range(2):
        assert validator.validate_all(raws, PUBLISHED) == [validate_without_fast_path(validator, raw) for raw in raws]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id": "1", "user": "ann", "time": "2024-01-15T10:00:00Z", "id": "2"}',
        b'{"i\\u0064": "1", "user": "ann", "time": "2024-01-15T10:00:00Z"}',
        b' {"id": "1", "user": "\\u0000#%", "time": "2024-01-15T10:00:00Z", "x": {"y": [1e2, 1.50]}} ',
        b'{"id": "1", "user": "ann", "time": "2024-01-15T10:00:00Z", "x": 123456789012345678901234567890}',
        b'{"id": "1", "user": "ann", "time": "1969-12-31T23:59:59Z"}',
        b'{"id": "' + b"\xf0\x9f\x98\x80" * 1_400 + b'", "user": "ann", "time": "2024-01-15T10:00:00Z"}',
        b'{"id": "1", "user": "' + b"u" * 400 + b'", "time": "2024-01-15T10:00:00Z"}',
    ],
)
@pytest.mark.parametrize("unknown", ["keep", "drop", "reject"])
def test_unusual_json_gets_the_same_verdict(raw: bytes, unknown: str) -> None:
    validator = Validator(small_contract(f'[checks]\nunknown_fields = "{unknown}"'))

    for _ in range(2):
        assert validator.validate(raw, PUBLISHED) == validate_without_fast_path(validator, raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id": "1", "user": "ann", "time": "2024-01-15T10:00:00Z", "zz": 1e999}',
        b'{"id": "1", "user": "ann", "time": "2024-01-15T10:00:00Z", "zz": "\xff"}',
        b'{"id": "1", "user": "ann", "time": "2024-01-15T10:00:00Z", "zz": "\\ud800"}',
        b'{"id": "1", "user": "ann", "time": "2024-01-15T10:00:00Z"} x',
    ],
)
def test_invalid_json_in_a_dropped_field_is_rejected(raw: bytes) -> None:
    validator = Validator(small_contract('[checks]\nunknown_fields = "drop"'))
    validator.validate(msgspec.json.encode(small_event(zz=1)), PUBLISHED)

    assert not isinstance(validator.validate(raw, PUBLISHED), Accepted)


@pytest.mark.parametrize("which", CONTRACTS)
def test_valid_events_take_the_fast_path_once_their_fields_are_known(which: str) -> None:
    contract, event = CONTRACTS[which]
    if contract.unknown_fields == "reject":
        event = {**event, "actor": {"id": 5}, "meta": {"tag": "t", "more": {"deep": "down"}}}
    validator = Validator(contract)
    raw = msgspec.json.encode(event)

    validator.validate(raw, PUBLISHED)

    assert takes_fast_path(validator, raw)


@pytest.mark.skipif(not SPARKIFY.is_dir(), reason=f"{SPARKIFY} is missing")
@pytest.mark.no_cover  # takes four times as long with it, in code that other tests cover
@pytest.mark.slow
def test_the_real_log_takes_the_fast_path_with_the_same_verdicts() -> None:
    validator = Validator(load_contract(SPARKIFY_CONTRACT))
    raws = [msgspec.json.encode(record) for record in sparkify_records()]

    verdicts = validator.validate_all(raws, PUBLISHED)

    assert verdicts == [validate_without_fast_path(validator, raw) for raw in raws]
    accepted = [raw for raw, verdict in zip(raws, verdicts, strict=True) if isinstance(verdict, Accepted)]
    assert sum(takes_fast_path(validator, raw) for raw in accepted) == len(accepted)


def test_an_event_with_a_finding_is_left_to_the_checks() -> None:
    assert not takes_fast_path(Validator(MUSIC), msgspec.json.encode(music_event(duration=-1)))


def test_the_number_of_learned_names_is_limited() -> None:
    validator = Validator(small_contract())
    for number in range(MAX_LEARNED_FIELDS + 10):
        validator.validate(msgspec.json.encode(small_event(**{f"x{number}": 1})), PUBLISHED)

    assert takes_fast_path(validator, msgspec.json.encode(small_event(x0=1)))
    late = msgspec.json.encode(small_event(**{f"x{MAX_LEARNED_FIELDS + 9}": 1}))
    assert not takes_fast_path(validator, late)
    assert validator.validate(late, PUBLISHED) == validate_without_fast_path(validator, late)


def test_an_event_that_is_too_long_or_too_deep_is_left_to_the_checks() -> None:
    fast = FastPath(small_contract())
    raw = msgspec.json.encode(small_event())

    assert fast((raw,), (PUBLISHED,), MAX_EVENT_BYTES).rows == range(1)
    assert fast((raw,), (PUBLISHED,), len(raw) - 1) == NONE_VALID
    assert fast((raw.replace(b"{", b"{" * 101, 1),), (PUBLISHED,), MAX_EVENT_BYTES) == NONE_VALID


def test_a_learned_field_that_is_nested_too_deep_is_left_to_the_checks() -> None:
    validator = Validator(small_contract())
    validator.validate(msgspec.json.encode(small_event(x=1)), PUBLISHED)
    deepest, too_deep = (
        msgspec.json.encode(small_event(x=0)).replace(b'"x":0', b'"x":' + b"[" * levels + b"]" * levels)
        for levels in (json_nesting.MAX_NESTING_DEPTH - 1, json_nesting.MAX_NESTING_DEPTH)
    )

    assert takes_fast_path(validator, deepest)
    assert not takes_fast_path(validator, too_deep)
    accepted, rejected = validator.validate_all([deepest, too_deep], PUBLISHED)
    assert accepted == validate_without_fast_path(validator, deepest)
    assert isinstance(rejected, Rejected)
    assert [finding.rule for finding in rejected.findings] == ["too_large"]


def test_validation_keeps_no_memory() -> None:
    validator = Validator(small_contract())

    def validate(number: int) -> None:
        raws = [msgspec.json.encode(small_event(id=f"{number}-{each}", text="x" * 100)) for each in range(100)]
        assert len(validator.accept_all(raws, [PUBLISHED] * 100).rows) == (100 if number else 0)
        validator.validate(raws[0], PUBLISHED)

    tracemalloc.start()
    try:
        for number in range(10):
            validate(number)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(10, 60):
            validate(number)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000  # of 5,000 events, each of over 100 bytes


def test_a_field_whose_name_needs_escapes_is_left_to_the_checks() -> None:
    validator = Validator(small_contract('[fields.odd]\nfrom = \'say "a"\'\ntype = "string"'))
    raw = msgspec.json.encode(small_event(**{'say "a"': "b"}))

    assert validator.validate(raw, PUBLISHED) == validate_without_fast_path(validator, raw)
    verdict = validator.validate(raw, PUBLISHED)
    assert isinstance(verdict, Accepted)
    assert b'"odd":"b"' in verdict.value
