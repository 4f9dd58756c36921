"""The jobs there are, in memory: by name, and page by page."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import grpc
from google.cloud.scheduler_v1.types import Job

from infra.emulators.scheduler.cron import Cron
from infra.emulators.scheduler.errors import Refusal, invalid
from infra.emulators.scheduler.retries import Retries

_MAX_PAGE_SIZE = 500


@dataclass(eq=False, slots=True)
class JobEntry:
    """A job and what is going on with it.

    Attributes:
        job: the plain protobuf message.
        due: when its schedule fires next.
        retry_at: when a failed attempt is made again, if one waits for that.
        keeper: what waits for its schedule.
        runs: executions that were asked for by hand.
    """

    job: Any
    cron: Cron
    retries: Retries
    due: datetime | None = None
    retry_at: datetime | None = None
    keeper: asyncio.Task[None] | None = None
    runs: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def enabled(self) -> bool:
        """Whether its schedule is followed."""
        return bool(self.job.state == Job.State.ENABLED)

    def view(self) -> Job:
        """Return the job as a caller sees it."""
        copy = Job.pb(Job())
        copy.CopyFrom(self.job)
        times = [moment for moment in (self.due, self.retry_at) if moment is not None]
        if times:
            copy.schedule_time.FromDatetime(min(times))
        return Job.wrap(copy)


class Store:
    """Jobs by their names."""

    def __init__(self) -> None:
        self._entries: dict[str, JobEntry] = {}

    def __iter__(self) -> Iterator[JobEntry]:
        return iter(list(self._entries.values()))

    def add(self, entry: JobEntry) -> None:
        """Keep a new job; Refusal with ALREADY_EXISTS if there is one of that name."""
        name = entry.job.name
        if name in self._entries:
            raise Refusal(grpc.StatusCode.ALREADY_EXISTS, f"Job {name} already exists.")
        self._entries[name] = entry

    def get(self, name: str) -> JobEntry:
        """Return a job; Refusal with NOT_FOUND if there is none."""
        try:
            return self._entries[name]
        except KeyError:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Job {name} not found.") from None

    def remove(self, name: str) -> JobEntry:
        """Forget a job and return it; Refusal with NOT_FOUND if there is none."""
        entry = self.get(name)
        del self._entries[name]
        return entry

    def page(self, parent: str, size: int, token: str) -> tuple[list[JobEntry], str]:
        """Return jobs of a place in the order of their names, and what to ask for the next ones with, "" at the end."""
        if size < 0:
            raise invalid(f"page_size: found {size}, expected 0 or more")
        last = _decode(token)
        names = sorted(name for name in self._entries if name.startswith(f"{parent}/jobs/") and name > last)
        page = names[: min(size or _MAX_PAGE_SIZE, _MAX_PAGE_SIZE)]
        more = len(names) > len(page)
        return [self._entries[name] for name in page], _encode(page[-1]) if more else ""


def _encode(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decode(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise invalid(f"page_token: found {token!r}, expected one of an earlier answer") from None
