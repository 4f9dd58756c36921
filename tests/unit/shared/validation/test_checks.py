"""`Checks` reports every broken rule with its name, the value found and the values expected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.loader import load_contract
from shared.contracts.model import Contract
from shared.row_keys import MAX_ENCODED_ID_BYTES, MAX_ENCODED_USER_BYTES, cell_key_of, event_id
from shared.validation.checks import Checks
from shared.validation.results import Finding
from shared.validation.transform import Transform
from tests.support.samples import MUSIC_CONTRACT
from tests.support.small_messages import FIELDS, HEAD, PUBLISHED, json_values, small_contract, small_event


def check(small: Contract, record: dict[str, Any], *, quality: bool = True) -> list[Finding]:
    event, unknown = Transform(small)(record)
    return Checks(small, quality=quality)(event, PUBLISHED, unknown)


def findings(definition: str, value: Any) -> list[tuple[str, str, str]]:
    """Return the (rule, found, expected) of a field x with that definition and value; `...` leaves the field out."""
    found = check(small_contract(f"[fields.x]\n{definition}\n"), small_event(x=value))
    assert all((finding.field, finding.severity) == ("x", "reject") for finding in found)
    return [(finding.rule, finding.found, finding.expected) for finding in found]


STRING = 'type = "string"\n'
INTEGER = 'type = "integer"\n'
NUMBER = 'type = "number"\n'
TIME = 'type = "timestamp"\n'


@pytest.mark.parametrize(
    ("definition", "value", "rule", "found", "expected"),
    [
        # required: an absent field is `required`, a null or empty one is `null`
        (STRING + "required = true", ..., "required", "nothing", "a value"),
        (STRING + "required = true", None, "null", "null", "a value"),
        (STRING + "required = true", "", "null", '""', "a value"),
        (STRING + "required = true\ntrim = true", "  ", "null", '""', "a value"),
        (INTEGER + "required = true", ..., "required", "nothing", "a value"),
        (INTEGER + "required = true", None, "null", "null", "a value"),
        (INTEGER + "required = true", "", "null", '""', "a value"),
        (TIME + "required = true", "", "null", '""', "a value"),
        # type
        (STRING, 5, "type", "5", "string"),
        (STRING, True, "type", "true", "string"),
        (STRING, ["a"], "type", "an array of 1", "string"),
        (INTEGER, "5", "type", '"5"', "integer"),
        (INTEGER, 5.5, "type", "5.5", "integer"),
        (INTEGER, True, "type", "true", "integer"),
        (NUMBER, "5", "type", '"5"', "number"),
        (NUMBER, False, "type", "false", "number"),
        (NUMBER, {}, "type", "an object of 0", "number"),
        ('type = "boolean"', 1, "type", "1", "boolean"),
        ('type = "boolean"', "true", "type", '"true"', "boolean"),
        ('type = "object"', [], "type", "an array of 0", "object"),
        ('type = "array"', {}, "type", "an object of 0", "array"),
        (TIME, "soon", "type", '"soon"', "timestamp (RFC 3339)"),
        (TIME, "", "type", '""', "timestamp (RFC 3339)"),
        (TIME, 1_705_320_000, "type", "1705320000", "timestamp (RFC 3339)"),
        (TIME + 'unit = "ms"', "soon", "type", '"soon"', "timestamp (epoch ms)"),
        (TIME + 'unit = "ms"', 10**20, "type", str(10**20), "timestamp (epoch ms)"),
        (TIME + 'format = "%d/%m/%Y"', "2024-01-15", "type", '"2024-01-15"', "timestamp (%d/%m/%Y)"),
        # range
        (INTEGER + "min = 1", 0, "range", "0", "at least 1"),
        (INTEGER + "max = 9", 10, "range", "10", "at most 9"),
        (INTEGER + "min = 1\nmax = 9", 10, "range", "10", "at least 1 and at most 9"),
        (NUMBER + "min = 0.5", 0.4, "range", "0.4", "at least 0.5"),
        (NUMBER + "max = 0", 5e-324, "range", "5e-324", "at most 0"),
        (INTEGER, 2**64, "range", str(2**64), "a 64-bit integer"),
        (INTEGER, -(2**63) - 1, "range", str(-(2**63) - 1), "a 64-bit integer"),
        (NUMBER, 10**30, "range", str(10**30), "a 64-bit integer"),
        (INTEGER + "max = 9", 10**30, "range", str(10**30), "at most 9"),
        # length
        (STRING + "min_length = 2", "a", "length", '"a"', "at least 2 characters"),
        (STRING + "max_length = 2", "abc", "length", '"abc"', "at most 2 characters"),
        (STRING + "min_length = 2\nmax_length = 3", "", "length", '""',
         "at least 2 characters and at most 3 characters"),
        (STRING + "max_length = 0", "a", "length", '"a"', "at most 0 characters"),
        ('type = "array"\nmax_length = 1', [1, 2], "length", "an array of 2", "at most 1 elements"),
        ('type = "object"\nmin_length = 1', {}, "length", "an object of 0", "at least 1 keys"),
        # pattern: the whole text must match
        (STRING + 'pattern = "[a-z]+"', "abc1", "pattern", '"abc1"', "text that matches [a-z]+"),
        (STRING + 'pattern = "[a-z]+"', "1abc", "pattern", '"1abc"', "text that matches [a-z]+"),
        (STRING + 'pattern = "[a-z]+"', "abc\n", "pattern", '"abc\\n"', "text that matches [a-z]+"),
        (STRING + 'pattern = "a|ab"', "abc", "pattern", '"abc"', "text that matches a|ab"),
        # one_of
        (STRING + 'one_of = ["a", "b"]', "c", "one_of", '"c"', "one of a, b"),
        (STRING + 'one_of = ["a", "b"]', "A", "one_of", '"A"', "one of a, b"),
        (INTEGER + "one_of = [1, 2]", 3, "one_of", "3", "one of 1, 2"),
        (NUMBER + "one_of = [1, 2.5]", 2, "one_of", "2", "one of 1, 2.5"),
        ('type = "boolean"\none_of = [true]', False, "one_of", "false", "one of True"),
        # times, relative to the publish time
        (TIME + 'max_future = "5m"', "2024-01-15T12:05:00.000001Z", "future", "2024-01-15T12:05:00.000001+00:00",
         "at most 0:05:00 after publication"),
        (TIME + 'max_age = "400d"', "2022-12-11T11:59:59Z", "too_old", "2022-12-11T11:59:59+00:00",
         "at most 400 days, 0:00:00 before publication"),
        (TIME + 'max_future = "0s"', "2024-01-15T12:00:00.000001Z", "future", "2024-01-15T12:00:00.000001+00:00",
         "at most 0:00:00 after publication"),
    ],
)  # fmt: skip
def test_a_value_that_breaks_a_rule_gives_its_finding(
    definition: str, value: Any, rule: str, found: str, expected: str
) -> None:
    assert findings(definition, value) == [(rule, found, expected)]


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        (STRING, ...),
        (STRING, None),
        (STRING, ""),
        (STRING + "min_length = 2", None),
        (STRING + "min_length = 2\nmax_length = 3", "ab"),
        (STRING + "min_length = 2\nmax_length = 3", "abc"),
        (STRING + "max_length = 2", "\U0001f600\U0001f600"),  # characters, not bytes
        (STRING + 'pattern = "[a-z]+"', "abc"),
        (STRING + 'pattern = "a|ab"', "ab"),
        (STRING + 'pattern = "\\\\d+"', "12"),
        (STRING + 'pattern = ".*"', "\u00e9\u20ac\0"),
        (STRING + 'one_of = ["a", "b"]', "b"),
        (STRING + 'trim = true\ncase = "lower"\none_of = ["a"]', " A "),
        (INTEGER, 2**64 - 1),
        (INTEGER, -(2**63)),
        (INTEGER, 3.0),
        (INTEGER + "min = 1\nmax = 9", 1),
        (INTEGER + "min = 1\nmax = 9", 9),
        (INTEGER + "one_of = [1, 2]", 2),
        (INTEGER + "required = true", 0),
        (NUMBER, 1e300),
        (NUMBER + "min = 0\nmax = 1", 1.0),
        (NUMBER + "one_of = [1, 2.5]", 1.0),
        ('type = "boolean"\nrequired = true', False),
        ('type = "array"\nmax_length = 1', [1]),
        ('type = "array"\nrequired = true', []),
        ('type = "object"\nrequired = true', {}),
        (TIME + 'max_future = "5m"', "2024-01-15T12:05:00Z"),
        (TIME + 'max_age = "400d"', "2022-12-11T12:00:00Z"),
        (TIME + 'max_future = "5m"\nmax_age = "1h"', "2024-01-15T12:00:00Z"),
        (TIME + 'max_age = "999999999d"', "0001-01-01T00:00:00Z"),
        (TIME, "9999-12-31T23:59:59Z"),
    ],
)
def test_a_value_that_breaks_no_rule_gives_no_finding(definition: str, value: Any) -> None:
    assert findings(definition, value) == []


@pytest.mark.parametrize(
    ("definition", "value", "rules"),
    [
        (STRING + 'max_length = 2\npattern = "[a-z]+"\none_of = ["ab"]', "123", ["length", "pattern", "one_of"]),
        (INTEGER + "max = 5\none_of = [1]", 6, ["range", "one_of"]),
        (INTEGER + "max = 5\none_of = [1]", "6", ["type"]),  # other rules don't apply to a wrong type
        (TIME + 'max_future = "1s"\nmax_age = "1s"', "2024-01-15T13:00:00Z", ["future"]),
    ],
)
def test_one_value_can_break_several_rules(definition: str, value: Any, rules: list[str]) -> None:
    assert [rule for rule, _, _ in findings(definition, value)] == rules


def test_all_findings_of_an_event_are_reported() -> None:
    music = load_contract(MUSIC_CONTRACT)
    record = {"userId": "", "timestamp": "2024-01-15T13:00:00Z", "event_type": "dance", "songId": "a b", "duration": -1}

    found = check(music, record)

    assert [(finding.rule, finding.field, finding.severity) for finding in found] == [
        ("required", "event_id", "reject"),
        ("null", "user_id", "reject"),
        ("future", "timestamp", "reject"),
        ("one_of", "event_type", "reject"),
        ("pattern", "song_id", "reject"),
        ("range", "duration", "warn"),
    ]


@pytest.mark.parametrize("rule", ["max = 1", 'required = true\nfrom = "y"', "one_of = [1]"])
def test_a_finding_has_the_severity_of_its_field(rule: str) -> None:
    found = check(small_contract(f'[fields.x]\ntype = "integer"\nseverity = "warn"\n{rule}\n'), small_event(x=5))

    assert [(finding.field, finding.severity) for finding in found] == [("x", "warn")]


def test_long_lists_of_options_are_cut() -> None:
    options = ", ".join(f'"option{number}"' for number in range(100))

    ((_, _, expected),) = findings(STRING + f"one_of = [{options}]", "other")

    assert expected.startswith("one of option0, option1, ")
    assert len(expected) == 320
    assert expected.endswith("\u2026")


# Unknown fields


def test_each_unknown_field_gives_a_finding_if_the_contract_rejects_them() -> None:
    small = small_contract('[checks]\nunknown_fields = "reject"\n')
    long = "n" * 100

    found = check(small, small_event(**{"b": 1, long: 2}))

    assert found == [
        Finding("unknown_field", "b", '"b"', "only fields the contract names"),
        Finding("unknown_field", "n" * 80, '"' + "n" * 76 + "...", "only fields the contract names"),
    ]
    assert check(small, small_event()) == []


# Bigtable's limits


def composed_id_contract() -> Contract:
    fields = FIELDS.replace('[fields.user]\ntype = "string"', '[fields.user]\ntype = "integer"')
    return small_contract(
        '[fields.n]\ntype = "integer"\n', head=HEAD.replace('id = "id"', 'id = ["id", "n"]'), fields=fields
    )


@pytest.mark.parametrize(
    ("user", "fits"),
    [
        ("u" * MAX_ENCODED_USER_BYTES, True),
        ("u" * (MAX_ENCODED_USER_BYTES + 1), False),
        ("\u00e9" * (MAX_ENCODED_USER_BYTES // 6), True),  # two bytes of UTF-8, three characters each
        ("\u00e9" * (MAX_ENCODED_USER_BYTES // 6 + 1), False),
        ("\U0001f600" * (MAX_ENCODED_USER_BYTES // 12), True),
        ("\U0001f600" * (MAX_ENCODED_USER_BYTES // 12 + 1), False),
    ],
)
def test_a_user_must_fit_into_a_row_key(user: str, fits: bool) -> None:
    found = check(small_contract(), small_event(user=user))

    cell_key = cell_key_of(user, "1", PUBLISHED, "hour")
    assert (len(cell_key.row_key) <= 4_096) == fits  # the limit is exactly Bigtable's
    assert [(finding.rule, finding.field) for finding in found] == ([] if fits else [("length", "user")])
    assert all(finding.expected == "at most 4081 bytes percent-encoded, to fit a row key" for finding in found)


@pytest.mark.parametrize(
    ("identity", "fits"),
    [
        ("i" * MAX_ENCODED_ID_BYTES, True),
        ("i" * (MAX_ENCODED_ID_BYTES + 1), False),
        ("\U0001f600" * (MAX_ENCODED_ID_BYTES // 12), True),
        ("\U0001f600" * (MAX_ENCODED_ID_BYTES // 12 + 1), False),
    ],
)
def test_an_id_must_fit_into_a_qualifier(identity: str, fits: bool) -> None:
    found = check(small_contract(), small_event(id=identity))

    cell_key = cell_key_of("ann", event_id([identity]), PUBLISHED, "hour")
    assert (len(cell_key.qualifier) <= 16_384) == fits
    assert [(finding.rule, finding.field) for finding in found] == ([] if fits else [("length", "id")])


def test_a_composed_id_must_fit_into_a_qualifier() -> None:
    part = "i" * (MAX_ENCODED_ID_BYTES - 2)

    assert check(composed_id_contract(), small_event(user=1, id=part, n=1)) == []
    (finding,) = check(composed_id_contract(), small_event(user=1, id=part, n=12))
    assert (finding.rule, finding.field) == ("length", "id, n")
    assert finding.expected == "at most 16372 bytes percent-encoded, to fit a column qualifier"


def test_a_time_before_1970_gives_a_finding() -> None:
    assert check(small_contract(), small_event(time="1970-01-01T00:00:00Z")) == []
    (finding,) = check(small_contract(), small_event(time="1969-12-31T23:59:59.999999Z"))
    assert finding == Finding("range", "time", "1969-12-31T23:59:59.999999+00:00", "a time from 1970 on")


@pytest.mark.parametrize("other", [{"x": 5}, {"y": 5}])
@pytest.mark.parametrize(
    ("bad", "rule"), [({"time": "1969-01-01T00:00:00Z"}, "range"), ({"user": "u" * 5_000}, "length")]
)
def test_another_finding_does_not_hide_an_invalid_cell_key(
    other: dict[str, Any], bad: dict[str, Any], rule: str
) -> None:
    # given a warning or a rejection of another field
    small = small_contract(
        '[fields.x]\ntype = "integer"\nmax = 1\nseverity = "warn"\n[fields.y]\ntype = "integer"\nmax = 1\n'
    )

    found = check(small, small_event(**other, **bad))

    assert {finding.rule for finding in found if finding.field in ("user", "time")} == {rule}
    assert len(found) == 2


def test_several_limits_can_be_exceeded_at_once() -> None:
    found = check(small_contract(), small_event(user="u" * 5_000, id="i" * 20_000, time="1969-01-01T00:00:00Z"))

    assert [(finding.rule, finding.field) for finding in found] == [
        ("length", "user"),
        ("length", "id"),
        ("range", "time"),
    ]


# Without quality checks


def test_without_quality_checks_only_the_cell_key_is_checked() -> None:
    small = small_contract(
        '[fields.x]\ntype = "integer"\nrequired = true\nmax = 1\n[checks]\nunknown_fields = "reject"\n'
    )

    assert check(small, small_event(x="bad", y=1), quality=False) == []
    found = check(small, small_event(id=5, user=..., time="soon"), quality=False)
    assert [(finding.rule, finding.field) for finding in found] == [
        ("type", "id"),
        ("required", "user"),
        ("type", "time"),
    ]
    (finding,) = check(small, small_event(time="1969-01-01T00:00:00Z"), quality=False)
    assert finding.rule == "range"


# Properties


VARIED = small_contract(
    """
