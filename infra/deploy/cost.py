"""Estimate of the monthly cost by service, from a table of prices. Pure except for reading the table."""

from __future__ import annotations

import math
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec

from shared.errors import SettingsError

PRICES = Path(__file__).parent / "prices.toml"
_GIB, _TIB = 2**30, 2**40
_SECONDS_PER_DAY = 86_400

Amount = Annotated[float, msgspec.Meta(ge=0, lt=1e15)]
Divisor = Annotated[float, msgspec.Meta(gt=0, lt=1e15)]


class PubsubPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Pub/Sub: published and delivered bytes."""

    source: str
    per_tib: Amount
    free_gib: Amount
    least_bytes: int


class RunPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Cloud Run, the platform of the functions."""

    source: str
    per_million_requests: Amount
    per_vcpu_second: Amount
    per_gib_second: Amount
    free_requests: Amount
    free_vcpu_seconds: Amount
    free_gib_seconds: Amount
    least_seconds: Amount


class BigtablePrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Bigtable: nodes and storage."""

    source: str
    per_node_hour: Amount
    per_gib_month: Amount


class SchedulerPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Cloud Scheduler: jobs."""

    source: str
    per_job: Amount
    free_jobs: int


class LoggingPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Cloud Logging: ingested log bytes."""

    source: str
    per_gib: Amount
    free_gib: Amount


class Assumptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Resource use per event; prices.toml explains each value and its source."""

    days: Divisor
    cpu_ms_message: Amount
    cpu_ms_event: Amount
    utilisation: Divisor
    message_bytes: int
    stored_overhead: int
    days_stored: Amount
    peak: Amount
    writes_per_node: Divisor
    node_load: Divisor
    gib_per_node: Divisor
    aggregate_events: Divisor
    log_bytes_line: int
    log_lines_hour: Amount


class Prices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole table."""

    date: date
    region: str
    pubsub: PubsubPrices
    run: RunPrices
    bigtable: BigtablePrices
    scheduler: SchedulerPrices
    logging: LoggingPrices
    assumptions: Assumptions


class Workload(msgspec.Struct, frozen=True):
    """The load and the size of the instances.

    Attributes:
        bytes: the size of an event as JSON.
        batch_size: the number of events in a message.
        memory_gib: the memory of an ingest instance, which has one CPU.
        aggregate_memory_gib: the memory of an aggregate instance.
    """

    events_per_day: float
    bytes: int
    batch_size: int
    memory_gib: float = 0.5
    aggregate_memory_gib: float = 1.0


class CostItem(msgspec.Struct, frozen=True):
    """One item of the bill: dollars per month, and the quantity they pay for."""

    name: str
    dollars: float
    text: str


def load(path: Path = PRICES) -> Prices:
    """Read a table of prices; raises SettingsError with the file and the key if it is invalid."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Prices)
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}; expected the tables and keys of {PRICES.name}") from None


def month(prices: Prices, work: Workload) -> list[CostItem]:
    """Return the items of a monthly bill, after the free tiers."""
    events = work.events_per_day * prices.assumptions.days
    messages = events / work.batch_size
    return [
        _pubsub(prices, work, messages),
        *_ingest_and_aggregate(prices, work, events, messages),
        *_bigtable(prices, work),
        _scheduler(prices),
        _logging(prices, work),
    ]


def with_days_stored(prices: Prices, days: float) -> Prices:
    """Return the prices with another retention of events."""
    return msgspec.structs.replace(prices, assumptions=msgspec.structs.replace(prices.assumptions, days_stored=days))


def total(items: list[CostItem]) -> float:
    """Return the dollars of a whole bill."""
    return sum(item.dollars for item in items)


def message_bytes(prices: Prices, work: Workload) -> float:
    """Return the billed bytes of a message, for one publication or delivery; newlines separate the events."""
    size = work.batch_size * (work.bytes + 1) - 1 + prices.assumptions.message_bytes
    return max(size, prices.pubsub.least_bytes)


