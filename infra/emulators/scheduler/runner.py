"""Fires jobs when they are due, and again when that fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from itertools import count
from typing import Protocol

from google.api_core import exceptions
from google.rpc import code_pb2

from infra.emulators.scheduler.clock import Clock
from infra.emulators.scheduler.store import JobEntry

_log = logging.getLogger(__name__)


class Publish(Protocol):
    """Publishes a message, or raises what Google's clients raise."""

    def __call__(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> Awaitable[None]:
        """Return when the topic has the message."""


class Runner:
    """Keeps one task for each enabled job, so that a job's executions never overlap, and one for each run by hand."""

    def __init__(self, publish: Publish, clock: Clock) -> None:
        self._publish = publish
        self._clock = clock

    def start(self, entry: JobEntry) -> None:
        """Follow a job's schedule from now on; retries of the past are dropped."""
        self._end_keeper(entry)
        if entry.enabled:
            entry.due = entry.cron.next_after(self._clock.now())
            entry.keeper = asyncio.get_running_loop().create_task(self._keep(entry))

    def stop(self, entry: JobEntry) -> None:
        """Leave a job alone, also what was asked for by hand and waits for a retry."""
        self._end_keeper(entry)
        for run in entry.runs:
            run.cancel()

    def run(self, entry: JobEntry) -> None:
        """Execute a job now, even if it is being executed."""
        run = asyncio.get_running_loop().create_task(self._execute(entry))
        entry.runs.add(run)
        run.add_done_callback(entry.runs.discard)

    def _end_keeper(self, entry: JobEntry) -> None:
        if entry.keeper is not None:
            entry.keeper.cancel()
        entry.keeper = entry.due = entry.retry_at = None

    async def _keep(self, entry: JobEntry) -> None:
        while entry.due is not None:
            await self._clock.sleep_until(entry.due)
            # What came due while the machine slept is made good by one execution; what comes due during this one,
            # by the next.
            started = max(entry.due, self._clock.now())
            entry.due = entry.cron.next_after(started)
            await self._execute(entry)

    async def _execute(self, entry: JobEntry) -> None:
        """Attempt, and attempt again as the job's retries have it, until the next firing at most."""
        first = self._clock.now()
        following = entry.cron.next_after(first)
        for retry in count(1):
            if await self._attempt(entry):
                return
            again = entry.retries.again(retry, first, self._clock.now(), following)
            if again is None:
                _log.warning("%s: given up after %d attempts", entry.job.name, retry)
                return
            entry.retry_at = again
            await self._clock.sleep_until(again)
            entry.retry_at = None

    async def _attempt(self, entry: JobEntry) -> bool:
        """Publish once; returns whether that worked, and leaves the result in the job."""
        job = entry.job
        job.last_attempt_time.FromDatetime(self._clock.now())
        job.ClearField("status")  # the last attempt's is no longer that of the last attempt
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
        except Exception as error:  # whatever it is, the job has to go on
            _log.exception("publishing to %s", topic)
            return code_pb2.INTERNAL, repr(error)
        return code_pb2.OK, ""
