"""Hostile messages get bounded verdicts, and the valid events in the same message are stored."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import row_keys
from shared.contracts.loader import load_contract
from shared.ingest.pipeline import validate_message
from shared.pubsub.message import _gunzip, receive
from shared.runtime import logs
from shared.runtime.logs import LogEvent
from shared.validation.checks import MAX_UNKNOWN_FINDINGS
from shared.validation.results import MAX_QUOTED_CHARS, Accepted, Rejected
from shared.validation.validator import Validator
from tests.support import hostile
from tests.support.hostile import CASES, GOOD, MEMORY_HEAVY, OTHER, Case
from tests.support.samples import MUSIC_CONTRACT
from tests.support.small_messages import PUBLISHED, small_contract

pytestmark = pytest.mark.no_cover  # the cases repeat lines that other tests cover
music = Validator(load_contract(MUSIC_CONTRACT))


def by_name(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def test_every_case_has_a_unique_name() -> None:
    assert len({case.name for case in CASES + MEMORY_HEAVY}) == len(CASES + MEMORY_HEAVY)


@pytest.mark.no_cover  # takes four times as long with it, in code that other tests cover
@by_name(CASES + MEMORY_HEAVY)
def test_a_hostile_message_gets_the_expected_verdicts(case: Case) -> None:
    verdicts = validate_message(music, receive(case.body()))

    accepted = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
    rejected = [verdict for verdict in verdicts if isinstance(verdict, Rejected)]
    assert len(accepted) == case.stored
    assert [verdict.findings[0].rule for verdict in rejected] == list(case.rejected)
    if accepted and rejected:  # valid events get the same verdict as alone
        assert accepted == [music.validate(event, datetime(2024, 1, 16, tzinfo=UTC)) for event in (GOOD, OTHER)]


def test_the_gzip_bomb_is_valid_gzip() -> None:
    small = hostile.gzip_of_zeros(3 * hostile.MIB)

    assert _gunzip(small) == bytes(3 * hostile.MIB)
    assert len(hostile.gzip_of_zeros(hostile.GIB)) < 1.1 * hostile.MIB


def test_the_last_of_equal_keys_counts() -> None:
    [verdict] = validate_message(music, receive(hostile.body_of(GOOD[:-1] + b', "userId": "eve", "userId": "zoe"}')))

    assert isinstance(verdict, Accepted)
    assert json.loads(verdict.value)["user_id"] == "zoe"
    assert verdict.value.count(b"user_id") == 1
    assert row_keys.user_of_row(verdict.cell_key.row_key) == "zoe"


@pytest.mark.parametrize(("fields", "findings"), [(100, 100), (101, 101), (102, 101), (40_000, 101)])
def test_the_number_of_findings_for_unknown_fields_is_limited(fields: int, findings: int) -> None:
    """Bigtable would refuse a cell of 40 MB of findings, and writing it could exhaust the instance's memory."""
    validator = Validator(small_contract('[checks]\nunknown_fields = "reject"\n'))
    event = {"id": "1", "user": "ann", "time": "2024-01-15T10:00:00Z", **{f"k{n}": 0 for n in range(fields)}}

    verdict = validator.validate(msgspec.json.encode(event), PUBLISHED)

    assert isinstance(verdict, Rejected)
    assert {finding.rule for finding in verdict.findings} == {"unknown_field"}
    assert len(verdict.findings) == findings
    assert verdict.findings[0].field == "k0"
    if fields > MAX_UNKNOWN_FINDINGS:
        assert (verdict.findings[-1].field, verdict.findings[-1].found) == ("", f"{fields - MAX_UNKNOWN_FINDINGS} more")
    assert len(msgspec.json.encode(verdict.findings)) < 20_000


# Hostile identities

IDENTITIES = {
    "separators": "a#b%23c:d%3Ae",
    "a row of another": "00#20240115#ann",
    "an hour": "ann#05",
    "NUL": "ann\0",
    "newline": "ann\n",
    "CR LF": "ann\r\n{}",
    "escape sequences": "\x1b[2J\x1b]0;owned\x07",
    "long": "x" * 5_000,
    "long and beyond ASCII": "\u20ac" * 5_000,
    "right to left": "\u202enna",
    "byte order mark": "\ufeffann",
    "line separators": "ann\u2028ann\u2029",
    "lone surrogate": "\ud800",
    "two lone surrogates": "\ud83d\ude00",
    "emoji": "\U0001f600",
    "joined emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "composed": "\u00e9",
    "decomposed": "e\u0301",
    "empty": "",
    "blank": " ",
    "dots": "../../etc/passwd",
    **{f"prefix of {length}": "annannann"[:length] for length in range(1, 9)},
}
PRINTABLE = set(range(0x21, 0x7F))


