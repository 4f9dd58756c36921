"""The cost estimate, checked by hand with round prices."""

from __future__ import annotations

from datetime import date
from typing import cast

import msgspec
import pytest

from infra.deploy.cost import estimate, price_table
from infra.deploy.cost.estimate import Workload
from infra.deploy.cost.price_table import (
    Assumptions,
    BigtablePrices,
    Edition,
    LoggingPrices,
    Prices,
    PubsubPrices,
    RunPrices,
    SchedulerPrices,
    StoragePrices,
)
from shared.errors import SettingsError

DAY = date(2024, 1, 15)
ROUND = Prices(
    DAY,
    "somewhere",
    PubsubPrices("", DAY, per_tib=1024, free_gib=0, least_bytes=1000, per_gib_month=4, free_days=1),
    RunPrices(
        "",
        DAY,
        per_million_requests=1,
        per_vcpu_second=0.01,
        per_gib_second=0.001,
        free_requests=0,
        free_vcpu_seconds=0,
        free_gib_seconds=0,
        least_seconds=0.1,
    ),
    BigtablePrices("", DAY, per_node_hour=1, per_gib_month=2),
    StoragePrices("", DAY, per_thousand_reads=0.5),
    SchedulerPrices("", DAY, per_job=5, free_jobs=0),
    LoggingPrices("", DAY, per_gib=3, free_gib=0),
    Assumptions(
        days=30,
        cpu_ms_message=1,
        cpu_ms_event=0.5,
        cpu_ms_loaded=2,
        utilisation=0.5,
        message_bytes=101,
        stored_overhead=24,
        days_stored=64,
        peak=2,
        writes_per_node=100,
        node_load=0.5,
        gib_per_node=100,
        aggregate_events=1000,
        queries_per_day=0,
        query_seconds=0.05,
        log_bytes_line=1024,
        log_lines_hour=10,
        log_bytes_request=2048,
        dead_letters=0.01,
        dead_letter_days=31,
        outage_days=4,
    ),
)


def dollars(work: Workload, prices: Prices = ROUND) -> dict[str, float]:
    return {item.name: item.dollars for item in estimate.month(prices, work)}


def test_pubsub_bills_the_bytes_of_publishing_and_of_delivery() -> None:
    # 100 events of 199 bytes and 99 newlines are 19,999 bytes; with 101 bytes of overhead 20,100.
    # 2^20 * 100 events a day, 30 days: 31,457,280 messages * 20,100 * 2 = 1,177.734375 GiB, a dollar each.
    work = Workload(2**20 * 100, 199, 100)

    assert estimate.message_bytes(ROUND, work) == 20_100
    assert dollars(work)["Pub/Sub"] == pytest.approx(1_177.734375)


def test_pubsub_bills_a_small_message_as_a_thousand_bytes() -> None:
    assert estimate.message_bytes(ROUND, Workload(1, 200, 1)) == 1000
    assert estimate.message_bytes(ROUND, Workload(1, 900, 1)) == 1001


def test_sparse_messages_are_billed_the_minimum_time_each() -> None:
    # 1,000 messages a day are 30,000 a month, of 0.1 s each: 3,000 s. Each needs only 1.5 ms of CPU.
    work = Workload(1_000, 200, 1, memory_gib=0.5, aggregate_memory_gib=2)
    parts = dollars(work)

    assert estimate.busy_seconds(ROUND, work, 30_000) == pytest.approx(3_000)
    # 30,000 events are aggregated in 30 s.
    assert parts["functions: CPU"] == pytest.approx(3_030 * 0.01)
    assert parts["functions: memory"] == pytest.approx((3_000 * 0.5 + 30 * 2) * 0.001)
    assert parts["functions: invocations"] == pytest.approx(30_030 / 1e6)


def test_requests_of_the_read_api_are_billed_like_the_other_invocations() -> None:
    # 2,000 requests a day are 60,000 a month, of 0.1 s each: 6,000 s. An event a day takes 3 s of ingest and 0.03 s of
    # aggregate.
    work = Workload(1, 200, 1, memory_gib=0, aggregate_memory_gib=0, query_memory_gib=2)
    parts = dollars(work, price_table.with_queries(ROUND, 2_000))

    assert parts["functions: invocations"] == pytest.approx((30 + 30 + 60_000) / 1e6)
    assert parts["functions: CPU"] == pytest.approx((3 + 0.03 + 6_000) * 0.01)
    assert parts["functions: memory"] == pytest.approx(6_000 * 2 * 0.001)
    assert parts["Logging"] == pytest.approx((30 + 2 * 60_060) / 2**20 * 3)


def test_a_slow_request_of_the_read_api_is_billed_its_time() -> None:
    slow = msgspec.structs.replace(ROUND.assumptions, queries_per_day=1, query_seconds=3)

    assert dollars(Workload(1, 200, 1), msgspec.structs.replace(ROUND, assumptions=slow))[
        "functions: CPU"
    ] == pytest.approx((3 + 0.03 + 90) * 0.01)


