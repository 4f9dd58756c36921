"""Row 13: dollars per million events from the topic to the store, computed from list prices."""

from __future__ import annotations

import math

import msgspec

from infra.deploy.cost import estimate, price_table
from infra.deploy.cost.estimate import CostItem, Workload
from infra.deploy.cost.price_table import Prices
from tests.bench.peers import costs
from tests.bench.results import Result
from tests.bench.servers import Servers

_RATES = (1, 100, 10_000)  # events per second
_EVENT_BYTES, _PACKED = 200, 100
# From docs/benchmarks.md: requests per second of A in row 1, and events per second of C in row 3, each on two cores.
_A_PER_SECOND, _C_PER_SECOND = 544, 4_903


def ingestion(_servers: Servers) -> Result:
    """Compute row 13: dollars per million events at three rates."""
    prices = price_table.without_free_tiers(price_table.load())
    by_hand = _with_cpu_of_a(prices)
    ours: dict[str, float] = {}
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    for rate in _RATES:
        work = Workload(rate * 86_400, _EVENT_BYTES, 1)
        packed = msgspec.structs.replace(work, batch_size=_PACKED)
        others = {
            "Dataflow": costs.streaming_job(prices, work, max(1, math.ceil(rate / _C_PER_SECOND))),
            "Bigtable subscription": costs.bigtable_subscription(prices, work),
            "A": estimate.ingestion(by_hand, work),
        }
        at = f"{rate:,}/s"
        ours[at] = _per_million(prices, work, estimate.ingestion(prices, packed))
        figures[f"this project, {at}"] = ours[at]
        figures[f"one event a message, {at}"] = _per_million(prices, work, estimate.ingestion(prices, work))
        for name, items in others.items():
            figures[f"{name}, {at}"] = _per_million(prices, work, items)
            ratios[f"{name}, {at}"] = ours[at] / figures[f"{name}, {at}"]
    highest = f"{_RATES[-1]:,}/s"
    del figures[f"this project, {highest}"]
    return Result(
        value=ours[highest],
        unit=f"$ per million events at {highest}",
        figures=figures,
        ratios=ratios,
        targets={},
        how="computed by `infra/deploy/cost/estimate.py` from `infra/deploy/cost/prices.toml`, the list prices of "
        f"{prices.region} without free tiers; nothing is measured on Google Cloud. Events of {_EVENT_BYTES} bytes, "
        f"from publishing to the write, {_PACKED} a message for this project and one for the others. Bigtable's nodes "
        "and storage are excluded, as all write the same events to it; aggregation and queries are excluded, as the "
        "others have none. Dataflow is the smallest streaming job with Streaming Engine: one worker of one CPU, and "
        f"one more for each {_C_PER_SECOND:,} events/s, the rate of C in row 3 on two cores. A Bigtable subscription "
        "checks and packs nothing, and is billed like those of BigQuery and Cloud Storage, since no price of its own "
        f"was published. A takes the CPU time of row 1, {_A_PER_SECOND} messages/s, under the same limits of "
        "concurrency",
    )


def _with_cpu_of_a(prices: Prices) -> Prices:
    """Return the prices with the CPU time of a message of A, whose event is included."""
    changed = msgspec.structs.replace(prices.assumptions, cpu_ms_message=1_000 / _A_PER_SECOND, cpu_ms_event=0)
    return msgspec.structs.replace(prices, assumptions=changed)


def _per_million(prices: Prices, work: Workload, items: list[CostItem]) -> float:
    return estimate.total(items) / (work.events_per_day * prices.assumptions.days) * 1e6
