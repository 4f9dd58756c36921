"""An event's bytes and publish time alone determine its verdict and cell key."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.loader import load_contract
from shared.json_nesting import MAX_NESTING_DEPTH
from shared.validation.results import Accepted, Finding, Rejected
from shared.validation.validator import Validator, describe
from tests.support.samples import MUSIC_CONTRACT, SPARKIFY, SPARKIFY_CONTRACT, music_event, sparkify_records
from tests.support.small_messages import PUBLISHED, json_values, small_contract, small_event

music = Validator(load_contract(MUSIC_CONTRACT))


def validated(raw: bytes) -> Accepted | Rejected:
    return music.validate(raw, PUBLISHED)


def test_a_valid_event_is_accepted_with_its_cell_key_and_canonical_json() -> None:
    event = music_event(1, event_type=" CLICK ", extra={"a": [1]})

    verdict = validated(json.dumps(event).encode())

    assert isinstance(verdict, Accepted)
    assert verdict.warnings == ()
    assert json.loads(verdict.value) == {
        "event_id": "evt-000001",
        "user_id": "user-1",
        "timestamp": "2024-01-15T00:00:01Z",
        "event_type": "click",
        "song_id": "song-1",
        "duration": 180.25,
        "extra": {"a": [1]},
    }
    assert verdict.cell_key.row_key.endswith(b"#20240115#user-1")
    assert verdict.cell_key.qualifier == b"86398999999#evt-000001"
    assert verdict.cell_key.micros == 1_705_276_801_000_000


def test_an_event_with_warnings_is_accepted_with_them() -> None:
    verdict = validated(json.dumps(music_event(duration=-1)).encode())

    assert isinstance(verdict, Accepted)
    assert verdict.warnings == (Finding("range", "duration", "-1", "at least 0 and at most 86400", "warn"),)


@pytest.mark.parametrize(
    ("raw", "rule", "found"),
    [
        (b"", "not_json", "Input data was truncated"),
        (b"{", "not_json", "Input data was truncated"),
        (b"nonsense", "not_json", "JSON is malformed: invalid character"),
        (b'{"a":1}{"a":2}', "not_json", "JSON is malformed: trailing characters"),
        (b'{"a":"\xff"}', "not_json", "'utf-8' codec can't decode byte 0xff"),
        (b'{"a":NaN}', "not_json", "JSON is malformed: invalid character"),
        (b'{"a":' + b"1" * 5_000 + b"}", "not_json", "Integer value out of range"),
        (b"[1]", "not_an_object", "list"),
        (b'"x"', "not_an_object", "str"),
        (b"1.5", "not_an_object", "float"),
        (b"null", "not_an_object", "NoneType"),
        (b"true", "not_an_object", "bool"),
    ],
)
def test_data_other_than_a_json_object_is_rejected_unchanged(raw: bytes, rule: str, found: str) -> None:
    verdict = validated(raw)

    assert isinstance(verdict, Rejected)
    assert verdict.raw == raw
    (finding,) = verdict.findings
    assert (finding.rule, finding.field) == (rule, "")
    assert finding.found.startswith(found)
    assert finding.expected == ("JSON" if rule == "not_json" else "a JSON object")


def test_a_decoding_error_quotes_nothing_of_the_event() -> None:
    secret = b'{"card": "4111 1111 1111 1111", "name": "\xff"}'

    with pytest.raises(UnicodeDecodeError) as caught:
        msgspec.json.decode(secret)

    assert "4111" not in describe(caught.value)
    assert "position" not in describe(caught.value)
    assert len(describe(ValueError("x" * 1_000))) == 200


def test_unknown_fields_keep_integers_of_any_size() -> None:
    verdict = validated(json.dumps(music_event(extra=10**100)).encode())

    assert isinstance(verdict, Accepted)
    assert json.loads(verdict.value)["extra"] == 10**100


@pytest.mark.parametrize("depth", [98, 99, 100, 900, 5_000, 100_000])
def test_nesting_has_a_fixed_limit(depth: int) -> None:
    """The decoder's own limit under Python 3.11 is a tenth of that under 3.13."""
    small = Validator(small_contract('[fields.x]\ntype = "string"\nfrom = "deep.x"\n'))
    raw = json.dumps(small_event(deep=0)).replace("0}", '{"a":' * depth + "1" + "}" * depth + "}").encode()

    verdict = small.validate(raw, PUBLISHED)

    levels = f"{MAX_NESTING_DEPTH} levels of arrays and objects"
    too_deep = Rejected(raw, [Finding("too_large", "", f"over {levels}", f"at most {levels}")])
    assert isinstance(verdict, Accepted) if depth < 100 else verdict == too_deep