def busy_seconds(prices: Prices, work: Workload, messages: float) -> float:
    """Return the total seconds per month in which ingest instances process messages.

    If one instance is enough, it is the sum of the message times, and a month at most. Otherwise it is the CPU time of
    the messages divided by the CPU utilization at which Cloud Run adds an instance.
    """
    a = prices.assumptions
    cpu = (a.cpu_ms_message + a.cpu_ms_event * work.batch_size) / 1000
    one_instance = min(messages * max(prices.run.least_seconds, cpu), a.days * _SECONDS_PER_DAY)
    return max(one_instance, messages * cpu / a.utilisation)


def nodes(prices: Prices, work: Workload) -> int:
    """Return the Bigtable nodes that the peak load and the storage need; at least one."""
    a = prices.assumptions
    peak = work.events_per_day / _SECONDS_PER_DAY * a.peak
    by_writes = peak / (a.writes_per_node * a.node_load)
    by_storage = stored_gib(prices, work) / (a.gib_per_node * a.node_load)
    return max(1, math.ceil(by_writes), math.ceil(by_storage))


def stored_gib(prices: Prices, work: Workload) -> float:
    """Return the uncompressed size of the stored events in GiB."""
    a = prices.assumptions
    return work.events_per_day * a.days_stored * (work.bytes + a.stored_overhead) / _GIB


def _pubsub(prices: Prices, work: Workload, messages: float) -> CostItem:
    size = message_bytes(prices, work)
    gib = 2 * messages * size / _GIB
    dollars = max(0.0, gib - prices.pubsub.free_gib) * _GIB / _TIB * prices.pubsub.per_tib
    text = f"{messages:,.0f} messages of {size:,.0f} bytes, published and delivered: {gib:,.1f} GiB"
    return CostItem("Pub/Sub", dollars, text)


def _ingest_and_aggregate(prices: Prices, work: Workload, events: float, messages: float) -> list[CostItem]:
    run, a = prices.run, prices.assumptions
    ingest = busy_seconds(prices, work, messages)
    aggregate = events / a.aggregate_events
    gib_seconds = ingest * work.memory_gib + aggregate * work.aggregate_memory_gib
    requests = max(0.0, messages + a.days - run.free_requests) / 1e6 * run.per_million_requests
    cpu = max(0.0, ingest + aggregate - run.free_vcpu_seconds) * run.per_vcpu_second
    memory = max(0.0, gib_seconds - run.free_gib_seconds) * run.per_gib_second
    return [
        CostItem("functions: invocations", requests, f"{messages:,.0f} of ingest, {a.days:,.0f} of aggregate"),
        CostItem("functions: CPU", cpu, f"{ingest:,.0f} vCPU-seconds of ingest, {aggregate:,.0f} of aggregate"),
        CostItem("functions: memory", memory, f"{gib_seconds:,.0f} GiB-seconds"),
    ]


def _bigtable(prices: Prices, work: Workload) -> list[CostItem]:
    count, gib = nodes(prices, work), stored_gib(prices, work)
    hours = count * prices.assumptions.days * 24
    stored = f"{gib:,.1f} GiB, {prices.assumptions.days_stored:,.0f} days of events"
    return [
        CostItem("Bigtable: nodes", hours * prices.bigtable.per_node_hour, f"{count}, always on: {hours:,.1f} hours"),
        CostItem("Bigtable: storage", gib * prices.bigtable.per_gib_month, stored),
    ]


def _scheduler(prices: Prices) -> CostItem:
    free = prices.scheduler.free_jobs
    dollars = max(0, 1 - free) * prices.scheduler.per_job
    return CostItem("Scheduler", dollars, f"1 job; {free} of a billing account are free")


def _logging(prices: Prices, work: Workload) -> CostItem:
    """Assume at most one line per instance every five seconds, and at least one busy instance."""
    a = prices.assumptions
    messages = work.events_per_day * a.days / work.batch_size
    instances = max(1.0, busy_seconds(prices, work, messages) / (a.days * _SECONDS_PER_DAY))
    lines = min(messages, instances * a.log_lines_hour * 24 * a.days)
    gib = lines * a.log_bytes_line / _GIB
    dollars = max(0.0, gib - prices.logging.free_gib) * prices.logging.per_gib
    return CostItem("Logging", dollars, f"{lines:,.0f} lines: {gib:,.2f} GiB")
