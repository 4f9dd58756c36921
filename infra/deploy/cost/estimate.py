"""Estimate of the monthly cost by service, from a table of prices."""

from __future__ import annotations

import math

import msgspec

from infra.deploy.cost.price_table import Prices

_GIB, _TIB = 2**30, 2**40
_SECONDS_PER_DAY = 86_400
_READ_BYTES = 4 * 2**20  # `shared.load.objects.CHUNK_BYTES`


class Workload(msgspec.Struct, frozen=True):
    """The load and the size of the instances.

    Attributes:
        bytes: the size of an event as JSON.
        batch_size: the number of events in a message.
        memory_gib: the memory of an ingest instance, which has one CPU.
        aggregate_memory_gib: the memory of an aggregate instance.
        query_memory_gib: the memory of a query instance, which has one CPU.
        intraday_minutes: the minutes between two runs of the current day; 0 for none.
        loaded_gib: plain size of the files that the function load loads per day.
        load_memory_gib: the memory of a load instance, which has one CPU.
    """

    events_per_day: float
    bytes: int
    batch_size: int
    memory_gib: float = 0.5
    aggregate_memory_gib: float = 1.0
    query_memory_gib: float = 0.5
    intraday_minutes: int = 0
    loaded_gib: float = 0.0
    load_memory_gib: float = 0.5

    @property
    def loaded_events(self) -> float:
        """The events per day in these files, one a line."""
        return self.loaded_gib * _GIB / (self.bytes + 1)

    @property
    def stored_events(self) -> float:
        """All events per day."""
        return self.events_per_day + self.loaded_events

    @property
    def intraday_runs(self) -> float:
        """The number of runs of the current day."""
        return 24 * 60 / self.intraday_minutes if self.intraday_minutes else 0

    @property
    def intraday_events(self) -> float:
        """The events that these runs read: run k of n reads k/n of an even day, in total (n - 1) / 2 days."""
        return self.stored_events * max(0.0, self.intraday_runs - 1) / 2


class CostItem(msgspec.Struct, frozen=True):
    """One item of the bill: dollars per month, and the quantity they pay for."""

    name: str
    dollars: float
    text: str


def month(prices: Prices, work: Workload, number: int | None = None) -> list[CostItem]:
    """Return the items of a monthly bill, after the free tiers.

    Args:
        prices: the table.
        work: the load.
        number: of the month since the first event, from 1 on; None for a month in which all retained days are stored.
    """
    events = work.events_per_day * prices.assumptions.days
    messages = events / work.batch_size
    return [
        _pubsub(prices, work, messages),
        _retained(prices, work),
        *_functions(prices, work, work.stored_events * prices.assumptions.days, messages),
        *([_loads(prices, work)] if work.loaded_gib else []),
        *_bigtable(prices, work, number),
        _scheduler(prices, work),
        _logging(prices, work, messages),
    ]


def ingestion(prices: Prices, work: Workload) -> list[CostItem]:
    """Return the items of a month from the topic to the store alone: no aggregation, no queries, no Bigtable."""
    messages = work.events_per_day * prices.assumptions.days / work.batch_size
    assumptions = msgspec.structs.replace(prices.assumptions, queries_per_day=0)
    alone = msgspec.structs.replace(prices, assumptions=assumptions)
    return [
        _pubsub(alone, work, messages),
        _retained(alone, work),
        *_functions(alone, work, 0, messages),
        _logging(alone, work, messages),
    ]


def first_full_month(prices: Prices) -> int:
    """Return the first month in which all retained days are stored from its beginning."""
    return math.ceil(prices.assumptions.days_stored / prices.assumptions.days) + 1


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


def nodes(prices: Prices, work: Workload, days_stored: float) -> int:
    """Return the Bigtable nodes that the peak load and the storage need; at least one."""
    a = prices.assumptions
    peak = work.stored_events / _SECONDS_PER_DAY * a.peak
    by_writes = peak / (a.writes_per_node * a.node_load)
    by_storage = stored_gib(prices, work, days_stored) / (a.gib_per_node * a.node_load)
    return max(1, math.ceil(by_writes), math.ceil(by_storage))


def stored_gib(prices: Prices, work: Workload, days: float) -> float:
    """Return the uncompressed size of the events of some days in GiB."""
    return work.stored_events * days * (work.bytes + prices.assumptions.stored_overhead) / _GIB


def days_stored(prices: Prices, number: int | None) -> tuple[float, float]:
    """Return the stored days of events on average over a month and at its end; see `month`."""
    a = prices.assumptions
    if number is None:
        return a.days_stored, a.days_stored
    begin, end = (number - 1) * a.days, number * a.days
    # They grow by a day per day until the retention.
    growing_from, growing_to = min(begin, a.days_stored), min(end, a.days_stored)
    total_days = (growing_to**2 - growing_from**2) / 2 + a.days_stored * (end - max(begin, growing_to))
    return total_days / a.days, growing_to


def _pubsub(prices: Prices, work: Workload, messages: float) -> CostItem:
    size = message_bytes(prices, work)
    gib = 2 * messages * size / _GIB
    dollars = max(0.0, gib - prices.pubsub.free_gib) * _GIB / _TIB * prices.pubsub.per_tib
    text = f"{messages:,.0f} messages of {size:,.0f} bytes, published and delivered: {gib:,.1f} GiB"
    return CostItem("Pub/Sub", dollars, text)


