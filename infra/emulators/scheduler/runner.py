"""Runs jobs when they are due, and retries failed attempts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from itertools import count
from typing import Protocol

from google.rpc import code_pb2

from infra.emulators.clock import Clock
from infra.emulators.errors import ApiError
from infra.emulators.scheduler.http_targets import HttpTargets
from infra.emulators.scheduler.store import JobEntry

_log = logging.getLogger(__name__)


class Publish(Protocol):
    """A function that publishes a message, or raises an ApiError."""

    def __call__(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> Awaitable[None]:
        """Publish a message and wait for the acknowledgement."""


class Runner:
    """Runs one task per enabled job, so that its scheduled executions never overlap, and one per manual run.

    Args:
        publish: publishes the messages of Pub/Sub targets.
        clock: the time of the schedules.
        save: stores a job after each attempt.
    """

    def __init__(self, publish: Publish, clock: Clock, save: Callable[[JobEntry], None]) -> None:
        self._publish = publish
        self._clock = clock
        self._save = save
        self._http = HttpTargets()

    def start(self, entry: JobEntry) -> None:
        """Start a job's schedule; cancels a pending retry."""
        self._cancel_schedule(entry)
        if entry.enabled:
            entry.due = entry.cron.next_after(self._clock.now())
            entry.schedule_task = asyncio.get_running_loop().create_task(self._follow_schedule(entry))

    def stop(self, entry: JobEntry) -> None:
        """Stop a job's schedule, its retries and its manual runs."""
        self._cancel_schedule(entry)
        for run in entry.runs:
            run.cancel()

    async def close(self) -> None:
        """Close the connections of HTTP targets."""
        await self._http.close()

    def run(self, entry: JobEntry) -> None:
        """Execute a job now, even during another execution."""
        run = asyncio.get_running_loop().create_task(self._execute(entry, self._clock.now()))
        entry.runs.add(run)
        run.add_done_callback(entry.runs.discard)

    def _cancel_schedule(self, entry: JobEntry) -> None:
        if entry.schedule_task is not None:
            entry.schedule_task.cancel()
        entry.schedule_task = entry.due = entry.retry_at = None

    async def _follow_schedule(self, entry: JobEntry) -> None:
        while entry.due is not None:
            await self._clock.sleep_until(entry.due)
            # One execution replaces all times that passed while the machine was suspended. Times that pass during this
            # execution lead to one more.
            due, started = entry.due, max(entry.due, self._clock.now())
            entry.due = entry.cron.next_after(started)
            await self._execute(entry, due)

    async def _execute(self, entry: JobEntry, due: datetime) -> None:
        """Attempt a job, with the retries of the job, until the next time of the schedule at most."""
        first = self._clock.now()
        following = entry.cron.next_after(first)
        for retry in count(1):
            if await self._attempt(entry, due):
                return
            next_attempt = entry.retries.next_attempt(retry, first, self._clock.now(), following)
            if next_attempt is None:
                _log.warning("%s: failed after %d attempts", entry.job.name, retry)
                return
            entry.retry_at = next_attempt
            await self._clock.sleep_until(next_attempt)
            entry.retry_at = None

    async def _attempt(self, entry: JobEntry, due: datetime) -> bool:
        """Publish or send the request once, store the status in the job, and return whether it succeeded."""
        job = entry.job
        job.last_attempt_time.FromDatetime(self._clock.now())
        job.ClearField("status")  # of the previous attempt
        code, text = await self._result(entry, due)
        job.status.code, job.status.message = code, text
        job.status.SetInParent()
        _log.info("%s: %s %s", job.name, code_pb2.Code.Name(code), text)
        try:
            self._save(entry)
        except ApiError as error:  # the job goes on; only its status is lost at a restart
            _log.error("%s: %s", job.name, error.text)
        return code == int(code_pb2.OK)

    async def _result(self, entry: JobEntry, due: datetime) -> tuple[int, str]:
        try:
            if entry.job.HasField("http_target"):
                await self._http.attempt(entry.job, due)
            else:
                target = entry.job.pubsub_target
                await self._publish(target.topic_name, target.data, dict(target.attributes))
        except ApiError as error:
            return int(error.code.value[0]), error.text
        except Exception as error:  # no error may end the job's task
            _log.exception("%s", entry.job.name)
            return code_pb2.INTERNAL, repr(error)
        return code_pb2.OK, ""
