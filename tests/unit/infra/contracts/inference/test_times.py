"""The notation of a column of times is found from its values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from infra.contracts.inference.times import notation_of

MOMENT = datetime(2024, 1, 15, 10, 30, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "unit", "format"),
    [
        (["2024-01-15T10:30:45Z", "2024-01-15 10:31:45"], None, None),
        (["2024-01-15T10:30:45.123456789+02:00"], None, None),
        ([1705314645, 1705314646], "s", None),
        ([1705314645.25], "s", None),
        ([1705314645000], "ms", None),
        ([1705314645000000], "us", None),
        ([1705314645000000000], "ns", None),
        ([45306.4379, 45307], "serial_days", None),
        (["2019-10-01 00:00:00 UTC"], None, None),
        (["Mon, 15 Jan 2024 10:30:45 +0100", "15 Jan 2024 10:30 GMT"], None, "rfc2822"),
        (["17/May/2015:10:05:03 +0000"], None, "%d/%b/%Y:%H:%M:%S %z"),
        (["2022-01-27T14:16:25,271+0100"], None, "%Y-%m-%dT%H:%M:%S,%f%z"),
        (["2022-01-27 14:16:25,271"], None, "%Y-%m-%d %H:%M:%S,%f"),
        (["2020-06-02 9:19:17", "2020-06-02 11:25:41"], None, "%Y-%m-%d %H:%M:%S"),
        (["2020-06-02 09:19"], None, "%Y-%m-%d %H:%M"),
        (["2020-06-02", "2020-06-30"], None, "%Y-%m-%d"),
        (["16.01.2018", "31.12.2017"], None, "%d.%m.%Y"),
        (["16.01.18 23:59"], None, "%d.%m.%y %H:%M"),
        (["12/31/2010 8:26"], None, "%m/%d/%Y %H:%M"),
        (["12/31/2010 08:26:00 PM"], None, "%m/%d/%Y %I:%M:%S %p"),
        (["Mon Sep 24 03:35:21 +0000 2012"], None, "%a %b %d %H:%M:%S %z %Y"),
        (["Sun Dec 04 04:47:44 2005"], None, "%a %b %d %H:%M:%S %Y"),
        (["03 Jan 2019 10:00:00"], None, "%d %b %Y %H:%M:%S"),
        (["20240115T103045Z"], None, "%Y%m%dT%H%M%SZ"),
    ],
)
def test_a_notation_is_found(values: list[Any], unit: str | None, format: str | None) -> None:
    notation = notation_of(values, named_as_time=True)

    assert notation is not None
    assert (notation.unit, notation.format, notation.share) == (unit, format, 1.0)


@pytest.mark.parametrize("values", [["a", "b"], ["2024-01-15", "soon"], [5, 6], [True], ["12"], [{}], []])
def test_other_values_are_no_times(values: list[Any]) -> None:
    assert notation_of(values, named_as_time=True) is None


def test_numbers_are_times_only_in_a_column_named_as_time() -> None:
    assert notation_of([1705314645], named_as_time=False) is None
    assert notation_of(["20240115"], named_as_time=False) is None
    assert notation_of(["2024-01-15"], named_as_time=False) is not None


def test_a_few_broken_values_are_allowed_on_request() -> None:
    values = ["2024-01-15T10:30:45Z"] * 99 + ["broken"]

    assert notation_of(values, named_as_time=True) is None
    notation = notation_of(values, named_as_time=True, least_share=0.95)
    assert notation is not None
    assert (notation.share, notation.times[0], notation.times[-1]) == (0.99, MOMENT, None)


def test_the_order_of_the_log_decides_between_day_and_month() -> None:
    notation = notation_of(["01/02/2024", "02/02/2024", "03/02/2024", "01/03/2024"], named_as_time=True)
    american = notation_of(["02/01/2024", "02/02/2024", "02/03/2024", "03/01/2024"], named_as_time=True)

    assert notation is not None
    assert (notation.format, notation.ambiguous) == ("%d/%m/%Y", "%m/%d/%Y")
    assert american is not None
    assert (american.format, american.ambiguous) == ("%m/%d/%Y", "%d/%m/%Y")


def test_a_day_above_twelve_leaves_no_doubt() -> None:
    notation = notation_of(["01/02/2024", "13/02/2024"], named_as_time=True)

    assert notation is not None
    assert (notation.format, notation.ambiguous) == ("%d/%m/%Y", None)


def test_times_with_seconds_are_exact() -> None:
    appointments = notation_of(["2024-01-15T10:30:00Z", "2024-01-15T11:00:00Z"], named_as_time=True)
    events = notation_of(["2024-01-15T10:30:01Z", "2024-01-15T10:29:00Z"], named_as_time=True)

    assert appointments is not None
    assert (appointments.exact, appointments.ordered) == (False, 1.0)
    assert events is not None
    assert (events.exact, events.ordered) == (True, 0.0)