def test_one_instance_is_billed_a_month_at_most() -> None:
    # 30 million messages of 0.1 s would be 3,000,000 s; a month has 2,592,000 s, more than their CPU time of 90,000 s.
    assert estimate.busy_seconds(ROUND, Workload(1e6, 200, 1), 30e6) == pytest.approx(2_592_000)


def test_several_instances_are_billed_by_cpu_time() -> None:
    # 3,000 million messages of 1.5 ms are 4,500,000 s of CPU, and 9,000,000 s of instances at half load.
    assert estimate.busy_seconds(ROUND, Workload(1e8, 200, 1), 3e9) == pytest.approx(9_000_000)


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

    assert estimate.nodes(ROUND, work, 64) == expected
    assert dollars(work)["Bigtable: nodes"] == expected * 720


def test_storage_includes_all_retained_events() -> None:
    # 2^20 events a day for 64 days, 1,000 bytes plus 24 bytes of overhead: 64 GiB.
    assert dollars(Workload(2**20, 1000, 100))["Bigtable: storage"] == pytest.approx(128)
    assert dollars(Workload(2**20, 1000, 100), price_table.with_days_stored(ROUND, 32))[
        "Bigtable: storage"
    ] == pytest.approx(64)


@pytest.mark.parametrize(
    ("number", "average", "at_end"),
    [(1, 15, 30), (2, 45, 60), (3, 64 - 4 * 4 / 2 / 30, 64), (4, 64, 64), (None, 64, 64)],
)
def test_stored_events_grow_until_the_retention(number: int | None, average: float, at_end: float) -> None:
    # In the third month they grow from 60 to 64 days within four days.
    assert estimate.days_stored(ROUND, number) == (pytest.approx(average), at_end)
    assert estimate.first_full_month(ROUND) == 4
    [storage] = [
        item for item in estimate.month(ROUND, Workload(2**20, 1000, 100), number) if item.name == "Bigtable: storage"
    ]
    assert storage.dollars == pytest.approx(2 * average)


def test_nodes_of_a_month_follow_the_storage_at_its_end() -> None:
    work = Workload(2**20 * 30 / 64, 2**11 - 24, 100)  # 60 GiB in the end, with a target size of 50

    nodes = {number: estimate.month(ROUND, work, number)[5].text[0] for number in (1, 2, 3)}

    assert nodes == {1: "1", 2: "2", 3: "2"}


@pytest.mark.parametrize(
    ("days_stored", "full"), [(1, 2), (30, 2), (31, 3), (60, 3), (61, 4)], ids=lambda value: str(value)
)
def test_the_first_full_month_begins_at_the_retention_or_later(days_stored: int, full: int) -> None:
    prices = price_table.with_days_stored(ROUND, days_stored)

    assert estimate.first_full_month(prices) == full
    assert estimate.days_stored(prices, full)[0] == pytest.approx(days_stored)
    assert estimate.days_stored(prices, full - 1)[0] < days_stored


def test_dead_letters_and_a_backlog_are_billed_after_their_first_day() -> None:
    # 2^20 messages of 1,024 bytes are 1 GiB a day. 1 % of them are stored for 30 billed days: 0.3 GiB. After a day of
    # the outage the billed backlog grows for three days: 4.5 GiB-days, 0.15 GiB-months.
    work = Workload(2**20, 1024 - 101, 1)

    assert dollars(work)["Pub/Sub: retained"] == pytest.approx((0.3 + 0.15) * 4)
    short = msgspec.structs.replace(ROUND.assumptions, outage_days=1, dead_letter_days=1)
    assert dollars(work, msgspec.structs.replace(ROUND, assumptions=short))["Pub/Sub: retained"] == 0


def test_log_lines_are_bounded_by_messages_and_by_instances() -> None:
    # 10 lines an hour: 7,200 a month of 1 KiB. Each message and each day is a logged request of 2 KiB.
    assert dollars(Workload(1e6, 200, 1))["Logging"] == pytest.approx((7_200 + 2 * 30_000_030) / 2**20 * 3)
    assert dollars(Workload(10, 200, 1))["Logging"] == pytest.approx((300 + 2 * 330) / 2**20 * 3)


def test_request_logs_use_up_the_free_tier() -> None:
    prices = price_table.load()

    assert dollars(Workload(1e6, 250, 1), prices)["Logging"] == 0  # 28 GiB
    assert dollars(Workload(1e7, 250, 1), prices)["Logging"] == pytest.approx((283.8 - 50) * 0.5, rel=0.01)


def test_the_edition_sets_the_price_of_a_node() -> None:
    plus = msgspec.structs.replace(ROUND, bigtable=msgspec.structs.replace(ROUND.bigtable, per_node_hour_plus=2))

    for edition, expected in (("enterprise", 720), ("enterprise-plus", 1440)):
        prices = price_table.with_edition(plus, cast(Edition, edition))
        assert dollars(Workload(1, 200, 1), prices)["Bigtable: nodes"] == expected


