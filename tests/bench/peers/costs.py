"""The monthly cost of other ways from a topic to Bigtable, for messages of one event.

The items are those of a bill without Bigtable itself, from the prices of `sluice cost`.
"""

from __future__ import annotations

from infra.deploy.cost.estimate import CostItem, Workload
from infra.deploy.cost.price_table import Prices
from shared.errors import SettingsError

_GIB, _TIB = 2**30, 2**40


def bigtable_subscription(prices: Prices, work: Workload) -> list[CostItem]:
    """Return the items of a subscription that writes each message to Bigtable as it is.

    Raises:
        SettingsError: the table has no price of export subscriptions.
    """
    per_tib = prices.pubsub.per_tib_export
    if per_tib is None:
        raise SettingsError(f"pubsub.per_tib_export: found none, expected a price from {prices.pubsub.source}")
    return [published(prices, work), _delivered(prices, work, per_tib, "by an export subscription")]


def streaming_job(prices: Prices, work: Workload, workers: int) -> list[CostItem]:
    """Return the items of a streaming job on Dataflow that pulls the messages; its workers always run.

    Raises:
        SettingsError: the table has no prices of Dataflow.
    """
    dataflow = prices.dataflow
    if dataflow is None:
        raise SettingsError(
            "dataflow: found no such table, expected the prices of https://cloud.google.com/dataflow/pricing"
        )
    hours = workers * prices.assumptions.days * 24
    worker = (
        dataflow.worker_vcpus * dataflow.per_vcpu_hour
        + dataflow.worker_gib * dataflow.per_gib_hour
        + dataflow.worker_disk_gib * dataflow.per_disk_gib_hour
    )
    gib = _bytes(prices, work) / _GIB
    return [
        published(prices, work),
        _delivered(prices, work, prices.pubsub.per_tib, "by pull"),
        CostItem("Dataflow: workers", hours * worker, f"{workers}, always on: {hours:,.1f} hours"),
        CostItem("Dataflow: Streaming Engine", gib * dataflow.per_gib_streamed, f"{gib:,.1f} GiB"),
    ]


def published(prices: Prices, work: Workload) -> CostItem:
    """Return the item of publishing, in requests of many messages, which are billed by their size alone."""
    size = _bytes(prices, work)
    return CostItem("Pub/Sub: published", size / _TIB * prices.pubsub.per_tib, f"{size / _GIB:,.1f} GiB")


def _delivered(prices: Prices, work: Workload, per_tib: float, how: str) -> CostItem:
    size = _bytes(prices, work)
    return CostItem("Pub/Sub: delivered", size / _TIB * per_tib, f"{size / _GIB:,.1f} GiB {how}")


def _bytes(prices: Prices, work: Workload) -> float:
    """Return the bytes of a month's messages of one event, with their billed overhead."""
    return work.events_per_day * prices.assumptions.days * (work.bytes + prices.assumptions.message_bytes)
