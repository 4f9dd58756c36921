"""Types of option values: days, weeks, months, times and intervals."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click
import msgspec


class Day(click.ParamType[date]):
    """A day in UTC."""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return a day from a date, `today` or `yesterday`."""
        if isinstance(value, date):
            return value
        today = datetime.now(UTC).date()
        if value in ("today", "yesterday"):
            return today if value == "today" else date.fromordinal(today.toordinal() - 1)
        try:
            return msgspec.convert(value, date)
        except msgspec.ValidationError:
            self.fail(f"found {value!r}, expected a day such as 2024-01-15, today or yesterday", param, ctx)


class Week(click.ParamType[tuple[date, date]]):
    """An ISO week."""

    name = "WEEK"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[date, date]:
        """Return the first and the last day of a week such as 2024-W03."""
        try:
            monday = datetime.strptime(f"{value}-1", "%G-W%V-%u").date()
        except ValueError:
            self.fail(f"found {value!r}, expected a week such as 2024-W03", param, ctx)
        return monday, monday + timedelta(days=6)


class Month(click.ParamType[tuple[date, date]]):
    """A month."""

    name = "MONTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[date, date]:
        """Return the first and the last day of a month such as 2024-01."""
        try:
            first = datetime.strptime(value, "%Y-%m").date()
        except ValueError:
            self.fail(f"found {value!r}, expected a month such as 2024-01", param, ctx)
        return first, first.replace(day=monthrange(first.year, first.month)[1])


class Interval(click.ParamType[int]):
    """Minutes between two runs of a job; 0 for no runs."""

    name = "MINUTES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return an interval that divides the day, or 0."""
        from infra.provision.resources import INTERVALS

        if str(value) not in map(str, (0, *INTERVALS)):
            self.fail(f"found {value!r}, expected one of {', '.join(map(str, INTERVALS))}, or 0", param, ctx)
        return int(value)


class Moment(click.ParamType[datetime]):
    """A day or a time."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time of a date or an RFC 3339 time; the default time zone is UTC."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"found {value!r}, expected a time such as 2024-01-15 or 2024-01-15T10:30:00Z", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
