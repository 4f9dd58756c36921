"""When a failed attempt is made again: the rules of RetryConfig. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#RetryConfig
MAX_RETRIES = 5
DEFAULT_MIN_BACKOFF = timedelta(seconds=5)
DEFAULT_MAX_BACKOFF = timedelta(hours=1)
DEFAULT_DOUBLINGS = 5


@dataclass(frozen=True, slots=True)
class Retries:
    """How a job's failed attempts are repeated.

    Attributes:
        count: how often; 0 never.
        longest: after the first attempt; with a count too, both have to be used up. Zero sets no limit.
        min_backoff: the first pause.
        max_backoff: the longest.
        doublings: how many times a pause is twice the one before; later ones grow by as much as the last doubled one.
    """

    count: int = 0
    longest: timedelta = timedelta()
    min_backoff: timedelta = DEFAULT_MIN_BACKOFF
    max_backoff: timedelta = DEFAULT_MAX_BACKOFF
    doublings: int = DEFAULT_DOUBLINGS

    def pause(self, retry: int) -> timedelta:
        """Return the pause before a retry, of which the first is number 1.

        With 10 s, 300 s and three doublings: 10, 20, 40, 80, 160, 240, 300, 300 s, as the API's reference has it.
        """
        # Nothing is gained by powers beyond the longest pause, and the numbers would grow without end.
        doubled = min(retry - 1, self.doublings, 64)
        pause = self.min_backoff.total_seconds() * 2**doubled * max(1, retry - self.doublings)
        return timedelta(seconds=min(pause, self.max_backoff.total_seconds()))

    def again(self, retry: int, first: datetime, now: datetime, next_firing: datetime | None) -> datetime | None:
        """Return when to try again after a failure; None if that was it.

        Args:
            retry: the number of the retry in question, from 1.
            first: when the execution was attempted first.
            now: when the last attempt failed.
            next_firing: of the schedule, which ends the retries of the one before.
        """
        if self.count == 0:
            return None
        due = now + self.pause(retry)
        used_up = retry > self.count and (not self.longest or due - first > self.longest)
        if used_up or (next_firing is not None and due >= next_firing):
            return None
        return due
