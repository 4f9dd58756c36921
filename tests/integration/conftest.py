"""Fixtures of the integration tier; every test of it gets the marker `integration`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from infra.provision.pubsub import provision_pubsub
from shared.config import Settings
from tests.support.command_line import Sluice, command_line, environment
from tests.support.storage import Bucket, running_storage

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def sluice(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sluice:
    """Return a function that runs the command in this process, on a new instance."""
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("SLUICE_CONTRACT", raising=False)
    return command_line(monkeypatch, capsys)


@pytest.fixture
def topics(settings: Settings) -> Callable[[int], list[bytes]]:
    """Create the topics of the project of `settings`; return a function that pulls messages of `events`."""
    provision_pubsub(settings)

    def pull(count: int) -> list[bytes]:
        found: list[bytes] = []
        with grpc.insecure_channel(str(settings.pubsub_emulator)) as channel:
            subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
            name = f"projects/{settings.project_id}/subscriptions/events-ingest"
            while len(found) < count:
                response = subscriber.pull(subscription=name, max_messages=1000, timeout=30)
                found += [received.message.data for received in response.received_messages]
                ids = [received.ack_id for received in response.received_messages]
                subscriber.acknowledge(subscription=name, ack_ids=ids, timeout=10)
        return found

    return pull


def requests(settings: Settings, count: int) -> list[bytes]:
    """Return the requests published for `aggregate`, sorted."""
    found: list[bytes] = []
    with grpc.insecure_channel(str(settings.pubsub_emulator)) as channel:
        client = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        name = f"projects/{settings.project_id}/subscriptions/aggregate-run"
        while len(found) < count:
            found += [each.message.data for each in client.pull(subscription=name, max_messages=10).received_messages]
    return sorted(found)


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    """Run the emulator of Cloud Storage for the tests of a module; yield its address."""
    with running_storage() as url:
        yield url


@pytest.fixture
def bucket(storage: str) -> Iterator[Bucket]:
    """An empty bucket."""
    bucket = Bucket(storage)
    yield bucket
    bucket.close()
