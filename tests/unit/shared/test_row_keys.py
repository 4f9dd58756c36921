"""Keys are unique per event, deterministic, readable and sorted from newest to oldest."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from shared import row_keys
from shared.bigtable.read_rows import prefix_end
from shared.timestamps import EPOCH, days_between, format_day, parse_day

# All characters including lone surrogates, and often those with a meaning in a key.
characters = st.sampled_from("#%:~/+ a\0\n\u00e9\ud800\udc00\U00010000") | st.characters()
texts = st.text(characters, max_size=12)
# Texts from a small alphabet, so that two random ones are often similar.
close_texts = st.text(st.sampled_from("a#%:2\0\ud800"), max_size=3)
days = st.dates(min_value=date(1970, 1, 1))
times = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))
close_times = st.integers(0, 2).map(lambda micros: datetime(2024, 1, 15, 23, 59, 59, micros, tzinfo=UTC))
buckets = st.sampled_from(["day", "hour"])

UNRESERVED = string.ascii_letters + string.digits + "_.~-"


@given(texts)
@example("")
@example("\ud83d\ude00")  # two surrogates differ from the character that they encode in UTF-16
def test_encoded_text_is_unreserved_ascii_and_can_be_decoded(text: str) -> None:
    encoded = row_keys.encode(text)

    assert set(encoded) <= {*UNRESERVED, "%"}
    assert row_keys.decode(encoded) == text
    assert row_keys.encode(text) == encoded


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("user-1_2.3~4", "user-1_2.3~4"),
        ("a#b", "a%23b"),
        ("100%", "100%25"),
        ("a b+c/d", "a%20b%2Bc%2Fd"),
        ("\0", "%00"),
        ("a\n", "a%0A"),
        ("\u00e9", "%C3%A9"),
        ("\ud800", "%ED%A0%80"),
        ("\U00010000", "%F0%90%80%80"),
        ("\ud800\udc00", "%ED%A0%80%ED%B0%80"),
        ("", ""),
    ],
)
def test_all_but_unreserved_characters_are_percent_encoded(text: str, encoded: str) -> None:
    assert row_keys.encode(text) == encoded


@given(st.lists(texts, min_size=1, max_size=3), st.lists(texts, min_size=1, max_size=3))
@example(["a", "b:c"], ["a:b", "c"])
@example(["a", ""], ["a"])
@example(["a%3Ab"], ["a:b"])
def test_composed_ids_are_equal_only_for_equal_parts(one: list[str], other: list[str]) -> None:
    assert (row_keys.event_id(one) == row_keys.event_id(other)) == (one == other)


def test_an_id_can_contain_integers() -> None:
    assert row_keys.event_id([139, "a b", -1]) == "139:a%20b:-1"


@given(st.tuples(close_texts, close_texts, close_times), st.tuples(close_texts, close_texts, close_times), buckets)
def test_different_events_never_share_a_cell_key(
    one: tuple[str, str, datetime], other: tuple[str, str, datetime], bucket: row_keys.Bucket
) -> None:
    def cell(event: tuple[str, str, datetime]) -> tuple[bytes, bytes]:
        user, identity, time = event
        return row_keys.cell_key_of(user, row_keys.event_id([identity]), time, bucket)[:2]

    assert (cell(one) == cell(other)) == (one == other)


@given(texts, texts, times, buckets)
def test_a_cell_key_depends_on_the_event_alone(
    user: str, identity: str, time: datetime, bucket: row_keys.Bucket
) -> None:
    # given a first call that fills the caches
    first = row_keys.cell_key_of(user, row_keys.event_id([identity]), time, bucket)

    assert row_keys.cell_key_of(user, row_keys.event_id([identity]), time, bucket) == first


@given(texts, texts, times, buckets)
def test_a_cell_key_contains_user_time_and_id(
    user: str, identity: str, time: datetime, bucket: row_keys.Bucket
) -> None:
    row_key, qualifier, micros = row_keys.cell_key_of(user, row_keys.event_id([identity]), time, bucket)

    assert row_keys.user_of_row(row_key) == user
    microseconds_left = int(qualifier[:11])
    end_of_day = datetime(time.year, time.month, time.day, 23, 59, 59, 999_999, tzinfo=UTC)
    assert end_of_day - timedelta(microseconds=microseconds_left) == time
    assert row_keys.decode(qualifier[12:].decode()) == identity
    assert micros % 1_000 == 0
    assert timedelta(0) <= time - EPOCH - timedelta(microseconds=micros) < timedelta(milliseconds=1)


def test_a_cell_key_has_the_documented_format() -> None:
    time = datetime(2018, 11, 15, 1, 2, 3, 456_789, tzinfo=UTC)

    by_day = row_keys.cell_key_of("39", "139:7", time, "day")
    by_hour = row_keys.cell_key_of("39", "139:7", time, "hour")

    # the CRC-32 of "39" is 0xeab7ffc7, whose last six bits are 7; 86,399,999,999 less the 3,723,456,789 since midnight
    assert by_day == (b"07#20181115#39", b"82676543210#139:7", 1_542_243_723_456_000)
    assert by_hour == by_day._replace(row_key=b"07#20181115#39#01")


@given(times, texts, texts, st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=1)))
@example(datetime(2024, 1, 15, tzinfo=UTC), "z", "a", timedelta(microseconds=1))
def test_qualifiers_of_a_day_sort_from_newest_to_oldest(
    earlier: datetime, one: str, other: str, apart: timedelta
) -> None:
    assume(earlier.date() < date.max)
    later = earlier + apart
    assume(earlier.date() == later.date())

    old = row_keys.cell_key_of("u", row_keys.event_id([one]), earlier, "day").qualifier
    new = row_keys.cell_key_of("u", row_keys.event_id([other]), later, "day").qualifier

    assert new < old
    # qualifiers below the bound are later, those above it are of the same time or earlier
    bound = row_keys.qualifier_bound(earlier)
    assert new < bound < old


@given(texts, texts, days, buckets, buckets)
@example("a", "ab", date(2024, 1, 15), "day", "hour")
@example("a", "a#05", date(2024, 1, 15), "hour", "day")
@example("a", "a%2305", date(2024, 1, 15), "hour", "day")
def test_users_share_no_rows(one: str, other: str, day: date, first: row_keys.Bucket, second: row_keys.Bucket) -> None:
    assume(one != other)

    assert set(row_keys.event_rows(one, day, first)).isdisjoint(row_keys.event_rows(other, day, second))


@given(texts, times, buckets)
def test_the_rows_of_a_user_contain_its_events_and_are_in_one_shard(
    user: str, time: datetime, bucket: row_keys.Bucket
) -> None:
    rows = row_keys.event_rows(user, time.date(), bucket)

    assert row_keys.cell_key_of(user, "1", time, bucket).row_key in rows
    assert rows == sorted(rows)
    assert sum(rows[0].startswith(prefix) for prefix in row_keys.shard_prefixes(time.date())) == 1


def test_a_user_has_one_row_per_day_or_hour() -> None:
    day = date(2024, 1, 15)

    (whole,) = row_keys.event_rows("ann", day, "day")
    hours = row_keys.event_rows("ann", day, "hour")

    assert hours == [whole + b"#%02d" % hour for hour in range(24)]


def test_tables_are_split_between_the_64_shards() -> None:
    prefixes = row_keys.shard_prefixes(date(2024, 1, 5))

    assert len(set(prefixes)) == 64
    assert (prefixes[0], prefixes[-1]) == (b"00#20240105#", b"3f#20240105#")
    splits = row_keys.split_keys()
    assert len(splits) == 63
    assert all(before < split <= after for before, split, after in zip(prefixes, splits, prefixes[1:], strict=False))


@given(st.lists(texts, max_size=5), st.lists(st.tuples(texts, st.integers(0, 23)), max_size=5), times, buckets)
def test_a_divided_day_keeps_the_rows_of_each_user_together(
    users: list[str], sampled: list[tuple[str, int]], time: datetime, bucket: row_keys.Bucket
) -> None:
    day = time.date()
    keys = [row_keys.event_rows(user, day, bucket)[hour if bucket == "hour" else 0] for user, hour in sampled]
    keys += [b"", b"05", b"05#", b"3f#20991231#ann", *(key[:-2] for key in keys)]

    ranges = row_keys.split_day(day, sorted(keys))

    assert ranges == sorted(ranges)
    assert all(before <= start < end for (_, before), (start, end) in pairwise([(b"", b""), *ranges]))
    for user in {*users, *(user for user, _ in sampled)}:
        rows = row_keys.event_rows(user, day, bucket)
        (only,) = [pair for pair in ranges if pair[0] <= rows[0] < pair[1]]
        assert only[0] <= rows[-1] < only[1]


def test_a_day_is_divided_at_the_first_row_of_a_user() -> None:
    day = date(2024, 1, 15)

    ranges = row_keys.split_day(day, [b"01#20240114#x", b"01#20240115#ann#07", b"01#20240115#bob", b"02#"])

    assert len(ranges) == 64 + 2
    assert ranges[1:4] == [
        (b"01#20240115#", b"01#20240115#ann"),
        (b"01#20240115#ann", b"01#20240115#bob"),
        (b"01#20240115#bob", b"01#20240115$"),
    ]


def test_rejected_rows_depend_on_day_and_bytes() -> None:
    day = date(2024, 1, 15)

    row_key = row_keys.rejected_row(b"{", day)

    shard, middle, digest = row_key.decode().split("#")
    assert middle == "20240115"
    assert len(digest) == 32
    assert 0 <= int(shard, 16) < row_keys.SHARDS
    assert row_keys.rejected_row(b"{", day) == row_key
    assert row_keys.rejected_row(b"{ ", day) != row_key
    assert row_keys.rejected_row(b"{", date(2024, 1, 16)) != row_key


@given(texts, texts, days)
def test_aggregate_rows_contain_dimension_day_and_value(dimension: str, value: str, day: date) -> None:
    row_key = row_keys.aggregate_row(dimension, day, value)

    assert row_key.startswith(row_keys.aggregate_prefix(dimension, day))
    assert row_keys.value_of_row(row_key) == value


def test_an_aggregate_row_has_the_documented_format() -> None:
    assert row_keys.aggregate_row("user", date(2024, 1, 5), "a b") == b"user#20240105#a%20b"


@pytest.mark.parametrize("character", ["a", "#", "\u00e9", "\u20ac", "\U0001d11e", "\ud800"])
@pytest.mark.parametrize("shift", range(12))
def test_a_value_too_long_for_a_key_is_cut_at_any_character(character: str, shift: int) -> None:
    # given values that differ only after the cut
    value = "x" * shift + character * 4_100
    day = date(2024, 1, 15)

    one, other = row_keys.aggregate_row("song", day, value), row_keys.aggregate_row("song", day, value + "!")

    assert one != other
    assert max(len(one), len(other)) <= row_keys.MAX_ROW_KEY_BYTES
    shown = row_keys.value_of_row(one)
    assert shown.endswith("\u2026")
    assert value.startswith(shown[:-1])
    assert (
        len(row_keys.encode(shown[:-1])) > 3_900 or character == "\ud800"
    )  # the cut value contains no undecodable characters


def test_the_longest_value_that_fits_is_not_cut() -> None:
    day = date(2024, 1, 15)
    room = row_keys.MAX_ROW_KEY_BYTES - len(row_keys.aggregate_prefix("song", day))

    assert row_keys.value_of_row(row_keys.aggregate_row("song", day, "a" * room)) == "a" * room
    assert row_keys.value_of_row(row_keys.aggregate_row("song", day, "a" * (room + 1))).endswith("a\u2026")


@given(days)
def test_days_and_state_rows_can_be_read_back(day: date) -> None:
    assert parse_day(format_day(day)) == day
    assert row_keys.day_of_state_row(row_keys.state_row("late", day)) == day
    assert row_keys.state_row("run", day) == b"run#" + format_day(day).encode()


@given(st.binary(max_size=4), st.integers(0, 254), st.binary(max_size=4), st.binary(max_size=6))
def test_the_end_of_a_prefix_bounds_the_keys_with_that_prefix(
    head: bytes, last: int, tail: bytes, other: bytes
) -> None:
    prefix = head + bytes([last])
    end = prefix_end(prefix)

    assert prefix <= prefix + tail < end
    assert (prefix <= other < end) == other.startswith(prefix)


def test_days_between_includes_both_ends() -> None:
    days = list(days_between(date(2024, 2, 28), date(2024, 3, 1)))

    assert days == [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]
    assert list(days_between(date(2024, 1, 2), date(2024, 1, 1))) == []
