"""Expiration of inactive subscriptions."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1.types import StreamingPullRequest

from infra.emulators.database import open_database
from tests.support.clock import ManualClock
from tests.support.pubsub import NAME, NOON, Local, serving

DAY = Duration(seconds=86_400)
FIELDS: dict[str, Any] = {"message_retention_duration": DAY, "expiration_policy": {"ttl": DAY}}


async def _exists(local: Local) -> bool:
    """Return whether the subscription exists, without using it."""
    return NAME in [each.name async for each in await local.subscriber.list_subscriptions(project="projects/p")]


async def test_an_inactive_subscription_is_deleted_after_its_ttl(local: Local) -> None:
    await local.subscribe(**FIELDS)
    await local.clock.advance(hours=23)
    assert await _exists(local)
    await local.clock.advance(hours=1)
    assert not await _exists(local)
    with pytest.raises(exceptions.NotFound):
        await local.pull()


async def test_a_subscription_expires_after_31_days_by_default(local: Local) -> None:
    await local.subscribe()
    await local.clock.advance(days=30)
    assert await _exists(local)
    await local.clock.advance(days=1)
    assert not await _exists(local)


async def test_a_policy_without_a_ttl_never_expires(local: Local) -> None:
    await local.subscribe(expiration_policy={})
    await local.clock.advance(days=400)
    assert await _exists(local)


async def test_an_operation_is_activity(local: Local) -> None:
    await local.subscribe(**FIELDS)
    await local.clock.advance(hours=23)
    await local.pull()
    await local.clock.advance(hours=23)
    assert await _exists(local)
    await local.clock.advance(hours=1)
    assert not await _exists(local)


async def test_a_publish_is_no_activity(local: Local) -> None:
    await local.subscribe(**FIELDS)
    await local.clock.advance(hours=23)
    await local.publish("0")
    await local.clock.advance(hours=1)
    assert not await _exists(local)


async def test_a_stream_is_activity_until_its_end(local: Local) -> None:
    await local.subscribe(**FIELDS)
    end = asyncio.Event()

    async def requests() -> AsyncIterator[StreamingPullRequest]:
        yield StreamingPullRequest(subscription=NAME, stream_ack_deadline_seconds=60)
        await end.wait()

    await local.publish("0")
    call = await local.subscriber.streaming_pull(requests=requests())
    responses = call.__aiter__()
    [received] = (await anext(responses)).received_messages
    await local.acknowledge(received)
    await local.clock.advance(hours=40)
    end.set()
    assert [each async for each in responses] == []
    await local.clock.advance(hours=23)
    assert await _exists(local)
    await local.clock.advance(hours=1)
    assert not await _exists(local)


async def test_a_shorter_ttl_counts_from_the_update(local: Local) -> None:
    await local.subscribe(message_retention_duration=DAY)
    await local.clock.advance(hours=12)
    changes = {"name": NAME, "expiration_policy": {"ttl": DAY}}
    mask = {"paths": ["expiration_policy"]}
    await local.subscriber.update_subscription(request={"subscription": changes, "update_mask": mask})
    await local.clock.advance(hours=23)
    assert await _exists(local)
    await local.clock.advance(hours=1)
    assert not await _exists(local)


async def test_a_restart_is_activity_and_the_ttl_counts_from_it(tmp_path: Path) -> None:
    path, clock = tmp_path / "pubsub.sqlite", ManualClock(NOON)
    async with serving(path, clock) as local:
        await local.subscribe(**FIELDS)
    clock.skip(days=3)
    async with serving(path, clock) as local:
        assert await _exists(local)
        await clock.advance(days=1)
        assert not await _exists(local)
    async with serving(path, clock) as local:
        assert not await _exists(local)


async def test_a_subscription_expires_later_if_its_deletion_cant_be_stored() -> None:
    database: sqlite3.Connection = open_database()
    async with serving(database) as local:
        await local.subscribe(**FIELDS)
        database.execute("PRAGMA query_only = ON")
        await local.clock.advance(days=1)
        assert await _exists(local)
        database.execute("PRAGMA query_only = OFF")
        await local.clock.advance(days=1)
        assert not await _exists(local)
    database.close()
