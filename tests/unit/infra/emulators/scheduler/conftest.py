"""A fixture of a scheduler in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import grpc
import pytest
from google.cloud.scheduler_v1 import CloudSchedulerAsyncClient
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcAsyncIOTransport

from infra.emulators.scheduler.server import serving
from tests.support.clock import ManualClock
from tests.support.scheduler import Local


@pytest.fixture
async def local() -> AsyncIterator[Local]:
    """A scheduler at noon on 1 January 2024."""
    local = Local(client=None, clock=ManualClock(datetime(2024, 1, 1, 12, tzinfo=UTC)))
    async with (
        serving(local.publish, local.clock) as local.port,
        grpc.aio.insecure_channel(f"127.0.0.1:{local.port}") as channel,
    ):
        local.client = CloudSchedulerAsyncClient(transport=CloudSchedulerGrpcAsyncIOTransport(channel=channel))
        yield local
