"""The costs of the alternatives of row 13, checked by hand with round prices."""

from __future__ import annotations

import msgspec
import pytest

from infra.deploy.cost import estimate, price_table
from infra.deploy.cost.estimate import Workload
from infra.deploy.cost.price_table import DataflowPrices, Prices
from shared.errors import SettingsError
from tests.bench.peers import costs

LIST = price_table.load()
# A message has 1,024 bytes, and a month of 30 days 3 * 2^20 of them: 3 GiB.
WORK = Workload(2**20 / 10, 1_024 - 24, 1)


@pytest.fixture
def prices() -> Prices:
    replace = msgspec.structs.replace
    return replace(
        LIST,
        pubsub=replace(LIST.pubsub, per_tib=1_024, per_tib_export=2_048),
        assumptions=replace(LIST.assumptions, days=30, message_bytes=24),
        dataflow=DataflowPrices(
            "",
            LIST.date,
            per_vcpu_hour=0.1,
            per_gib_hour=0.01,
            per_disk_gib_hour=0.001,
            per_gib_streamed=5,
            worker_vcpus=1,
            worker_gib=4,
            worker_disk_gib=30,
        ),
    )


def test_a_bigtable_subscription_is_billed_for_publishing_and_for_export(prices: Prices) -> None:
    assert [item.dollars for item in costs.bigtable_subscription(prices, WORK)] == pytest.approx([3, 6])


def test_a_streaming_job_is_billed_for_its_workers_whatever_the_load(prices: Prices) -> None:
    # A worker costs 0.1 + 0.04 + 0.03 an hour, and 720 hours.
    items = costs.streaming_job(prices, WORK, 2)
    idle = costs.streaming_job(prices, msgspec.structs.replace(WORK, events_per_day=0), 2)

    assert [item.dollars for item in items] == pytest.approx([3, 3, 2 * 720 * 0.17, 15])
    assert estimate.total(idle) == pytest.approx(2 * 720 * 0.17)


def test_a_table_without_the_prices_of_an_alternative_is_refused(prices: Prices) -> None:
    pubsub = msgspec.structs.replace(prices.pubsub, per_tib_export=None)

    with pytest.raises(SettingsError, match=r"pubsub\.per_tib_export: found none, expected a price"):
        costs.bigtable_subscription(msgspec.structs.replace(prices, pubsub=pubsub), WORK)
    with pytest.raises(SettingsError, match="dataflow: found no such table"):
        costs.streaming_job(msgspec.structs.replace(prices, dataflow=None), WORK, 1)
