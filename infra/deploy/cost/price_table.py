"""The price table of `sluice cost`: list prices by service, and the resource use per event."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from shared.errors import SettingsError

PRICES = Path(__file__).parent / "prices.toml"
# Older prices are named in an estimate.
_RECENT_DAYS = 365

Amount = Annotated[float, msgspec.Meta(ge=0, lt=1e15)]
Divisor = Annotated[float, msgspec.Meta(gt=0, lt=1e15)]
# Of a Bigtable instance, https://cloud.google.com/bigtable/docs/editions-overview
Edition = Literal["enterprise", "enterprise-plus"]


class PubsubPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Pub/Sub: published, delivered and retained bytes."""

    source: str
    looked_up: date
    per_tib: Amount
    free_gib: Amount
    least_bytes: int
    per_gib_month: Amount
    free_days: Amount
    per_tib_export: Amount | None = None


class RunPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Cloud Run, the platform of the functions."""

    source: str
    looked_up: date
    per_million_requests: Amount
    per_vcpu_second: Amount
    per_gib_second: Amount
    free_requests: Amount
    free_vcpu_seconds: Amount
    free_gib_seconds: Amount
    least_seconds: Amount


class BigtablePrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Bigtable: nodes by edition, and storage."""

    source: str
    looked_up: date
    per_node_hour: Amount
    per_gib_month: Amount
    per_node_hour_plus: Amount | None = None


class StoragePrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Cloud Storage: reads of objects."""

    source: str
    looked_up: date
    per_thousand_reads: Amount


class SchedulerPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Cloud Scheduler: jobs."""

    source: str
    looked_up: date
    per_job: Amount
    free_jobs: int


class LoggingPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Cloud Logging: ingested log bytes."""

    source: str
    looked_up: date
    per_gib: Amount
    free_gib: Amount


class DataflowPrices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Dataflow: the workers of a streaming job with Streaming Engine, and the data that it processes."""

    source: str
    looked_up: date
    per_vcpu_hour: Amount
    per_gib_hour: Amount
    per_disk_gib_hour: Amount
    per_gib_streamed: Amount
    worker_vcpus: Amount
    worker_gib: Amount
    worker_disk_gib: Amount


class Assumptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Resource use per event; prices.toml explains each value and its source."""

    days: Divisor
    cpu_ms_message: Amount
    cpu_ms_event: Amount
    cpu_ms_loaded: Amount
    utilisation: Divisor
    message_bytes: int
    stored_overhead: int
    days_stored: Amount
    peak: Amount
    writes_per_node: Divisor
    node_load: Divisor
    gib_per_node: Divisor
    aggregate_events: Divisor
    queries_per_day: Amount
    query_seconds: Amount
    log_bytes_line: int
    log_lines_hour: Amount
    log_bytes_request: int
    dead_letters: Amount
    dead_letter_days: Amount
    outage_days: Amount


class Prices(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole table."""

    date: date
    region: str
    pubsub: PubsubPrices
    run: RunPrices
    bigtable: BigtablePrices
    storage: StoragePrices
    scheduler: SchedulerPrices
    logging: LoggingPrices
    assumptions: Assumptions
    dataflow: DataflowPrices | None = None

    def outdated(self) -> str:
        """Return the tables that weren't looked up in the year before `date`, by the day on which they were."""
        by_day: dict[date, list[str]] = {}
        for name in ("pubsub", "run", "bigtable", "storage", "scheduler", "logging"):
            looked_up = getattr(self, name).looked_up
            if (self.date - looked_up).days > _RECENT_DAYS:
                by_day.setdefault(looked_up, []).append(name)
        return "; ".join(f"{', '.join(names)} of {day}" for day, names in sorted(by_day.items()))


def load(path: Path = PRICES) -> Prices:
    """Read a table of prices; raises SettingsError with the file and the key if it is invalid."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Prices)
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}; expected the tables and keys of {PRICES.name}") from None


def with_days_stored(prices: Prices, days: float) -> Prices:
    """Return the prices with another retention of events."""
    return msgspec.structs.replace(prices, assumptions=msgspec.structs.replace(prices.assumptions, days_stored=days))


def with_queries(prices: Prices, per_day: float) -> Prices:
    """Return the prices with another number of requests to `query`."""
    changed = msgspec.structs.replace(prices.assumptions, queries_per_day=per_day)
    return msgspec.structs.replace(prices, assumptions=changed)


def without_free_tiers(prices: Prices) -> Prices:
    """Return the prices from the first unit on, since other projects of a billing account may use up the free tiers."""
    replace = msgspec.structs.replace
    return replace(
        prices,
        pubsub=replace(prices.pubsub, free_gib=0),
        run=replace(prices.run, free_requests=0, free_vcpu_seconds=0, free_gib_seconds=0),
        scheduler=replace(prices.scheduler, free_jobs=0),
        logging=replace(prices.logging, free_gib=0),
    )


def with_edition(prices: Prices, edition: Edition) -> Prices:
    """Return the prices with the nodes of an edition of Bigtable; raises SettingsError if the table lacks its price."""
    if edition == "enterprise":
        return prices
    price = prices.bigtable.per_node_hour_plus
    if price is None:
        raise SettingsError(
            "bigtable.per_node_hour_plus: found none, expected the price of a node of the edition Enterprise Plus, "
            f"from {prices.bigtable.source}, in a file for --prices"
        )
    return msgspec.structs.replace(prices, bigtable=msgspec.structs.replace(prices.bigtable, per_node_hour=price))
