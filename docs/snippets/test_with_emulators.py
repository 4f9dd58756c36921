"""A test of any project against the embedded emulators, with Google's own clients."""

from google.cloud.bigtable import Client, row_filters
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

pytest_plugins = ["infra.local.pytest_plugin"]


def test_a_message_is_delivered(google_cloud_environment: dict[str, str]) -> None:
    publisher, subscriber = PublisherClient(), SubscriberClient()
    topic = publisher.create_topic(name="projects/my-test/topics/orders")
    name = subscriber.subscription_path("my-test", "orders-all")
    subscriber.create_subscription(name=name, topic=topic.name)

    publisher.publish(topic.name, b"hello").result()

    [received] = subscriber.pull(subscription=name, max_messages=1).received_messages
    assert received.message.data == b"hello"


def test_a_cell_is_stored(google_cloud_environment: dict[str, str]) -> None:
    table = Client(project="my-test", admin=True).instance("any").table("orders")
    table.create(column_families={"f": None})

    row = table.direct_row(b"order-1")
    row.set_cell("f", b"state", b"paid")
    row.commit()

    stored = table.read_row(b"order-1", filter_=row_filters.CellsColumnLimitFilter(1))
    assert stored is not None
    assert stored.cell_value("f", b"state") == b"paid"