[fields.a]
type = "string"
pattern = "[a-z]*"
max_length = 3
[fields.b]
type = "number"
min = 0
one_of = [1, 2.5]
severity = "warn"
[fields.c]
type = "array"
required = true
[fields.d]
type = "object"
[fields.e]
type = "boolean"
one_of = [true]
[fields.f]
type = "timestamp"
max_future = "1d"
max_age = "1d"
[fields.g]
type = "integer"
from = "x.y"
""",
)
times = st.datetimes(timezones=st.just(UTC))


@given(st.dictionaries(st.sampled_from(["id", "user", "time", *"abcdefgx"]), json_values), times)
def test_checks_never_raise_and_are_deterministic(record: dict[str, Any], published: datetime) -> None:
    event, unknown = Transform(VARIED)(record)
    checks = Checks(VARIED)

    found = checks(event, published, unknown)

    assert checks(event, published, unknown) == found
    assert all(finding.found.isascii() and len(finding.found) <= 80 for finding in found)


@given(times, times)
def test_future_and_too_old_compare_with_the_publish_time(time: datetime, published: datetime) -> None:
    small = small_contract('[fields.f]\ntype = "timestamp"\nmax_future = "1d"\nmax_age = "2d"\n')
    event = {"id": "1", "user": "a", "time": PUBLISHED, "f": time}

    rules = [finding.rule for finding in Checks(small)(event, published)]

    expected = (
        ["future"] if time - published > timedelta(days=1)
        else ["too_old"] if published - time > timedelta(days=2)
        else []
    )  # fmt: skip
    assert rules == expected


def test_exceeded_limits_are_reported_beside_other_findings() -> None:
    checks = Checks(load_contract(MUSIC_CONTRACT))
    event = {
        "event_id": 7,
        "user_id": "u" * 5_000,
        "timestamp": datetime(1969, 7, 20, tzinfo=UTC),
        "event_type": "dance",
        "duration": -1,
    }

    found = {(finding.rule, finding.field) for finding in checks(event, datetime(2024, 1, 15, tzinfo=UTC))}

    assert found == {
        ("type", "event_id"),
        ("length", "user_id"),
        ("range", "timestamp"),
        ("one_of", "event_type"),
        ("range", "duration"),
    }
