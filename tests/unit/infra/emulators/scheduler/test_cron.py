"""Times of cron expressions, clock changes, and invalid expressions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.emulators.scheduler.cron import Cron, CronError

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def times_after(schedule: str, zone: str, since: str, count: int) -> list[str]:
    """Return the next times after a local time, in local time with the UTC offset."""
    cron, moment = Cron(schedule, zone), datetime.fromisoformat(since).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    times = []
    for _ in range(count):
        following = cron.next_after(moment)
        assert following is not None
        moment = following
        times.append(f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %z}")
    return times


@pytest.mark.parametrize(
    ("schedule", "since", "times"),
    [
        ("0 1 * * *", "2024-02-28T00:59:59.999", ["2024-02-28 01:00", "2024-02-29 01:00", "2024-03-01 01:00"]),
        ("0 1 * * *", "2024-02-28T01:00", ["2024-02-29 01:00"]),
        ("*/20 3 * * *", "2024-01-01", ["2024-01-01 03:00", "2024-01-01 03:20", "2024-01-01 03:40"]),
        ("5,10-12 0 1 1 *", "2024-01-01T00:05", ["2024-01-01 00:10", "2024-01-01 00:11", "2024-01-01 00:12"]),
        ("0 9 * * MON-FRI", "2024-01-05T09:00", ["2024-01-08 09:00"]),
        ("0 0 * * 7", "2024-01-01", ["2024-01-07 00:00"]),
        ("0 0 * * 0", "2024-01-01", ["2024-01-07 00:00"]),
        ("0 0 13 * FRI", "2024-09-01", ["2024-09-06 00:00", "2024-09-13 00:00", "2024-09-20 00:00"]),
        ("0 0 29 FEB *", "2024-03-01", ["2028-02-29 00:00"]),
    ],
)
def test_a_cron_expression_has_the_expected_times(schedule: str, since: str, times: list[str]) -> None:
    assert times_after(schedule, "UTC", since, len(times)) == [f"{time} +0000" for time in times]


def test_a_day_has_the_same_local_time_in_summer_and_winter() -> None:
    assert times_after("0 9 * * *", BERLIN, "2024-03-30", 2) == ["2024-03-30 09:00 +0100", "2024-03-31 09:00 +0200"]


# The clocks of Berlin change from 02:00 to 03:00 on 2024-03-31, and from 03:00 back to 02:00 on 2024-10-27.


def test_a_job_at_a_skipped_time_runs_at_the_end_of_the_gap() -> None:
    assert times_after("30 2 * * *", BERLIN, "2024-03-30T12:00", 2) == [
        "2024-03-31 03:00 +0200",
        "2024-04-01 02:30 +0200",
    ]


def test_a_job_at_a_repeated_time_runs_once() -> None:
    assert times_after("30 2 * * *", BERLIN, "2024-10-26T12:00", 2) == [
        "2024-10-27 02:30 +0200",
        "2024-10-28 02:30 +0100",
    ]


def test_the_second_pass_of_a_repeated_hour_has_no_past_times() -> None:
    second_pass = datetime(2024, 10, 27, 2, 15, tzinfo=ZoneInfo(BERLIN), fold=1)

    following = Cron("30 2 * * *", BERLIN).next_after(second_pass)

    assert following == datetime(2024, 10, 28, 1, 30, tzinfo=UTC)


def test_hourly_jobs_keep_their_interval() -> None:
    assert times_after("0 * * * *", BERLIN, "2024-10-27T01:00", 3) == [
        "2024-10-27 02:00 +0200",
        "2024-10-27 02:00 +0100",
        "2024-10-27 03:00 +0100",
    ]
    assert times_after("0 * * * *", BERLIN, "2024-03-31T01:00", 2) == [
        "2024-03-31 03:00 +0200",
        "2024-03-31 04:00 +0200",
    ]


@given(
    zone=st.sampled_from([BERLIN, NEW_YORK, "Australia/Lord_Howe", "Africa/Cairo", "UTC"]),
    schedule=st.sampled_from(
        ["30 2 * * *", "0 0 * * *", "*/15 * * * *", "0 1,2,3 * * *", "45 1 * * SUN", "0 */2 * * *"]
    ),
    moment=st.datetimes(datetime(2023, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),
)
def test_times_increase_across_clock_changes(zone: str, schedule: str, moment: datetime) -> None:
    cron = Cron(schedule, zone)
    times = [moment]
    for _ in range(8):
        following = cron.next_after(times[-1])
        assert following is not None
        times.append(following)

    assert all(earlier < later for earlier, later in pairwise(times))
    assert times[1] - moment <= timedelta(days=8)
    assert all(time.second == time.microsecond == 0 for time in times[1:])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("", "expected five fields"),
        ("0 1 * *", "expected five fields"),
        ("0 0 1 * * *", "expected five fields"),
        ("60 * * * *", "Bad minute"),
        ("* 24 * * *", "Bad hour"),
        ("* * 0 * *", "Bad day-of-month"),
        ("* * * 13 *", "Bad month"),
        ("* * * * 8", "Bad day-of-week"),
        ("* * * * FRY", "Bad day-of-week"),
        ("5-1 * * * *", "Bad minute"),
        ("*/0 * * * *", "Bad minute"),
        ("0 0 L * *", "expected five fields"),
        ("0 0 * * MON#2", "expected five fields"),
        ("0 0 30 2 *", "Bad day-of-month"),
        ("every 5 minutes", "schedules in words, such as 'every 5 minutes', aren't supported"),
        ("@daily", "schedules in words"),
        ("a b c d e", "expected five fields"),
    ],
)
def test_an_invalid_cron_expression_is_rejected(schedule: str, expected: str) -> None:
    with pytest.raises(CronError) as error:
        Cron(schedule, "UTC")

    assert repr(schedule) in str(error.value)
    assert expected in str(error.value)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "Europe", "../etc/passwd", "+02:00", "europe/berlin"])
def test_an_unknown_time_zone_is_rejected(zone: str) -> None:
    with pytest.raises(CronError, match=r"time zone: found '.*', expected a name of the tz database"):
        Cron("* * * * *", zone)


@pytest.mark.parametrize("zone", ["utc", "UTC", "Etc/UTC", "Europe/Berlin"])
def test_time_zones_are_accepted(zone: str) -> None:
    assert Cron("* * * * *", zone).next_after(datetime(2024, 1, 1, tzinfo=UTC))
