"""The jobs, in memory and in the database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import grpc

from infra.emulators.errors import ApiError
from infra.emulators.pages import page
from infra.emulators.protos.scheduler_pb2 import Job
from infra.emulators.scheduler.cron import Cron
from infra.emulators.scheduler.retries import Retries

_MAX_PAGE_SIZE = 500


@dataclass(eq=False, slots=True)
class JobEntry:
    """A job and its tasks.

    Attributes:
        job: the protobuf message.
        due: the next time of its schedule.
        retry_at: the time of the pending retry, if any.
        schedule_task: the task that follows the schedule.
        runs: the tasks of manual runs.
    """

    job: Any
    cron: Cron
    retries: Retries
    due: datetime | None = None
    retry_at: datetime | None = None
    schedule_task: asyncio.Task[None] | None = None
    runs: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def enabled(self) -> bool:
        """Whether the job follows its schedule."""
        return bool(self.job.state == Job.State.ENABLED)

    def view(self) -> Job:
        """Return a copy of the job for a response."""
        copy = Job()
        copy.CopyFrom(self.job)
        times = [moment for moment in (self.due, self.retry_at) if moment is not None]
        if times:
            copy.schedule_time.FromDatetime(min(times))
        return copy


class Store:
    """The jobs by their names; each change is in the database before its method returns."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._entries: dict[str, JobEntry] = {}
        self._database = database
        database.execute("CREATE TABLE IF NOT EXISTS scheduler_jobs (name TEXT PRIMARY KEY, job BLOB NOT NULL)")

    def stored(self) -> Iterator[Job]:
        """Yield the jobs of the database, which an earlier process may have stored."""
        for (data,) in self._database.execute("SELECT job FROM scheduler_jobs ORDER BY name").fetchall():
            yield Job.FromString(data)

    def restore(self, entry: JobEntry) -> None:
        """Add a job of the database."""
        self._entries[entry.job.name] = entry

    def save(self, entry: JobEntry) -> None:
        """Store the job as it is now, unless it was deleted; raises ApiError if the database can't be written."""
        name = entry.job.name
        if self._entries.get(name) is entry:
            self._write("INSERT OR REPLACE INTO scheduler_jobs VALUES (?, ?)", name, entry.job.SerializeToString())

    def __iter__(self) -> Iterator[JobEntry]:
        return iter(list(self._entries.values()))

    def add(self, entry: JobEntry) -> None:
        """Store a new job; raises ApiError with ALREADY_EXISTS if the name is taken."""
        name = entry.job.name
        if name in self._entries:
            raise ApiError(grpc.StatusCode.ALREADY_EXISTS, f"Job {name} already exists.")
        self._write("INSERT INTO scheduler_jobs VALUES (?, ?)", name, entry.job.SerializeToString())
        self._entries[name] = entry

    def get(self, name: str) -> JobEntry:
        """Return a job; raises ApiError with NOT_FOUND if it doesn't exist."""
        try:
            return self._entries[name]
        except KeyError:
            raise ApiError(grpc.StatusCode.NOT_FOUND, f"Job {name} not found.") from None

    def remove(self, name: str) -> JobEntry:
        """Delete a job and return it; raises ApiError with NOT_FOUND if it doesn't exist."""
        entry = self.get(name)
        self._write("DELETE FROM scheduler_jobs WHERE name = ?", name)
        del self._entries[name]
        return entry

    def page(self, parent: str, size: int, token: str) -> tuple[list[JobEntry], str]:
        """Return a page of the jobs of a location, ordered by name, and the token of the next page or ""."""
        jobs = (name for name in self._entries if name.startswith(f"{parent}/jobs/"))
        names, next_token = page(jobs, size, token, largest=_MAX_PAGE_SIZE)
        return [self._entries[name] for name in names], next_token

    def _write(self, statement: str, *parameters: Any) -> None:
        try:
            self._database.execute(statement, parameters)
        except sqlite3.Error as error:
            text = f"the database can't be written: {error}; nothing was stored"
            raise ApiError(grpc.StatusCode.UNAVAILABLE, text) from None