def test_an_event_that_json_cannot_represent_is_rejected() -> None:
    small = Validator(small_contract())
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]

    verdict = small.validate_record(small_event(deep=deep), PUBLISHED, b"raw")

    expected = "values that JSON and 64-bit integers can hold"
    assert verdict == Rejected(b"raw", [Finding("range", "", "nesting too deep", expected)])


@given(st.binary() | json_values.map(msgspec.json.encode))
def test_any_bytes_get_a_deterministic_verdict(raw: bytes) -> None:
    verdict = validated(raw)

    assert validated(raw) == verdict
    assert isinstance(verdict, Rejected)
    assert verdict.raw == raw
    assert verdict.findings


text = st.text(max_size=6)
likely_events = st.fixed_dictionaries(
    {},
    optional={
        "event_id": text | json_values,
        "userId": text | json_values,
        "timestamp": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | json_values,
        "event_type": st.sampled_from(["click", " LIKE ", "dance"]),
        "duration": json_values,
        "songId": text,
        "other": json_values,
    },
)


@given(likely_events)
def test_two_validators_give_the_same_verdict_and_cell_key(record: dict[str, Any]) -> None:
    raw = msgspec.json.encode(record)

    one, other = validated(raw), Validator(load_contract(MUSIC_CONTRACT)).validate(raw, PUBLISHED)

    assert one == other
    if isinstance(one, Accepted):
        assert len(one.cell_key.row_key) <= 4_096
        assert len(one.cell_key.qualifier) <= 16_384
        assert one.cell_key.micros >= 0


@given(likely_events)
def test_a_canonical_event_gets_the_same_verdict_again(record: dict[str, Any]) -> None:
    canonical = Validator(load_contract(MUSIC_CONTRACT).of_canonical_events())

    verdict = validated(msgspec.json.encode(record))

    if isinstance(verdict, Accepted):
        assert canonical.validate(verdict.value, PUBLISHED) == verdict


def test_the_verdict_depends_on_the_publish_time_and_not_on_a_clock() -> None:
    raw = json.dumps(music_event(timestamp="2024-01-15T12:05:01Z")).encode()

    early = music.validate(raw, datetime(2024, 1, 15, 12, 0, tzinfo=UTC))
    late = music.validate(raw, datetime(2024, 1, 15, 12, 1, tzinfo=UTC))

    assert isinstance(early, Rejected)
    assert [finding.rule for finding in early.findings] == ["future"]
    assert isinstance(late, Accepted)


def test_bucket_and_composed_id_determine_the_cell_key() -> None:
    toml = """
    [fields.session]
    type = "integer"
    """
    by_hour = small_contract(
        toml,
        head='version = 1\nname = "s"\n[event]\nid = ["id", "session"]\nuser = "user"\ntime = "time"\nbucket = "hour"',
    )

    verdict = Validator(by_hour).validate(json.dumps(small_event(id="a:b", session=7.0)).encode(), PUBLISHED)

    assert isinstance(verdict, Accepted)
    assert verdict.cell_key.row_key.endswith(b"#20240115#ann#10")
    assert verdict.cell_key.qualifier.endswith(b"#a%3Ab:7")
    assert json.loads(verdict.value)["session"] == 7


def test_without_quality_checks_only_id_user_and_time_are_checked() -> None:
    lenient = Validator(load_contract(MUSIC_CONTRACT), quality=False)
    raw = json.dumps(music_event(event_type="dance", songId="a b", duration="long")).encode()

    verdict = lenient.validate(raw, PUBLISHED)

    assert isinstance(verdict, Accepted)
    assert verdict.warnings == ()
    assert isinstance(lenient.validate(json.dumps(music_event(userId="")).encode(), PUBLISHED), Rejected)
    assert isinstance(lenient.validate(b"nonsense", PUBLISHED), Rejected)


@pytest.mark.skipif(not SPARKIFY.is_dir(), reason=f"{SPARKIFY} is missing")
def test_the_real_log_gets_the_expected_verdicts() -> None:
    sparkify = Validator(load_contract(SPARKIFY_CONTRACT))
    published = datetime(2019, 1, 1, tzinfo=UTC)

    verdicts = [sparkify.validate(msgspec.json.encode(record), published) for record in sparkify_records()]

    accepted = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
    rejected = [verdict for verdict in verdicts if isinstance(verdict, Rejected)]
    assert (len(verdicts), len(accepted), len(rejected)) == (8_042, 7_756, 286)
    assert {tuple((finding.rule, finding.field) for finding in verdict.findings) for verdict in rejected} == {
        (("null", "user_id"),)
    }
    assert len({verdict.cell_key[:2] for verdict in accepted}) == 7_756
    assert len({verdict.cell_key.row_key.split(b"#")[1] for verdict in accepted}) == 30
