"""The cost estimate, checked by hand with round prices."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from infra.deploy import cost
from infra.deploy.cost import (
    Assumptions,
    BigtablePrices,
    LoggingPrices,
    Prices,
    PubsubPrices,
    RunPrices,
    SchedulerPrices,
    Workload,
)
from shared.errors import SettingsError

ROUND = Prices(
    date(2024, 1, 15),
    "somewhere",
    PubsubPrices("", per_tib=1024, free_gib=0, least_bytes=1000),
    RunPrices(
        "",
        per_million_requests=1,
        per_vcpu_second=0.01,
        per_gib_second=0.001,
        free_requests=0,
        free_vcpu_seconds=0,
        free_gib_seconds=0,
        least_seconds=0.1,
    ),
    BigtablePrices("", per_node_hour=1, per_gib_month=2),
    SchedulerPrices("", per_job=5, free_jobs=0),
    LoggingPrices("", per_gib=3, free_gib=0),
    Assumptions(
        days=30,
        cpu_ms_message=1,
        cpu_ms_event=0.5,
        utilisation=0.5,
        message_bytes=101,
        stored_overhead=24,
        days_stored=64,
        peak=2,
        writes_per_node=100,
        node_load=0.5,
        gib_per_node=100,
        aggregate_events=1000,
        log_bytes_line=1024,
        log_lines_hour=10,
    ),
)


def dollars(work: Workload, prices: Prices = ROUND) -> dict[str, float]:
    return {item.name: item.dollars for item in cost.month(prices, work)}


def test_pubsub_bills_the_bytes_of_publishing_and_of_delivery() -> None:
    # 100 events of 199 bytes and 99 newlines are 19,999 bytes; with 101 bytes of overhead 20,100.
    # 2^20 * 100 events a day, 30 days: 31,457,280 messages * 20,100 * 2 = 1,177.734375 GiB, a dollar each.
    work = Workload(2**20 * 100, 199, 100)

    assert cost.message_bytes(ROUND, work) == 20_100
    assert dollars(work)["Pub/Sub"] == pytest.approx(1_177.734375)


def test_pubsub_bills_a_small_message_as_a_thousand_bytes() -> None:
    assert cost.message_bytes(ROUND, Workload(1, 200, 1)) == 1000
    assert cost.message_bytes(ROUND, Workload(1, 900, 1)) == 1001


def test_sparse_messages_are_billed_the_minimum_time_each() -> None:
    # 1,000 messages a day are 30,000 a month, of 0.1 s each: 3,000 s. Each needs only 1.5 ms of CPU.
    work = Workload(1_000, 200, 1, memory_gib=0.5, aggregate_memory_gib=2)
    parts = dollars(work)

    assert cost.busy_seconds(ROUND, work, 30_000) == pytest.approx(3_000)
    # 30,000 events are aggregated in 30 s.
    assert parts["functions: CPU"] == pytest.approx(3_030 * 0.01)
    assert parts["functions: memory"] == pytest.approx((3_000 * 0.5 + 30 * 2) * 0.001)
    assert parts["functions: invocations"] == pytest.approx(30_030 / 1e6)


def test_one_instance_is_billed_a_month_at_most() -> None:
    # 30 million messages of 0.1 s would be 3,000,000 s; a month has 2,592,000 s, more than their CPU time of 90,000 s.
    assert cost.busy_seconds(ROUND, Workload(1e6, 200, 1), 30e6) == pytest.approx(2_592_000)


def test_several_instances_are_billed_by_cpu_time() -> None:
    # 3,000 million messages of 1.5 ms are 4,500,000 s of CPU, and 9,000,000 s of instances at half load.
    assert cost.busy_seconds(ROUND, Workload(1e8, 200, 1), 3e9) == pytest.approx(9_000_000)


@pytest.mark.parametrize(
    ("events_per_day", "size", "expected"),
    [
        (86_400, 1000, 1),  # a peak load of two per second
        (86_400 * 25, 100, 1),  # the target load of a node is 50 per second: 100 * 0.5
        (86_400 * 26, 100, 2),
        (2**20 * 25 / 64, 2**11 - 24, 1),  # 2 KiB * 25 Mi: 50 GiB, the target size of a node
        (2**20 * 30 / 64, 2**11 - 24, 2),
    ],
)
def test_nodes_follow_the_peak_load_or_the_storage(events_per_day: float, size: int, expected: int) -> None:
    work = Workload(events_per_day, size, 100)

    assert cost.nodes(ROUND, work) == expected
    assert dollars(work)["Bigtable: nodes"] == expected * 720


def test_storage_includes_all_retained_events() -> None:
    # 2^20 events a day for 64 days, 1,000 bytes plus 24 bytes of overhead: 64 GiB.
    assert dollars(Workload(2**20, 1000, 100))["Bigtable: storage"] == pytest.approx(128)
    assert dollars(Workload(2**20, 1000, 100), cost.with_days_stored(ROUND, 32))["Bigtable: storage"] == pytest.approx(
        64
    )


def test_log_lines_are_bounded_by_messages_and_by_instances() -> None:
    # 10 lines an hour: 7,200 a month of 1 KiB.
    assert dollars(Workload(1e6, 200, 1))["Logging"] == pytest.approx(7_200 / 2**20 * 3)
    assert dollars(Workload(10, 200, 1))["Logging"] == pytest.approx(300 / 2**20 * 3)


def test_free_tiers_are_deducted_down_to_zero() -> None:
    prices = cost.load()

    parts = {part.name: part.dollars for part in cost.month(prices, Workload(1_000, 250, 100))}

    assert {name for name, part in parts.items() if part > 0.01} == {"Bigtable: nodes"}
    assert min(parts.values()) >= 0
    assert parts["Bigtable: nodes"] == pytest.approx(474.825)


def test_batching_saves_most_for_small_events() -> None:
    prices = cost.load()
    saved = [
        1
        - cost.total(cost.month(prices, Workload(1e8, size, 100)))
        / cost.total(cost.month(prices, Workload(1e8, size, 1)))
        for size in (200, 1_000, 4_000)
    ]

    assert saved == sorted(saved, reverse=True)
    assert saved[0] > 0.5


def test_every_price_has_a_source() -> None:
    prices = cost.load()

    for part in (prices.pubsub, prices.run, prices.bigtable, prices.scheduler, prices.logging):
        assert part.source.startswith("https://cloud.google.com/")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("per_tib = 40.0", 'per_tib = "dear"'), "Expected `float`, got `str` - at `$.pubsub.per_tib`"),
        (("per_tib = 40.0", ""), "missing required field `per_tib`"),
        (("per_tib = 40.0", "per_tib = 40.0\nper_gib = 1"), "unknown field `per_gib`"),
        (("[pubsub]", "[pubsub"), "prices.toml"),
    ],
)
def test_an_invalid_table_is_rejected_with_its_key(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(cost.PRICES.read_text().replace(*change))

    with pytest.raises(SettingsError, match=r"mine\.toml") as raised:
        cost.load(file)

    assert expected in str(raised.value)
