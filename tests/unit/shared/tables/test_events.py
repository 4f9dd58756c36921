"""Reads of a user's events: windows cover the requested time once, and filters select exactly its events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.row_keys import cell_key_of, event_id
from shared.tables.events import MAX_DAYS_PER_SCAN, _windows, _within

moments = st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC)) | st.dates(
    datetime(2020, 1, 1).date(), datetime(2026, 1, 1).date()
).map(lambda day: datetime(day.year, day.month, day.day, tzinfo=UTC))
DAY = datetime(2024, 1, 15, tzinfo=UTC)


def is_midnight(moment: datetime) -> bool:
    return moment.time() == datetime.min.time()


@given(moments, moments, st.booleans())
@example(DAY, DAY, True)
@example(DAY, DAY + timedelta(days=MAX_DAYS_PER_SCAN), True)
@example(DAY, DAY + timedelta(microseconds=1), False)
def test_windows_cover_the_time_newest_first_without_gap_or_overlap(
    start: datetime, end: datetime, whole: bool
) -> None:
    windows = list(_windows(start, end, whole=whole))

    expected_end = end
    for first, last in windows:
        assert first < last == expected_end
        assert last - first <= timedelta(days=MAX_DAYS_PER_SCAN)
        # A window is whole days or lies in one day, so that one filter can select its events.
        assert (is_midnight(first) and is_midnight(last)) or last - first <= timedelta(days=1)
        assert (last - timedelta(microseconds=1)).date() == first.date() or (is_midnight(first) and is_midnight(last))
        expected_end = first
    assert expected_end == (start if windows else end)
    assert bool(windows) == (start < end)


def test_windows_of_a_limited_read_grow() -> None:
    days = [(last - first).days for first, last in _windows(DAY, DAY + timedelta(days=100), whole=False)]

    assert days == [1, 2, 4, 8, 16, 32, 37]


def test_an_unlimited_read_has_as_few_windows_as_possible() -> None:
    assert len(list(_windows(DAY, DAY + timedelta(days=400), whole=True))) == 1


moments_of_the_day = st.integers(0, 86_400_000_000 - 1).map(lambda micros: DAY + timedelta(microseconds=micros))


@given(moments_of_the_day, moments_of_the_day, moments_of_the_day, st.text(max_size=4))
@example(DAY, DAY + timedelta(hours=1), DAY, "~")
@example(DAY, DAY + timedelta(hours=1), DAY + timedelta(hours=1), "")
def test_the_filter_selects_the_events_of_the_window(
    start: datetime, end: datetime, time: datetime, identity: str
) -> None:
    if start >= end:
        start, end = end, start + timedelta(microseconds=1)

    chain = _within(start, end, limit=7).chain.filters

    qualifier = cell_key_of("u", event_id([identity]), time, "day").qualifier
    column_range = next((each.column_range_filter for each in chain if each.HasField("column_range_filter")), None)
    passes = column_range is None or (
        (not column_range.HasField("start_qualifier_closed") or column_range.start_qualifier_closed <= qualifier)
        and (not column_range.HasField("end_qualifier_open") or qualifier < column_range.end_qualifier_open)
    )
    assert passes == (
        start <= time < end or (is_midnight(start) and time < end) or (is_midnight(end) and start <= time)
    )
    assert chain[-1].cells_per_row_limit_filter == 7
    assert chain[0].family_name_regex_filter == "e"


def test_whole_days_need_no_column_range() -> None:
    (family, versions) = _within(DAY, DAY + timedelta(days=2), limit=None).chain.filters

    assert family.family_name_regex_filter == "e"
    assert versions.cells_per_column_limit_filter == 1


@pytest.mark.parametrize("end", [DAY + timedelta(hours=2), DAY + timedelta(days=1)])
def test_a_position_bounds_the_window_instead_of_its_end(end: datetime) -> None:
    [column_range] = [
        each.column_range_filter
        for each in _within(DAY, end, limit=7, after=b"123#id").chain.filters
        if each.HasField("column_range_filter")
    ]

    assert (column_range.start_qualifier_open, column_range.start_qualifier_closed) == (b"123#id", b"")
    assert column_range.end_qualifier_open == b""
