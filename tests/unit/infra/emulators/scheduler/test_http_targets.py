"""Jobs with HTTP targets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from google.api_core import exceptions
from google.cloud.scheduler_v1.types import HttpMethod, HttpTarget
from google.rpc import code_pb2

from tests.support.scheduler import Local

NIGHT = datetime(2024, 1, 2, 1, tzinfo=UTC)


class Endpoint:
    """An HTTP server that records requests.

    Attributes:
        requests: (method, path, headers, body) of each.
        statuses: of the next responses, one each; 200 after them.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, str, Any, bytes]] = []
        self.statuses: list[int] = []
        self.delay = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path_qs, request.headers, await request.read()))
        await asyncio.sleep(self.delay)
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", endpoint.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield endpoint
    await runner.cleanup()


async def _create(local: Local, uri: str, **fields: Any) -> Any:
    changes = {name: fields.pop(name) for name in ("retry_config", "attempt_deadline") if name in fields}
    return await local.create(pubsub_target=None, http_target={"uri": uri, **fields}, **changes)


async def test_a_job_sends_its_request_when_it_is_due(local: Local, endpoint: Endpoint) -> None:
    headers = {"A": "b", "X-CloudScheduler": "no", "Host": "example.org"}
    await _create(local, f"{endpoint.url}/a?b=c", headers=headers, body=b"data")
    await local.clock.advance(hours=14)
    ((method, path, received, body),) = endpoint.requests
    assert (method, path, body) == ("POST", "/a?b=c", b"data")
    assert {name: received[name] for name in ("A", "Content-Type", "User-Agent")} == {
        "A": "b",
        "Content-Type": "application/octet-stream",
        "User-Agent": "Google-Cloud-Scheduler",
    }
    names = ("X-CloudScheduler", "X-CloudScheduler-JobName", "X-CloudScheduler-ScheduleTime")
    assert [received[name] for name in names] == ["true", "nightly", "2024-01-02T01:00:00Z"]
    found = await local.get()
    assert (found.status.code, found.last_attempt_time) == (code_pb2.OK, NIGHT)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_the_method_of_the_job_is_used(local: Local, endpoint: Endpoint, method: str) -> None:
    await _create(local, endpoint.url, http_method=HttpMethod[method])
    await local.clock.advance(hours=14)
    assert [request[0] for request in endpoint.requests] == [method]


async def test_a_failure_is_retried(local: Local, endpoint: Endpoint) -> None:
    endpoint.statuses = [503, 429]
    retry_config = {"retry_count": 3, "min_backoff_duration": timedelta(seconds=10)}
    await _create(local, endpoint.url, retry_config=retry_config)
    await local.clock.advance(hours=13)
    found = await local.get()
    assert found.status.code == code_pb2.UNAVAILABLE
    assert "found HTTP status 503, expected 200 to 299" in found.status.message
    await local.clock.advance(seconds=10)
    assert (await local.get()).status.code == code_pb2.RESOURCE_EXHAUSTED
    await local.clock.advance(seconds=20)
    assert (await local.get()).status.code == code_pb2.OK
    assert len(endpoint.requests) == 3


async def test_an_unreachable_endpoint_is_unavailable(local: Local) -> None:
    await _create(local, "http://127.0.0.1:1/")
    await local.clock.advance(hours=14)
    assert (await local.get()).status.code == code_pb2.UNAVAILABLE


async def test_an_attempt_ends_with_its_deadline(
    local: Local, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    least = (timedelta(milliseconds=10), timedelta(minutes=30))
    monkeypatch.setattr("infra.emulators.scheduler.jobs._ATTEMPT_DEADLINE", least)
    endpoint.delay = 0.3
    await _create(local, endpoint.url, attempt_deadline=timedelta(milliseconds=50))
    await local.clock.advance(hours=14)
    assert (await local.get()).status.code == code_pb2.DEADLINE_EXCEEDED


async def test_tokens_and_defaults_are_kept(local: Local) -> None:
    token = {"service_account_email": "a@b.c", "audience": "d"}
    created = await _create(local, "https://example.org", oidc_token=token)
    assert created.http_target == HttpTarget(uri="https://example.org", http_method=HttpMethod.POST, oidc_token=token)
    assert created.attempt_deadline == timedelta(minutes=3)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"uri": "ftp://a"}, "http_target.uri: found 'ftp://a'"),
        ({"uri": "http://a", "http_method": HttpMethod.GET, "body": b"x"}, "found a body for GET"),
        ({"uri": "http://a", "headers": {"a": "b" * 81_920}}, "found 81921 bytes, expected 81920"),
        ({"uri": "http://a", "attempt_deadline": timedelta(seconds=14)}, "attempt_deadline: found 0:00:14"),
        ({"uri": "http://a", "attempt_deadline": timedelta(minutes=31)}, "attempt_deadline: found 0:31:00"),
    ],
)
async def test_an_invalid_target_is_refused(local: Local, fields: dict[str, Any], error: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=error):
        await _create(local, **fields)
