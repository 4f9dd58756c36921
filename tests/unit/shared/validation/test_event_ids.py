"""Ids of any scalar fields, and digests of records, are pure functions of the record, the same on both paths."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.model import Contract
from shared.row_keys import decode
from shared.validation.event_ids import digest
from shared.validation.results import Accepted
from shared.validation.validator import Validator
from tests.support.small_messages import HEAD, PUBLISHED, json_values, small_contract, small_event

SCALARS = '[fields.n]\ntype = "number"\n[fields.f]\ntype = "boolean"\n'
DIGEST_HEAD = HEAD.replace('id = "id"', 'id = "digest(record)"')
COMPOSED = small_contract(SCALARS, head=HEAD.replace('id = "id"', 'id = ["time", "n", "f"]'))


def digest_contract(unknown: str = "keep") -> Contract:
    return small_contract(f'[checks]\nunknown_fields = "{unknown}"\n', head=DIGEST_HEAD)


def ids_of(contract: Contract, raws: list[bytes]) -> list[str | None]:
    """Return the id of each event, None for a rejected one; both paths have to give the same verdicts."""
    validator = Validator(contract)
    slow = [validator.validate_record(msgspec.json.decode(raw), PUBLISHED, raw) for raw in raws]
    for _ in range(2):  # the second time with learned fields
        assert validator.validate_all(raws, PUBLISHED) == slow
        assert [validator.validate(raw, PUBLISHED) for raw in raws] == slow
    return [
        verdict.cell_key.qualifier.decode().partition("#")[2] if isinstance(verdict, Accepted) else None
        for verdict in slow
    ]


def id_of(contract: Contract, **changes: Any) -> str | None:
    raw = msgspec.json.encode(small_event(**changes))
    first, second = ids_of(contract, [raw, raw])
    assert first == second
    return first


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "2024-01-15T10:00:00Z:1:true"),
        ({"time": "2024-01-15 11:00:00.5+01:00"}, "2024-01-15T10:00:00.500000Z:1:true"),
        ({"n": 1.0}, "2024-01-15T10:00:00Z:1:true"),
        ({"n": -0.0, "f": False}, "2024-01-15T10:00:00Z:0:false"),
        ({"n": 1e22}, "2024-01-15T10:00:00Z:10000000000000000000000:true"),
        ({"n": 0.1}, "2024-01-15T10:00:00Z:0.1:true"),
        ({"n": 1.5e-300}, "2024-01-15T10:00:00Z:1.5e-300:true"),
        ({"n": None}, None),
        ({"f": 1}, None),
        ({"f": ...}, None),
    ],
)
def test_values_of_all_scalar_types_have_one_text(changes: dict[str, Any], expected: str | None) -> None:
    found = id_of(COMPOSED, **{"n": 1, "f": True, **changes})

    assert found is None if expected is None else ":".join(map(decode, str(found).split(":"))) == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["2024-01-15T10:00:00Z", "2024-01-15T10:00:00.123456789Z", "2024-01-15 10:00:00 UTC", "x", 5]
            ),
            st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(),
            st.sampled_from([True, False, None, "true", 1]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_both_paths_compose_the_same_ids(rows: list[tuple[Any, Any, Any]]) -> None:
    ids = ids_of(COMPOSED, [msgspec.json.encode(small_event(time=time, n=n, f=f)) for time, n, f in rows])

    for (time, n, f), found in zip(rows, ids, strict=True):
        valid = str(time).startswith("2024") and type(n) is not bool and type(f) is bool
        assert (found is not None) == valid
        if valid:
            assert type(n)(decode(str(found).split(":")[1])) == n


def shuffled(value: Any, draw: st.DrawFn) -> Any:
    """Return a value with the keys of its objects in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key], draw) for key in draw(st.permutations(sorted(value)))}
    return [shuffled(each, draw) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("unknown", ["keep", "drop"])
@given(data=st.data(), rest=st.dictionaries(st.sampled_from(["a", "meta", "zoë", '"', "b.c"]), json_values, max_size=3))
def test_a_digest_depends_on_names_and_values_alone(unknown: str, data: st.DataObject, rest: dict[str, Any]) -> None:
    record = small_event(**rest)
    other = data.draw(st.composite(lambda draw: shuffled(record, draw))())
    raws = [msgspec.json.encode(record), json.dumps(other, indent=1).encode(), json.dumps(other).encode()]

    first, *others = ids_of(digest_contract(unknown), raws)

    assert others == [first, first]
    if first is not None:
        assert first == digest(record)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": None}, {}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": {"b": 1}}, {"a.b": 1}),
        ({"a": 2**64}, {"a": 2**64 + 1}),
    ],
)
def test_records_that_differ_have_different_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    contract = digest_contract("drop")

    assert id_of(contract, **one) != id_of(contract, **other)


def test_a_digest_does_not_change_with_the_other_fields_of_the_contract() -> None:
    more = small_contract('[fields.x]\ntype = "string"\ntrim = true', head=DIGEST_HEAD)

    assert id_of(more, x=" a ") == id_of(digest_contract(), x=" a ")
    assert more.fingerprint() == digest_contract().fingerprint()
