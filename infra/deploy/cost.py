"""What a month would cost, by part: arithmetic on a table of prices, and nothing else."""

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
_SECONDS_A_DAY = 86_400


Amount = Annotated[float, msgspec.Meta(ge=0, lt=1e15)]
Divisor = Annotated[float, msgspec.Meta(gt=0, lt=1e15)]


class PubsubPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Pub/Sub, by what is published and delivered."""

    source: str
    per_tib: Amount
    free_gib: Amount
    least_bytes: int


class RunPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Cloud Run, which functions run on."""

    source: str
    per_million_requests: Amount
    per_vcpu_second: Amount
    per_gib_second: Amount
    free_requests: Amount
    free_vcpu_seconds: Amount
    free_gib_seconds: Amount
    least_seconds: Amount


class BigtablePrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Bigtable."""

    source: str
    per_node_hour: Amount
    per_gib_month: Amount


class SchedulerPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Cloud Scheduler."""

    source: str
    per_job: Amount
    free_jobs: int


class LoggingPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Cloud Logging."""

    source: str
    per_gib: Amount
    free_gib: Amount


class Assumptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How much of each thing an event takes; prices.toml says what each is and where it is from."""

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
    """What comes in, and what takes it in.

    Attributes:
        bytes: of an event as JSON.
        batch_size: events in a message.
        memory_gib: of an instance of ingest, which has one CPU.
        aggregate_memory_gib: likewise of aggregate.
    """

    events_per_day: float
    bytes: int
    batch_size: int
    memory_gib: float = 0.5
    aggregate_memory_gib: float = 1.0


class CostItem(msgspec.Struct, frozen=True):
    """One part of the bill: dollars a month, and what they are for."""

    name: str
    dollars: float
    text: str


def load(path: Path = PRICES) -> Prices:
    """Read a table of prices; SettingsError, naming file and key, if it isn't one."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Prices)
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}; expected the tables and keys of {PRICES.name}") from None


def month(prices: Prices, work: Workload) -> list[CostItem]:
    """Return the parts of a month's bill, the free tiers taken off."""
    events = work.events_per_day * prices.assumptions.days
    messages = events / work.batch_size
    return [
        _pubsub(prices, work, messages),
        *_ingest_and_aggregate(prices, work, events, messages),
        *_bigtable(prices, work),
        _scheduler(prices),
        _logging(prices, work),
    ]


def for_days(prices: Prices, days: float) -> Prices:
    """Return the same prices, for events that are kept for so many days."""
    return msgspec.structs.replace(prices, assumptions=msgspec.structs.replace(prices.assumptions, days_stored=days))


def total(parts: list[CostItem]) -> float:
    """Return the dollars of a whole bill."""
    return sum(part.dollars for part in parts)


def message_bytes(prices: Prices, work: Workload) -> float:
    """Return what a message counts as, once published and once delivered: events end in a newline, but for the last."""
    size = work.batch_size * (work.bytes + 1) - 1 + prices.assumptions.message_bytes
    return max(size, prices.pubsub.least_bytes)


def busy_seconds(prices: Prices, work: Workload, messages: float) -> float:
    """Return for how long a month instances of ingest have a message in hand, added up over all of them.

    While one instance is enough it is at most the messages' own time, and never over a month. Where it isn't, it is the
    CPU that they need, at the load that Cloud Run lets an instance come to.
    """
    a = prices.assumptions
    cpu = (a.cpu_ms_message + a.cpu_ms_event * work.batch_size) / 1000
    one_instance = min(messages * max(prices.run.least_seconds, cpu), a.days * _SECONDS_A_DAY)
    return max(one_instance, messages * cpu / a.utilisation)


def nodes(prices: Prices, work: Workload) -> int:
    """Return the Bigtable nodes that the busiest second and the storage need; one at least."""
    a = prices.assumptions
    peak = work.events_per_day / _SECONDS_A_DAY * a.peak
    by_writes = peak / (a.writes_per_node * a.node_load)
    by_storage = stored_gib(prices, work) / (a.gib_per_node * a.node_load)
    return max(1, math.ceil(by_writes), math.ceil(by_storage))


def stored_gib(prices: Prices, work: Workload) -> float:
    """Return the size of the events that are kept, uncompressed."""
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
    """A line in five seconds and instance at most; as many instances as are busy, one at least."""
    a = prices.assumptions
    messages = work.events_per_day * a.days / work.batch_size
    instances = max(1.0, busy_seconds(prices, work, messages) / (a.days * _SECONDS_A_DAY))
    lines = min(messages, instances * a.log_lines_hour * 24 * a.days)
    gib = lines * a.log_bytes_line / _GIB
    dollars = max(0.0, gib - prices.logging.free_gib) * prices.logging.per_gib
    return CostItem("Logging", dollars, f"{lines:,.0f} lines: {gib:,.2f} GiB")
