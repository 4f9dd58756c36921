"""Distinct events, and the events and users of each day, are counted once, and estimated when they are many."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from infra.batch import distinct
from infra.batch.distinct import DistinctEvents, DistinctRows
from infra.batch.report import Report
from shared.row_keys import Bucket, cell_key_of
from shared.validation.results import Accepted, AcceptedColumns


@pytest.mark.parametrize("bucket", ["day", "hour"])
def test_events_are_counted_once_and_users_once_per_day(bucket: Bucket) -> None:
    found = DistinctEvents()
    events = [
        event(user, event_id, datetime(2024, 1, day, hour, tzinfo=UTC), bucket)
        for user, event_id, day, hour in (
            ("a#b", "1", 16, 1),
            ("a#b", "2", 15, 1),
            ("a#b", "3", 15, 2),
            ("c", "4", 15, 2),
            ("c", "4", 15, 2),
        )
    ]

    for added in (events, events[:1], events):
        found.add(AcceptedColumns.of(added))
        assert found.count == 4
    assert list(found.days().items()) == [(date(2024, 1, 15), (3, 2)), (date(2024, 1, 16), (1, 1))]


def event(user: str, event_id: str, time: datetime, bucket: Bucket) -> Accepted:
    return Accepted(*cell_key_of(user, event_id, time, bucket), b"{}")


def many(bucket: Bucket, count: int = 20_000) -> list[Accepted]:
    """Return events of three days, each by one of 500 users."""
    start = datetime(2024, 1, 15, tzinfo=UTC)
    times = [start + timedelta(seconds=number * 12) for number in range(count)]
    return [event(f"user {number % 500}", str(number), time, bucket) for number, time in enumerate(times)]


@pytest.mark.parametrize("bucket", ["day", "hour"])
def test_many_events_are_estimated(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "MAX_EXACT", 9_000)
    events = many(bucket)
    found = DistinctEvents()
    for _ in range(2):  # each event twice
        for start in range(0, len(events), 1_000):
            found.add(AcceptedColumns.of(events[start : start + 1_000]))

    assert found.estimated
    assert found.count == pytest.approx(20_000, rel=0.02)
    days = found.days()
    assert list(days) == [date(2024, 1, 15), date(2024, 1, 16), date(2024, 1, 17)]
    assert [count for count, _ in days.values()] == pytest.approx([7_200, 7_200, 5_600], rel=0.06)
    assert [users for _, users in days.values()] == pytest.approx([500] * 3, rel=0.06)


def test_many_rejected_rows_are_counted_as_often_as_they_occur(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "MAX_ROWS", 2)
    found = DistinctRows()

    assert [found.add(row) for row in (b"a", b"b", b"a")] == [True, True, False]
    assert not found.estimated
    assert [found.add(row) for row in (b"c", b"c", b"a")] == [True, True, False]
    assert found.estimated


def test_a_report_says_that_its_counts_are_estimates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    monkeypatch.setattr(distinct, "MAX_EXACT", 10)
    events, report = DistinctEvents(), Report(published=100)
    events.add(AcceptedColumns.of(many("day", 100)))
    report.count_distinct(events, DistinctRows())

    report.show(Console(width=100), verb="read")

    assert report.as_json()["estimated"] is True
    assert report.duplicates >= 0
    assert "100 events read: about 100 stored, about 0 rejected" in capsys.readouterr().out
