"""Runs jobs when they are due, and retries failed attempts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from itertools import count
from typing import Protocol

from google.api_core import exceptions
from google.rpc import code_pb2

from infra.emulators.clock import Clock
from infra.emulators.scheduler.store import JobEntry

_log = logging.getLogger(__name__)


class Publish(Protocol):
    """A function that publishes a message, or raises an error of Google's clients."""

    def __call__(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> Awaitable[None]:
        """Publish a message and wait for the acknowledgement."""


class Runner:
    """Runs one task per enabled job, so that its scheduled executions never overlap, and one per manual run."""

    def __init__(self, publish: Publish, clock: Clock) -> None:
        self._publish = publish
        self._clock = clock

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

    def run(self, entry: JobEntry) -> None:
        """Execute a job now, even during another execution."""
        run = asyncio.get_running_loop().create_task(self._execute(entry))
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
            started = max(entry.due, self._clock.now())
            entry.due = entry.cron.next_after(started)
            await self._execute(entry)

    async def _execute(self, entry: JobEntry) -> None:
        """Attempt to publish, with the retries of the job, until the next time of the schedule at most."""
        first = self._clock.now()
        following = entry.cron.next_after(first)
        for retry in count(1):
            if await self._attempt(entry):
                return
            next_attempt = entry.retries.next_attempt(retry, first, self._clock.now(), following)
            if next_attempt is None:
                _log.warning("%s: failed after %d attempts", entry.job.name, retry)
                return
            entry.retry_at = next_attempt
            await self._clock.sleep_until(next_attempt)
            entry.retry_at = None

    async def _attempt(self, entry: JobEntry) -> bool:
        """Publish once, store the status in the job, and return whether it succeeded."""
        job = entry.job
        job.last_attempt_time.FromDatetime(self._clock.now())
        job.ClearField("status")  # of the previous attempt
        code, text = await self._result(
            job.pubsub_target.topic_name, job.pubsub_target.data, dict(job.pubsub_target.attributes)
        )
        job.status.code, job.status.message = code, text
        job.status.SetInParent()
        _log.info("%s: %s %s", job.name, code_pb2.Code.Name(code), text)
        return code == int(code_pb2.OK)

    async def _result(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> tuple[int, str]:
        try:
            await self._publish(topic, data, attributes)
        except exceptions.GoogleAPICallError as error:
            code = error.grpc_status_code
            return (code.value[0] if code else code_pb2.UNKNOWN), str(error.message)
        except Exception as error:  # no error may end the job's task
            _log.exception("publishing to %s", topic)
            return code_pb2.INTERNAL, repr(error)
        return code_pb2.OK, ""