def key_parts(identity: str) -> list[bytes]:
    """Return all keys made of an identity: row keys and qualifiers of events, and the row key of an aggregate."""
    at = datetime(2024, 1, 15, 10, tzinfo=UTC)
    by_hour = row_keys.cell_key_of(identity, row_keys.event_id([identity, identity]), at, "hour")
    by_day = row_keys.cell_key_of(identity, row_keys.event_id([identity]), at, "day")
    return [*by_day[:2], *by_hour[:2], row_keys.aggregate_row("user", date(2024, 1, 15), identity)]


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_an_identity_never_adds_separators_to_a_key(identity: str) -> None:
    harmless = [part.count(b"#") for part in key_parts("ann")]

    parts = key_parts(identity)

    assert [part.count(b"#") for part in parts] == harmless
    assert [part.count(b":") for part in parts] == [0, 0, 0, 1, 0]
    assert all(set(part) <= PRINTABLE for part in parts)


def test_different_identities_make_different_keys() -> None:
    for made in zip(*map(key_parts, IDENTITIES.values()), strict=True):
        assert len(set(made)) == len(IDENTITIES)


texts = st.text(st.sampled_from("a#%:2\0\n\x1b\u202e\ud800") | st.characters(), max_size=6)


@given(texts, texts, texts, texts)
def test_different_values_of_different_dimensions_never_share_a_row(
    dimension: str, value: str, other_dimension: str, other_value: str
) -> None:
    day = date(2024, 1, 15)
    one, other = (
        row_keys.aggregate_row(dimension, day, value),
        row_keys.aggregate_row(other_dimension, day, other_value),
    )

    assert (one == other) == ((dimension, value) == (other_dimension, other_value))
    assert one.count(b"#") == 2


@given(st.text(st.sampled_from("ab"), min_size=1, max_size=3), st.text(max_size=3))
def test_the_row_range_of_a_user_contains_no_longer_user(user: str, more: str) -> None:
    """With hourly buckets, a user's rows are read as a range of keys."""
    day = date(2024, 1, 15)
    rows = row_keys.event_rows(user, day, "hour")

    others = row_keys.event_rows(user + "#" + more, day, "hour") + row_keys.event_rows(user + more + "x", day, "hour")

    assert not any(rows[0] <= other <= rows[-1] for other in others if other[:2] == rows[0][:2])


@pytest.mark.parametrize("field", ["event_id", "userId"])
@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_an_event_with_a_hostile_identity_is_stored_under_it_or_rejected_with_a_printable_finding(
    field: str, identity: str
) -> None:
    raw = json.dumps({**json.loads(GOOD), field: identity}).encode()

    verdict = music.validate(raw, datetime(2024, 1, 16, tzinfo=UTC))

    if isinstance(verdict, Accepted):
        assert set(verdict.cell_key.row_key + verdict.cell_key.qualifier) <= PRINTABLE
        stored = (
            row_keys.user_of_row(verdict.cell_key.row_key),
            row_keys.decode(verdict.cell_key.qualifier[12:].decode()),
        )
        # an escaped surrogate pair is one character, a lone surrogate is invalid
        assert stored[field == "event_id"] == identity.encode("utf-16", "surrogatepass").decode("utf-16")
    else:
        assert identity in ("", "\ud800") or len(identity) > 128
        for finding in verdict.findings:
            assert finding.found.isascii()
            assert finding.found.isprintable()
            assert len(finding.found) <= MAX_QUOTED_CHARS


# Log entries


def utf_8(text: str) -> bool:
    return not any(0xD800 <= ord(character) < 0xE000 for character in text)


@pytest.mark.parametrize(
    "identity",
    [each for each in IDENTITIES.values() if utf_8(each)],
    ids=[n for n, e in IDENTITIES.items() if utf_8(e)],
)
def test_a_log_entry_is_one_line_for_any_identity(identity: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.warning(LogEvent.MESSAGE_FAILED, identity, message_id=identity)
    logs.info(LogEvent.DAYS_REQUESTED, "next", **{"traced": identity, **logs.trace(identity)})

    out = capsys.readouterr().out
    assert [json.loads(line) for line in out.removesuffix("\n").split("\n")] == [
        {"severity": "WARNING", "event": "message_failed", "message": identity, "message_id": identity},
        {"severity": "INFO", "event": "days_requested", "message": "next", "traced": identity},
    ]
    assert not [character for character in out if ord(character) < 0x20 and character != "\n"]