def _retained(prices: Prices, work: Workload) -> CostItem:
    """Bill messages that stay unacknowledged beyond the free time: dead letters, and the backlog of an outage.

    Acknowledged messages aren't retained by the declared topics and subscriptions.
    """
    a, free = prices.assumptions, prices.pubsub.free_days
    gib_per_day = work.events_per_day / work.batch_size * message_bytes(prices, work) / _GIB
    # In a steady state each day's dead letters are stored for their retention.
    dead_letters = gib_per_day * a.dead_letters * max(0.0, a.dead_letter_days - free)
    # The backlog grows linearly; the part that is older than the free time begins to grow after it.
    backlog = gib_per_day * max(0.0, a.outage_days - free) ** 2 / 2 / a.days
    text = (
        f"{dead_letters:,.2f} GiB of dead letters, {a.dead_letters:.1%} of the messages; "
        f"{backlog:,.2f} GiB for {a.outage_days:,.0f} days of outage"
    )
    return CostItem("Pub/Sub: retained", (dead_letters + backlog) * prices.pubsub.per_gib_month, text)


def _functions(prices: Prices, work: Workload, events: float, messages: float) -> list[CostItem]:
    """Bill the time of the instances; requests of `query` are counted one by one, without concurrent ones."""
    run, a = prices.run, prices.assumptions
    queries = a.queries_per_day * a.days
    ingest = busy_seconds(prices, work, messages)
    runs = (1 + work.intraday_runs) * a.days
    aggregate = (events + work.intraday_events * a.days) / a.aggregate_events
    query = queries * max(run.least_seconds, a.query_seconds)
    gib_seconds = ingest * work.memory_gib + aggregate * work.aggregate_memory_gib + query * work.query_memory_gib
    requests = max(0.0, messages + runs + queries - run.free_requests) / 1e6 * run.per_million_requests
    cpu = max(0.0, ingest + aggregate + query - run.free_vcpu_seconds) * run.per_vcpu_second
    memory = max(0.0, gib_seconds - run.free_gib_seconds) * run.per_gib_second
    invocations = f"{messages:,.0f} of ingest, {runs:,.0f} of aggregate, {queries:,.0f} of query"
    seconds = f"{ingest:,.0f} vCPU-seconds of ingest, {aggregate:,.0f} of aggregate, {query:,.0f} of query"
    return [
        CostItem("functions: invocations", requests, invocations),
        CostItem("functions: CPU", cpu, seconds),
        CostItem("functions: memory", memory, f"{gib_seconds:,.0f} GiB-seconds"),
    ]


def _loads(prices: Prices, work: Workload) -> CostItem:
    """Bill the function `load` and its reads, after no free tier: the other functions use it up."""
    a, run = prices.assumptions, prices.run
    seconds = work.loaded_events * a.days * a.cpu_ms_loaded / 1000
    reads = work.loaded_gib * a.days * _GIB / _READ_BYTES
    functions = seconds * (run.per_vcpu_second + work.load_memory_gib * run.per_gib_second)
    dollars = functions + reads / 1000 * prices.storage.per_thousand_reads
    text = f"{work.loaded_events * a.days:,.0f} events, {seconds:,.0f} vCPU-seconds, {reads:,.0f} reads of objects"
    return CostItem("function load", dollars, text)


def _bigtable(prices: Prices, work: Workload, number: int | None) -> list[CostItem]:
    average, at_end = days_stored(prices, number)
    count, gib = nodes(prices, work, at_end), stored_gib(prices, work, average)
    hours = count * prices.assumptions.days * 24
    stored = f"{gib:,.1f} GiB, {average:,.0f} days of events"
    return [
        CostItem("Bigtable: nodes", hours * prices.bigtable.per_node_hour, f"{count}, always on: {hours:,.1f} hours"),
        CostItem("Bigtable: storage", gib * prices.bigtable.per_gib_month, stored),
    ]


def _scheduler(prices: Prices, work: Workload) -> CostItem:
    free, jobs = prices.scheduler.free_jobs, 2 if work.intraday_minutes else 1
    dollars = max(0, jobs - free) * prices.scheduler.per_job
    return CostItem("Scheduler", dollars, f"{jobs} job{'s' * (jobs - 1)}; {free} of a billing account are free")


def _logging(prices: Prices, work: Workload, messages: float) -> CostItem:
    """Bill the functions' lines and Cloud Run's request log.

    An instance logs at most one line every five seconds, and at least one instance is busy. Cloud Run logs an entry
    for every request.
    """
    a = prices.assumptions
    instances = max(1.0, busy_seconds(prices, work, messages) / (a.days * _SECONDS_PER_DAY))
    lines = min(messages, instances * a.log_lines_hour * 24 * a.days)
    requests = messages + (1 + work.intraday_runs + a.queries_per_day) * a.days
    gib = (lines * a.log_bytes_line + requests * a.log_bytes_request) / _GIB
    dollars = max(0.0, gib - prices.logging.free_gib) * prices.logging.per_gib
    return CostItem("Logging", dollars, f"{lines:,.0f} lines, {requests:,.0f} logged requests: {gib:,.2f} GiB")
