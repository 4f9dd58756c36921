"""Cron expressions in a time zone with daylight saving time. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

# The syntax of Cloud Scheduler (https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules): five fields of
# numbers or names, lists, ranges and steps. The library also accepts seconds, L and #.
_VALUE = r"(?:\d{1,2}|[A-Za-z]{3})"
_TERM = rf"(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/\d{{1,2}})?"
_FIELD = re.compile(rf"{_TERM}(?:,{_TERM})*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

DEFAULT_ZONE = "Etc/UTC"


class CronError(ValueError):
    """A schedule or a time zone is invalid; the text says what was found and what was expected."""


class Cron:
    """A schedule in a time zone.

    Changes of the clock follow Debian's cron. A job at a skipped time runs at the end of the gap. A job at a repeated
    time runs the first time only. A job of every minute or every hour keeps its interval. Google only documents that
    jobs of Cloud Scheduler may "run or not run unexpectedly" then, and recommends UTC.
    """

    def __init__(self, schedule: str, time_zone: str) -> None:
        """Parse a schedule.

        Raises:
            CronError: the schedule is invalid or never due, or the time zone doesn't exist.
        """
        self._schedule = _five_fields(schedule)
        self._zone = _zone(time_zone)

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the next time after a moment, in UTC; None if there is none within 50 years."""
        for due in CronSim(self._schedule, moment.astimezone(self._zone)):
            # In a repeated hour, the library may start with the first occurrence again.
            if (following := due.astimezone(UTC)) > moment:
                return following
        return None


def _five_fields(schedule: str) -> str:
    fields = schedule.split()
    if len(fields) != 5 or not all(map(_FIELD.fullmatch, fields)):
        hint = ""
        if schedule.lower().startswith(("every", "@")) or re.search(r"[a-z]{4}", schedule.lower()):
            hint = "; schedules in words, such as 'every 5 minutes', aren't supported"
        raise CronError(
            f"schedule: found {schedule!r}, expected five fields: minute, hour, day of the month, month, day of the "
            f"week, such as '0 1 * * *'{hint}"
        )
    try:
        CronSim(schedule, _EPOCH)
    except CronSimError as error:
        raise CronError(f"schedule: found {schedule!r}: {error}") from None
    return schedule


def _zone(name: str) -> ZoneInfo:
    if name.lower() == "utc":
        return ZoneInfo("UTC")
    if name not in _names():
        raise CronError(f"time zone: found {name!r}, expected a name of the tz database, such as 'Europe/Berlin'")
    return ZoneInfo(name)


@cache
def _names() -> set[str]:
    return available_timezones()
