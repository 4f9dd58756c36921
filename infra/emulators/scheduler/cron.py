"""When a cron line is due, in a time zone with its changes of the clock. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

# What Cloud Scheduler takes (https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules): five fields of
# numbers or names, lists, ranges, and steps through a range. The library would take more: seconds, L, #.
_VALUE = r"(?:\d{1,2}|[A-Za-z]{3})"
_TERM = rf"(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/\d{{1,2}})?"
_FIELD = re.compile(rf"{_TERM}(?:,{_TERM})*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

DEFAULT_ZONE = "Etc/UTC"


class CronError(ValueError):
    """A schedule or a time zone isn't one; the text says what was found and what was expected."""


class Cron:
    """A schedule in a time zone.

    Where clocks change it goes by Debian's cron: a job with a fixed time that is skipped runs when the gap is over, and
    with one that comes twice runs the first time; a job of every minute or every hour keeps its pace. Of its own
    scheduler Google says only that jobs may "run or not run unexpectedly" then, and advises UTC.
    """

    def __init__(self, schedule: str, time_zone: str) -> None:
        """Take a schedule apart.

        Raises:
            CronError: it isn't one, it is never due, or there is no such time zone.
        """
        self._schedule = _five_fields(schedule)
        self._zone = _zone(time_zone)

    def next_after(self, moment: datetime) -> datetime | None:
        """Return when it is due next after a moment, in UTC; None if it isn't within 50 years."""
        for due in CronSim(self._schedule, moment.astimezone(self._zone)):
            # In the hour that comes twice the library may begin with the first one again.
            if (found := due.astimezone(UTC)) > moment:
                return found
        return None


def _five_fields(schedule: str) -> str:
    fields = schedule.split()
    if len(fields) != 5 or not all(map(_FIELD.fullmatch, fields)):
        hint = ""
        if schedule.lower().startswith(("every", "@")) or re.search(r"[a-z]{4}", schedule.lower()):
            hint = "; schedules in words, such as 'every 5 minutes', aren't known here"
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
