"""Retries of failed attempts, by the rules of RetryConfig. Pure."""

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
    """The retry configuration of a job.

    Attributes:
        max_retries: the number of retries; 0 means none.
        max_duration: the time limit since the first attempt; retries end when both limits are reached. Zero means none.
        min_backoff: the first backoff.
        max_backoff: the longest backoff.
        max_doublings: how often the backoff doubles; after that it grows linearly by the last doubled backoff.
    """

    max_retries: int = 0
    max_duration: timedelta = timedelta()
    min_backoff: timedelta = DEFAULT_MIN_BACKOFF
    max_backoff: timedelta = DEFAULT_MAX_BACKOFF
    max_doublings: int = DEFAULT_DOUBLINGS

    def backoff(self, retry: int) -> timedelta:
        """Return the backoff before a retry; the first retry is number 1.

        With 10 s, 300 s and three doublings: 10, 20, 40, 80, 160, 240, 300, 300 s, the example of the API reference.
        """
        # 64 doublings exceed every valid maximum; the bound keeps the power small.
        doublings = min(retry - 1, self.max_doublings, 64)
        backoff = self.min_backoff.total_seconds() * 2**doublings * max(1, retry - self.max_doublings)
        return timedelta(seconds=min(backoff, self.max_backoff.total_seconds()))

    def next_attempt(self, retry: int, first: datetime, now: datetime, next_firing: datetime | None) -> datetime | None:
        """Return the time of the next attempt after a failure; None if there is none.

        Args:
            retry: the number of the next retry, from 1.
            first: the time of the first attempt.
            now: the time of the failure.
            next_firing: the next time of the schedule; no retry happens at or after it.
        """
        if self.max_retries == 0:
            return None
        due = now + self.backoff(retry)
        exhausted = retry > self.max_retries and (not self.max_duration or due - first > self.max_duration)
        if exhausted or (next_firing is not None and due >= next_firing):
            return None
        return due
