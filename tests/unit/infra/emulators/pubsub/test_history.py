"""Seek, snapshots and retention of acknowledged messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.protobuf.duration_pb2 import Duration

from infra.emulators.database import open_database
from tests.support.pubsub import NAME, TOPIC, Local, serving

SNAPSHOT = "projects/p/snapshots/before"


async def _publish_each_minute(local: Local, *data: str) -> None:
    for each in data:
        await local.publish(each)
        await local.clock.advance(minutes=1)


async def _seek(local: Local, target: Any) -> None:
    kind = "snapshot" if isinstance(target, str) else "time"
    await local.subscriber.seek(request={"subscription": NAME, kind: target})


async def _acknowledge_all(local: Local) -> None:
    await local.acknowledge(*await local.take())


async def test_seek_to_a_time_brings_acknowledged_messages_again(local: Local) -> None:
    start = local.clock.now()
    await local.subscribe(retain_acked_messages=True)
    await _publish_each_minute(local, "0", "1", "2")
    await _acknowledge_all(local)
    await _seek(local, start + timedelta(minutes=1))
    assert await local.pull() == ["1", "2"]


async def test_seek_acknowledges_earlier_messages(local: Local) -> None:
    start = local.clock.now()
    await local.subscribe()
    await _publish_each_minute(local, "0", "1", "2")
    await local.take(limit=1)
    await _seek(local, start + timedelta(minutes=2))
    assert await local.pull() == ["2"]
    await local.clock.advance(minutes=1)
    assert await local.pull() == ["2"]


async def test_seek_brings_no_acknowledged_message_that_isnt_kept(local: Local) -> None:
    start = local.clock.now()
    await local.subscribe()
    await local.publish("0")
    await _acknowledge_all(local)
    await local.publish("1")
    await _seek(local, start)
    assert await local.pull() == ["1"]


async def test_seek_to_the_future_purges(local: Local) -> None:
    await local.subscribe(retain_acked_messages=True)
    await local.publish("0")
    await _seek(local, local.clock.now() + timedelta(minutes=2))
    await local.clock.advance(minutes=1)
    await local.publish("1")
    assert await local.pull() == []
    await local.clock.advance(minutes=2)
    await local.publish("2")
    assert await local.pull() == ["2"]


async def test_acknowledged_messages_are_kept_for_the_retention_of_the_subscription(local: Local) -> None:
    start = local.clock.now()
    await local.subscribe(retain_acked_messages=True, message_retention_duration=Duration(seconds=600))
    await local.publish("0")
    await local.clock.advance(minutes=6)
    await local.publish("1")
    await _acknowledge_all(local)
    await local.clock.advance(minutes=5)
    await _seek(local, start)
    assert await local.pull() == ["1"]


async def test_a_topic_with_retention_keeps_messages_from_before_a_subscription(local: Local) -> None:
    retention = Duration(seconds=3_600)
    await local.publisher.create_topic(request={"name": TOPIC, "message_retention_duration": retention})
    start = local.clock.now()
    await local.publish("0")
    await local.clock.advance(minutes=1)
    await local.subscribe()
    await local.publish("1")
    assert await local.pull() == ["1"]
    await _seek(local, start)
    assert await local.pull() == ["0", "1"]
    await local.clock.advance(hours=2)
    await _seek(local, start)
    assert await local.pull() == ["0", "1"]  # unacknowledged: the subscription keeps them


async def test_seek_to_a_snapshot_restores_what_was_unacknowledged(local: Local) -> None:
    await local.subscribe()
    await local.publish("0", "1", "2")
    (zero, one, _) = await local.take()
    await local.acknowledge(zero)
    created = await local.subscriber.create_snapshot(name=SNAPSHOT, subscription=NAME)
    assert created.topic == TOPIC
    assert created.expire_time == local.clock.now() + timedelta(days=7)
    await local.acknowledge(one)
    await local.publish("3")
    await _acknowledge_all(local)
    await _seek(local, SNAPSHOT)
    assert await local.pull() == ["1", "2", "3"]
    await local.subscriber.delete_snapshot(snapshot=SNAPSHOT)
    with pytest.raises(exceptions.NotFound):
        await _seek(local, SNAPSHOT)


async def test_another_subscription_may_seek_to_a_snapshot(local: Local) -> None:
    other = f"{NAME}-other"
    await local.subscribe()
    await local.publish("0")
    await local.subscriber.create_snapshot(name=SNAPSHOT, subscription=NAME)
    await local.subscribe(other)
    await local.subscriber.seek(request={"subscription": other, "snapshot": SNAPSHOT})
    assert await local.pull(other) == ["0"]
    await local.subscribe(f"{NAME}-third", topic="projects/p/topics/third")
    with pytest.raises(exceptions.FailedPrecondition, match="expected one of the subscription's topic"):
        await local.subscriber.seek(request={"subscription": f"{NAME}-third", "snapshot": SNAPSHOT})


async def test_snapshots_are_listed_updated_and_expire(local: Local) -> None:
    await local.subscribe()
    await local.publish("0")
    await local.clock.advance(hours=1)
    created = await local.subscriber.create_snapshot(name=SNAPSHOT, subscription=NAME)
    # A snapshot expires a week after its oldest message at the latest.
    assert created.expire_time == local.clock.now() + timedelta(days=7, hours=-1)
    request = {"snapshot": {"name": SNAPSHOT, "labels": {"a": "b"}}, "update_mask": {"paths": ["labels"]}}
    assert (await local.subscriber.update_snapshot(request=request)).labels == {"a": "b"}
    with pytest.raises(exceptions.AlreadyExists):
        await local.subscriber.create_snapshot(name=SNAPSHOT, subscription=NAME)
    listed = [each async for each in await local.subscriber.list_snapshots(project="projects/p")]
    assert listed == [await local.subscriber.get_snapshot(snapshot=SNAPSHOT)]
    assert [each async for each in await local.publisher.list_topic_snapshots(topic=TOPIC)] == [SNAPSHOT]
    await local.clock.advance(days=7)
    with pytest.raises(exceptions.NotFound):
        await local.subscriber.get_snapshot(snapshot=SNAPSHOT)


async def test_seek_needs_a_target(local: Local) -> None:
    await local.subscribe()
    with pytest.raises(exceptions.InvalidArgument, match="No target"):
        await local.subscriber.seek(request={"subscription": NAME})


async def test_the_database_keeps_nothing_that_nothing_needs() -> None:
    database = open_database()

    def rows() -> list[int]:
        tables = ("pubsub_messages", "pubsub_deliveries", "pubsub_snapshot_messages")
        return [database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]

    async with serving(database) as local:
        await local.publisher.create_topic(name=TOPIC)
        await local.publish("no subscription")
        assert rows() == [0, 0, 0]
        await local.subscribe()
        await local.subscribe(f"{NAME}-other")
        await local.publish("0", "1")
        await _acknowledge_all(local)
        assert rows() == [2, 2, 0]
        await local.acknowledge(*await local.take(f"{NAME}-other"), name=f"{NAME}-other")
        assert rows() == [0, 0, 0]
        await local.publish("2")
        await local.subscriber.create_snapshot(name=SNAPSHOT, subscription=NAME)
        await _acknowledge_all(local)
        await local.subscriber.delete_subscription(subscription=f"{NAME}-other")
        assert rows()[0] == 1
        await local.subscriber.delete_snapshot(snapshot=SNAPSHOT)
        assert rows() == [0, 0, 0]
    database.close()
