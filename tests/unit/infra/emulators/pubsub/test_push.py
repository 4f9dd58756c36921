"""Push delivery to an HTTP endpoint."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web
from google.protobuf.duration_pb2 import Duration

from infra.emulators.clock import SystemClock
from infra.emulators.database import open_database
from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.inspector import METHOD, SERVICE
from tests.support.clock import ManualClock
from tests.support.pubsub import DEAD_LETTERS, NAME, NOON, TOPIC, Local, serving


class Endpoint:
    """An HTTP server that records requests.

    Attributes:
        statuses: of the next responses, one each; 204 after them.
        held: requests wait while it is clear.
    """

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[bytes] = []
        self.headers: list[Any] = []
        self.statuses: list[int] = []
        self.held = asyncio.Event()
        self.held.set()
        self.in_flight = self.most_in_flight = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        try:
            self.bodies.append(await request.read())
            self.headers.append(request.headers)
            await self.held.wait()
            return web.Response(status=self.statuses.pop(0) if self.statuses else 204)
        finally:
            self.in_flight -= 1

    async def reached(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - the condition is arbitrary
                await asyncio.sleep(0.005)

    def data(self) -> list[str]:
        return [base64.b64decode(json.loads(body)["message"]["data"]).decode() for body in self.bodies]


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    application = web.Application()
    application.router.add_post("/push", endpoint.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/push"
    yield endpoint
    endpoint.held.set()
    await runner.cleanup()


async def test_a_message_is_posted_as_google_posts_it(local: Local, endpoint: Endpoint) -> None:
    await local.subscribe(push_config={"push_endpoint": endpoint.url})
    (number,) = await local.publish("ä", key="k", a="b")
    await endpoint.reached(lambda: len(endpoint.bodies) == 1)
    assert json.loads(endpoint.bodies[0]) == {
        "message": {
            "data": base64.b64encode("ä".encode()).decode(),
            "attributes": {"a": "b"},
            "messageId": number,
            "message_id": number,
            "publishTime": "2024-01-01T12:00:00Z",
            "publish_time": "2024-01-01T12:00:00Z",
            "orderingKey": "k",
        },
        "subscription": NAME,
    }
    assert endpoint.headers[0]["Content-Type"] == "application/json"


@pytest.mark.parametrize("write_metadata", [False, True])
async def test_an_unwrapped_message_is_the_body(local: Local, endpoint: Endpoint, write_metadata: bool) -> None:
    no_wrapper = {"write_metadata": write_metadata}
    await local.subscribe(push_config={"push_endpoint": endpoint.url, "no_wrapper": no_wrapper})
    (number,) = await local.publish("data", kind="x")
    await endpoint.reached(lambda: len(endpoint.bodies) == 1)
    assert endpoint.bodies == [b"data"]
    expected = [number, NAME, "2024-01-01T12:00:00Z", "x"] if write_metadata else [None] * 4
    names = ("x-goog-pubsub-message-id", "x-goog-pubsub-subscription-name", "x-goog-pubsub-publish-time", "kind")
    assert [endpoint.headers[0].get(name) for name in names] == expected


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_success_acknowledges(local: Local, endpoint: Endpoint, status: int) -> None:
    await local.subscribe(push_config={"push_endpoint": endpoint.url})
    endpoint.statuses = [status]
    await local.publish("a")
    await endpoint.reached(lambda: len(endpoint.bodies) == 1 and not endpoint.in_flight)
    await asyncio.sleep(0.02)
    await local.clock.advance(hours=1)
    assert endpoint.data() == ["a"]


@pytest.mark.parametrize("status", [203, 301, 400, 429, 500])
async def test_any_other_status_brings_the_message_again(local: Local, endpoint: Endpoint, status: int) -> None:
    await local.subscribe(push_config={"push_endpoint": endpoint.url})
    endpoint.statuses = [status, status]
    await local.publish("a")
    for count, pause in ((1, 0.1), (2, 0.2)):
        await endpoint.reached(lambda count=count: len(endpoint.bodies) == count and not endpoint.in_flight)
        await asyncio.sleep(0.02)
        assert len(endpoint.bodies) == count
        await local.clock.advance(seconds=pause + 0.01)
    await endpoint.reached(lambda: len(endpoint.bodies) == 3)


async def test_the_retry_policy_gives_the_backoff(local: Local, endpoint: Endpoint) -> None:
    retry_policy = {"minimum_backoff": Duration(seconds=10), "maximum_backoff": Duration(seconds=60)}
    await local.subscribe(push_config={"push_endpoint": endpoint.url}, retry_policy=retry_policy)
    endpoint.statuses = [500]
    await local.publish("a")
    await endpoint.reached(lambda: len(endpoint.bodies) == 1 and not endpoint.in_flight)
    await local.publish("b")  # other messages don't wait
    await endpoint.reached(lambda: endpoint.data() == ["a", "b"])
    await local.clock.advance(seconds=11)
    await endpoint.reached(lambda: endpoint.data() == ["a", "b", "a"])


async def test_attempts_are_counted_until_the_dead_letter_topic(local: Local, endpoint: Endpoint) -> None:
    await local.subscribe(f"{NAME}-dead", topic=DEAD_LETTERS)
    await local.subscribe(
        push_config={"push_endpoint": endpoint.url},
        dead_letter_policy={"dead_letter_topic": DEAD_LETTERS, "max_delivery_attempts": 5},
        retry_policy={"minimum_backoff": Duration(), "maximum_backoff": Duration()},
    )
    endpoint.statuses = [500] * 5
    await local.publish("a")
    await endpoint.reached(lambda: len(endpoint.bodies) == 5 and not endpoint.in_flight)
    assert [json.loads(body)["deliveryAttempt"] for body in endpoint.bodies] == [1, 2, 3, 4, 5]
    dead = await local.subscriber.pull(subscription=f"{NAME}-dead", max_messages=1)
    assert [each.message.data for each in dead.received_messages] == [b"a"]


async def test_many_requests_are_in_flight_after_successes(local: Local, endpoint: Endpoint) -> None:
    await local.subscribe(push_config={"push_endpoint": endpoint.url})
    await local.publish(*map(str, range(300)))
    await endpoint.reached(lambda: len(endpoint.bodies) == 300)
    endpoint.held.clear()
    await local.publish(*map(str, range(300)))
    await endpoint.reached(lambda: endpoint.in_flight >= 64)


async def test_failures_shrink_the_number_of_requests_in_flight(endpoint: Endpoint) -> None:
    async with serving(clock=SystemClock()) as local:
        retry_policy = {"minimum_backoff": Duration(), "maximum_backoff": Duration()}
        await local.subscribe(push_config={"push_endpoint": endpoint.url}, retry_policy=retry_policy)
        endpoint.statuses = [429] * 2_000
        await local.publish(*map(str, range(50)))
        await endpoint.reached(lambda: len(endpoint.statuses) < 1_500)
        endpoint.most_in_flight = 0
        await endpoint.reached(lambda: len(endpoint.statuses) < 1_400)
        assert endpoint.most_in_flight <= 2
        endpoint.statuses.clear()
        await endpoint.reached(lambda: set(endpoint.data()) == set(map(str, range(50))))


async def test_a_limit_of_one_gives_one_message_at_a_time(endpoint: Endpoint) -> None:
    async with serving(limits={NAME: 1}) as local:
        await local.subscribe(push_config={"push_endpoint": endpoint.url})
        await local.publish(*map(str, range(50)))
        await endpoint.reached(lambda: len(endpoint.bodies) == 50)
        assert endpoint.most_in_flight == 1


async def test_messages_of_one_key_are_posted_one_after_the_other(local: Local, endpoint: Endpoint) -> None:
    await local.subscribe(push_config={"push_endpoint": endpoint.url}, enable_message_ordering=True)
    for number in range(20):
        await local.publish(str(number), key="k")
    await endpoint.reached(lambda: len(endpoint.bodies) == 20)
    assert endpoint.most_in_flight == 1
    assert endpoint.data() == [str(number) for number in range(20)]


async def test_a_slow_endpoint_delays_no_other_subscription(local: Local, endpoint: Endpoint) -> None:
    await local.subscribe(push_config={"push_endpoint": endpoint.url})
    refusing = {"push_endpoint": "http://127.0.0.1:1/"}
    await local.subscribe(f"{NAME}-refusing", push_config=refusing)
    await local.subscribe(f"{NAME}-pull")
    endpoint.held.clear()
    await local.publish("a")
    await endpoint.reached(lambda: endpoint.in_flight == 1)
    assert await local.pull(f"{NAME}-pull") == ["a"]


async def test_a_changed_push_config_takes_effect(local: Local, endpoint: Endpoint) -> None:
    await local.subscribe()
    await local.publish("a")
    push_config = {"push_endpoint": endpoint.url}
    await local.subscriber.modify_push_config(subscription=NAME, push_config=push_config)
    await endpoint.reached(lambda: endpoint.data() == ["a"])
    await local.subscriber.modify_push_config(subscription=NAME, push_config={})
    await local.publish("b")
    assert await local.pull() == ["b"]
    assert endpoint.data() == ["a"]


async def test_the_ack_deadline_is_the_timeout(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.emulators.pubsub.resources.configs._ACK_DEADLINE", (1, 600))
    async with serving(clock=SystemClock()) as local:
        await local.subscribe(push_config={"push_endpoint": endpoint.url}, ack_deadline_seconds=1)
        endpoint.held.clear()
        await local.publish("a")
        await endpoint.reached(lambda: endpoint.data() == ["a", "a"])


async def test_a_message_in_flight_at_the_end_comes_again_after_the_start(endpoint: Endpoint) -> None:
    database = open_database()
    endpoint.held.clear()
    async with serving(database) as local:
        await local.subscribe(push_config={"push_endpoint": endpoint.url})
        await local.publish("a", topic=TOPIC)
        await endpoint.reached(lambda: endpoint.in_flight == 1)
    endpoint.held.set()
    async with serving(database):
        await endpoint.reached(lambda: endpoint.data() == ["a", "a"])
    database.close()


async def test_a_successful_push_is_activity_and_a_failed_one_is_none(local: Local, endpoint: Endpoint) -> None:
    day = Duration(seconds=86_400)
    fields = {"message_retention_duration": day, "expiration_policy": {"ttl": day}}
    await local.subscribe(push_config={"push_endpoint": endpoint.url}, **fields)
    await local.clock.advance(hours=20)
    await local.publish("0")
    await endpoint.reached(lambda: local.service.delivery_counts()[NAME].get("acknowledged") == 1)
    await local.clock.advance(hours=20)
    endpoint.statuses = [500] * 1000
    await local.publish("1")
    await endpoint.reached(lambda: local.service.delivery_counts()[NAME].get("failed") == 1)
    await local.clock.advance(hours=3)
    assert [each.name async for each in await local.subscriber.list_subscriptions(project="projects/p")] == [NAME]
    await local.clock.advance(hours=1)
    assert [each.name async for each in await local.subscriber.list_subscriptions(project="projects/p")] == []


async def test_a_forgotten_endpoint_gets_nothing_until_a_client_sets_one(endpoint: Endpoint, tmp_path: Path) -> None:
    path, other = tmp_path / "pubsub.sqlite", f"{NAME}-other"
    endpoint.statuses = [500] * 2
    async with serving(path, ManualClock(NOON)) as local:
        await local.subscribe(push_config={"push_endpoint": endpoint.url})
        await local.subscribe(other, push_config={"push_endpoint": endpoint.url})
        await local.publish("0")
        await endpoint.reached(lambda: len(endpoint.bodies) == 2)
    async with serving(path, ManualClock(NOON), forget_endpoints=[NAME.rsplit("/", 1)[1]]) as local:
        await endpoint.reached(lambda: len(endpoint.bodies) == 3)
        assert json.loads(endpoint.bodies[2])["subscription"] == other
        assert not (await local.subscriber.get_subscription(subscription=NAME)).push_config.push_endpoint
        push_config = {"push_endpoint": endpoint.url}
        await local.subscriber.modify_push_config(subscription=NAME, push_config=push_config)
        await endpoint.reached(lambda: len(endpoint.bodies) == 4)
        assert json.loads(endpoint.bodies[3])["subscription"] == NAME


async def _last_pushed(local: Local, name: str = NAME) -> list[str]:
    async with grpc.aio.insecure_channel(local.address) as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/{METHOD}",
            request_serializer=pb.GetSubscriptionRequest.SerializeToString,
            response_deserializer=pb.PullResponse.FromString,
        )
        response = await call(pb.GetSubscriptionRequest(subscription=name))
    return [pb.PubsubMessage.FromString(each.message).data.decode() for each in response.received_messages]


async def test_the_last_acknowledged_messages_can_be_inspected(local: Local, endpoint: Endpoint) -> None:
    """A failed push and a large message aren't among them, and an inspection takes no message away."""
    await local.subscribe(push_config={"push_endpoint": endpoint.url})
    assert await _last_pushed(local) == []
    numbers: list[str] = []
    for number in range(12):
        numbers.append(str(number))
        await local.publish(numbers[-1])
        await endpoint.reached(lambda: endpoint.data() == numbers)
    await local.publish("x" * 300_000)
    await endpoint.reached(lambda: local.service.delivery_counts()[NAME].get("acknowledged") == 13)
    endpoint.statuses = [500] * 1_000
    await local.publish("failed")
    await endpoint.reached(lambda: local.service.delivery_counts()[NAME].get("failed", 0) > 0)

    assert await _last_pushed(local) == [str(number) for number in range(11, 1, -1)]
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await _last_pushed(local, f"{NAME}-other")
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


async def test_counts_include_the_latency_and_what_is_not_acknowledged(local: Local, endpoint: Endpoint) -> None:
    await local.subscribe(push_config={"push_endpoint": endpoint.url})
    await local.subscribe(f"{NAME}-other")
    await local.subscribe(f"{NAME}-unused", topic=DEAD_LETTERS)
    endpoint.held.clear()
    await local.publish("a", "b")
    await endpoint.reached(lambda: endpoint.in_flight == 2)
    counts = local.service.delivery_counts()
    assert counts == {NAME: {"unacknowledged": 2}, f"{NAME}-other": {"unacknowledged": 2}}

    await local.clock.advance(seconds=4)
    endpoint.held.set()
    await endpoint.reached(lambda: local.service.delivery_counts()[NAME].get("acknowledged") == 2)

    expected = {"delivered": 2, "acknowledged": 2, "within_5000_ms": 2, "unacknowledged": 0}
    assert local.service.delivery_counts()[NAME] == expected