def test_an_edition_without_a_price_is_refused() -> None:
    without = msgspec.structs.replace(ROUND, bigtable=msgspec.structs.replace(ROUND.bigtable, per_node_hour_plus=None))

    with pytest.raises(SettingsError, match=r"bigtable\.per_node_hour_plus: found none, expected the price of a node"):
        price_table.with_edition(without, "enterprise-plus")


def test_prices_that_were_not_looked_up_for_a_year_are_named() -> None:
    old = msgspec.structs.replace(ROUND.scheduler, looked_up=date(2023, 1, 14))
    run = msgspec.structs.replace(ROUND.run, looked_up=date(2023, 1, 14))

    assert ROUND.outdated() == ""
    assert msgspec.structs.replace(ROUND, scheduler=old, run=run).outdated() == "run, scheduler of 2023-01-14"


def test_ingestion_alone_has_no_aggregation_no_queries_and_no_bigtable() -> None:
    # 1,000 messages a day are 30,000 a month, of 0.1 s each: 3,000 s.
    items = estimate.ingestion(price_table.with_queries(ROUND, 2_000), Workload(1_000, 200, 1, memory_gib=2))
    found = {item.name: item.dollars for item in items}

    assert {name.partition(":")[0] for name in found} == {"Pub/Sub", "functions", "Logging"}
    assert found["functions: CPU"] == pytest.approx(3_000 * 0.01)
    assert found["functions: memory"] == pytest.approx(3_000 * 2 * 0.001)


def test_prices_without_free_tiers_count_from_the_first_unit_on() -> None:
    prices = price_table.without_free_tiers(price_table.load())
    found = {item.name: item.dollars for item in estimate.month(prices, Workload(1_000, 250, 100))}

    assert [name for name, amount in found.items() if not amount] == []


def test_free_tiers_are_deducted_down_to_zero() -> None:
    prices = price_table.load()

    parts = {part.name: part.dollars for part in estimate.month(prices, Workload(1_000, 250, 100))}

    assert {name for name, part in parts.items() if part > 0.01} == {"Bigtable: nodes"}
    assert min(parts.values()) >= 0
    assert parts["Bigtable: nodes"] == pytest.approx(474.825)


def test_batching_saves_most_for_small_events() -> None:
    prices = price_table.load()
    saved = [
        1
        - estimate.total(estimate.month(prices, Workload(1e8, size, 100)))
        / estimate.total(estimate.month(prices, Workload(1e8, size, 1)))
        for size in (200, 1_000, 4_000)
    ]

    assert saved == sorted(saved, reverse=True)
    assert saved[0] > 0.5


def test_intraday_runs_read_the_day_so_far() -> None:
    # 24 runs read 0, 1/24 ... 23/24 of 86,400 events: 11.5 days, beside the whole day of the daily run. At 1,000 events
    # a second these are 993.6 and 86.4 s a day.
    work = Workload(86_400, 199, 100, intraday_minutes=60)
    without = msgspec.structs.replace(work, intraday_minutes=0)
    prices = msgspec.structs.replace(ROUND, scheduler=msgspec.structs.replace(ROUND.scheduler, free_jobs=1))

    with_runs, daily = dollars(work, prices), dollars(without, prices)

    assert work.intraday_events == pytest.approx(11.5 * 86_400)
    assert with_runs["functions: CPU"] - daily["functions: CPU"] == pytest.approx(993.6 * 30 * 0.01)
    assert with_runs["functions: memory"] - daily["functions: memory"] == pytest.approx(993.6 * 30 * 0.001)
    assert with_runs["functions: invocations"] - daily["functions: invocations"] == pytest.approx(24 * 30 / 1e6)
    assert with_runs["Logging"] - daily["Logging"] == pytest.approx(24 * 30 * 2048 / 2**30 * 3)
    assert (daily["Scheduler"], with_runs["Scheduler"]) == (0, 5)


def test_loaded_files_are_billed_by_their_events_and_reads() -> None:
    """An event and its line end take 1 KiB, so a GiB has 2**20 events; each takes 2 ms."""
    work = Workload(0, 1_023, 100, loaded_gib=1)

    items = {item.name: item for item in estimate.month(ROUND, work)}

    seconds, reads = 2**20 * 30 * 0.002, 256 * 30
    expected = seconds * (0.01 + 0.5 * 0.001) + reads / 1_000 * 0.5
    assert items["function load"].dollars == pytest.approx(expected)
    assert "7,680 reads of objects" in items["function load"].text
    assert estimate.stored_gib(ROUND, work, 1) == pytest.approx(2**20 * (1_023 + 24) / 2**30)
    assert items["functions: CPU"].dollars == pytest.approx(2**20 * 30 / 1_000 * 0.01)  # aggregate reads them, too
    assert "function load" not in dollars(Workload(1, 1_023, 100))
