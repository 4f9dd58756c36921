"""A scheduler under test, with a manual clock and Google's client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.scheduler_v1.types import Job

from infra.emulators.errors import ApiError
from tests.support.clock import ManualClock

PARENT = "projects/p/locations/europe-west3"
NAME = f"{PARENT}/jobs/nightly"


@dataclass
class Local:
    """The scheduler under test.

    Attributes:
        published: (time, topic, data, attributes) of every attempt that reached the topic.
        attempts: times of all attempts.
        failures: errors of the next attempts, one each.
    """

    client: Any
    clock: ManualClock
    port: int = 0
    published: list[tuple[str, str, bytes, dict[str, str]]] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    async def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        self.attempts.append(f"{self.clock.now():%d %H:%M:%S}")
        if self.failures:
            raise self.failures.pop(0)
        self.published.append((f"{self.clock.now():%d %H:%M:%S}", topic, data, dict(attributes)))

    async def create(self, name: str = NAME, **changes: Any) -> Job:
        return await self.client.create_job(parent=PARENT, job=job(name, **changes))

    async def get(self, name: str = NAME) -> Job:
        return await self.client.get_job(name=name)


def job(name: str = NAME, **changes: Any) -> Job:
    """Return a job that fires each night at one."""
    given = {
        "name": name,
        "schedule": "0 1 * * *",
        "pubsub_target": {"topic_name": "projects/p/topics/requests", "data": b"{}", "attributes": {"a": "b"}},
    }
    return Job({key: value for key, value in {**given, **changes}.items() if value is not None})


def unavailable(count: int) -> list[Exception]:
    """Return errors like those of an unreachable topic."""
    return [ApiError(grpc.StatusCode.UNAVAILABLE, "the topic is unreachable") for _ in range(count)]
