"""Scenarios of faults in a pipeline under load, and the comparison of its tables with the published events."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import grpc
from google.cloud.bigtable_v2 import BigtableClient
from google.cloud.bigtable_v2.services.bigtable.transports import BigtableGrpcTransport
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.types import PubsubMessage
from msgspec.structs import replace

from infra.local.emulators import Engine
from shared.config import Settings
from tests.faults import log
from tests.faults.pipeline import Delivery, Pipeline
from tests.faults.proxy import TRANSIENT, Code, FaultProxy, Faults
from tests.support.processes import free_port
from tests.support.samples import cells, dump

LINES = {"content-type": "application/x-ndjson"}
_POLL = 0.2
_DELIVERIES: dict[Engine, Delivery] = {"embedded": "emulators", "google": "relay"}


@dataclass(frozen=True)
class Size:
    """Size of the load.

    Attributes:
        seconds: duration of publishing; the faults happen meanwhile.
        max_wait: seconds after that until an event that isn't stored counts as lost.
    """

    events: int = 50_000
    users: int = 2_000
    seconds: float = 30.0
    max_wait: float = 240.0


@dataclass
class Outcome:
    """The result of a scenario.

    Attributes:
        bad: number of events that must be rejected.
        deliveries: posts of messages to the function, answered or not.
        lost: events missing in their cell, and bad events missing among the rejected ones.
        doubled: cells and rejected rows of one event beyond the first.
        unexpected: cells and rejected rows of no event of the log.
        altered: stored events whose value differs from the expected one.
        wrong_measures: aggregates that differ from the expected ones, of all `aggregates`.
        shutdowns: seconds between SIGTERM to a part and its end.
        peak: highest memory of an instance of `ingest`, in MiB.
    """

    name: str
    events: int = 0
    bad: int = 0
    published: int = 0
    messages: int = 0
    deliveries: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    unexpected: int = 0
    altered: int = 0
    wrong_measures: int = 0
    aggregates: int = 0
    shutdowns: list[float] = field(default_factory=list)
    peak: int = 0
    seconds: float = 0.0

    def summary(self) -> str:
        """Return the result as text."""
        faults = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.faults.items())) or "none"
        rows = {
            "published": f"{self.events:,} events ({self.bad:,} bad), {self.published:,} with repeats, "
            f"in {self.messages:,} messages",
            "deliveries": f"{self.deliveries:,}",
            "faults": faults,
            "lost": f"{self.lost:,}",
            "doubled": f"{self.doubled:,}",
            "altered or unexpected": f"{self.altered + self.unexpected:,}",
            "wrong measures": f"{self.wrong_measures:,} of {self.aggregates:,}",
            "shutdowns": ", ".join(f"{seconds:.1f} s" for seconds in self.shutdowns),
            "peak memory": f"{self.peak} MiB",
            "duration": f"{self.seconds:.0f} s",
        }
        return "\n".join([self.name, *(f"  {name:<22}{value}" for name, value in rows.items() if value), ""])

    @property
    def is_correct(self) -> bool:
        """Whether the tables are exactly the expected ones."""
        return not (self.lost or self.doubled or self.unexpected or self.altered or self.wrong_measures)


class Injector:
    """The actions of a scenario on a pipeline."""

    def __init__(self, pipeline: Pipeline, proxy: FaultProxy, size: Size, outcome: Outcome, load: _Load) -> None:
        self.pipeline, self.proxy, self.size, self.outcome, self._load = pipeline, proxy, size, outcome, load

    def wait_until_published(self, share: float) -> None:
        """Wait until this share of the load is published."""
        while self._load.share < share and self._load.is_alive():
            self.pipeline.sample()
            time.sleep(_POLL / 4)

    def wait_until_injected(self, kind: str, count: int) -> None:
        """Wait until `count` faults of a kind have happened, while published events are being stored."""
        _wait_until(self.size.max_wait, lambda: self.proxy.injected[kind] >= count)

    def reset_connections(self) -> None:
        """Reset the connections to Bigtable; wait for one on a slow machine, where there may be none yet."""
        _wait_until(self.size.max_wait, lambda: self.proxy.reset() > 0)

    def kill(self, name: str) -> None:
        self.pipeline.kill(name)
        self.outcome.faults[f"kill -9 {name}"] += 1

    def terminate(self, name: str) -> None:
        self.pipeline.wait_for(name)
        self.outcome.shutdowns.append(self.pipeline.terminate(name))
        self.outcome.faults[f"SIGTERM {name}"] += 1


Scenario = Callable[[Injector], None]


def kills_of_ingest(injector: Injector) -> None:
    """SIGKILL to the function about once a second, with a restart each time."""
    kills = max(3, round(injector.size.seconds))
    for number in range(kills):
        injector.wait_until_published((number + 0.9) / (kills + 1))
        injector.kill("ingest")


def a_failing_bigtable(injector: Injector) -> None:
    """30 % of calls and 10 % of entries fail, 5 % of responses are lost; connections are reset; then an outage."""
    codes = (*TRANSIENT, Code.INTERNAL, Code.ABORTED, Code.PERMISSION_DENIED)
    injector.proxy.faults = Faults(calls=0.3, codes=codes, entries=0.1, responses=0.05)
    injector.wait_until_published(0.3)
    injector.reset_connections()
    injector.wait_until_published(0.5)
    with injector.proxy.outage():
        injector.wait_until_published(0.5 + 10 / max(injector.size.seconds, 20))
    injector.wait_until_published(1.0)
    injector.wait_until_injected("response lost", 1)


def kills_of_the_delivery(injector: Injector) -> None:
    """SIGKILL to the relay or to the embedded emulators while messages are unsettled."""
    for share in (0.2, 0.5, 0.8):
        injector.wait_until_published(share)
        injector.kill("delivery")


def shutdowns_under_load(injector: Injector) -> None:
    """SIGTERM to the delivery and to the function, once during an outage of Bigtable."""
    for share, name in ((0.2, "ingest"), (0.4, "delivery"), (0.6, "ingest")):
        injector.wait_until_published(share)
        injector.terminate(name)
    injector.wait_until_published(0.8)
    with injector.proxy.outage():
        injector.wait_until_published(0.85)
        injector.terminate("ingest")


def everything(injector: Injector) -> None:
    """All faults together while the load lasts, and on a slow machine until enough of them have happened."""
    injector.proxy.faults = Faults(calls=0.2, codes=(*TRANSIENT, Code.PERMISSION_DENIED), entries=0.1, responses=0.2)
    rounds = max(2, round(injector.size.seconds / 5))
    for number in range(rounds):
        injector.wait_until_published((number + 0.5) / rounds)
        step = number % 4
        if step == 0:
            injector.kill("ingest")
        elif step == 1:
            injector.kill("delivery")
        elif step == 2:
            injector.proxy.reset()
        else:
            with injector.proxy.outage():
                injector.wait_until_published((number + 0.8) / rounds)
    injector.wait_until_published(1.0)
    injector.wait_until_injected("response lost", 1)
    injector.wait_until_injected("entry failed", 20)


SCENARIOS: list[Scenario] = [
    kills_of_ingest,
    a_failing_bigtable,
    kills_of_the_delivery,
    shutdowns_under_load,
    everything,
]


def play(
    scenario: Scenario, settings: Settings, size: Size, folder: Path, *, engine: Engine = "embedded", seed: int = 0
) -> Outcome:
    """Send a log through a new pipeline, play the scenario, and compare the tables with the log.

    Args:
        scenario: injects the faults.
        settings: of an empty project; their emulators are used only if they are Google's.
        size: the size of the load.
        folder: for the log.
        engine: the emulators; embedded ones keep their data on disk, and are killed with the rest.
        seed: of the load and the faults.
    """
    if engine == "embedded":
        address = f"127.0.0.1:{free_port()}"
        settings = replace(settings, bigtable_emulator=address, pubsub_emulator=address, scheduler_emulator=address)
    outcome = Outcome(scenario.__name__.replace("_", " "))
    path = folder / f"{scenario.__name__}.jsonl"
    log.write(path, events=size.events, users=size.users, seed=seed)
    expected = log.expected(path)
    began = time.monotonic()
    # Shorter than the lease of a message, so that messages are redelivered and not only calls retried.
    with (
        FaultProxy(str(settings.bigtable_emulator), seed=seed) as proxy,
        Pipeline(settings, proxy.address, delivery=_DELIVERIES[engine], SLUICE_STORE_DEADLINE="6") as pipeline,
    ):
        load = _Load(settings, list(log.messages(path, again=0.2, seed=seed)), size.seconds)
        load.start()
        try:
            scenario(Injector(pipeline, proxy, size, outcome, load))
        finally:
            load.join()
        proxy.faults = Faults()
        pipeline.wait_for("delivery")
        _wait_until(size.max_wait, lambda: _is_complete(settings, expected))
        _aggregate(settings, expected, pipeline, proxy, outcome, size.max_wait)
        if engine == "google":
            pipeline.stop("delivery")
        delivered = pipeline.deliveries()
        outcome.deliveries = delivered["delivered"] + delivered["failed"]
        outcome.faults += proxy.injected
        outcome.peak = pipeline.peak
        outcome.seconds = time.monotonic() - began
        outcome.events, outcome.bad = size.events, len(expected.bad)
        outcome.published, outcome.messages = load.events, load.published
        _compare(settings, expected, outcome)
    return outcome


class _Load(threading.Thread):
    """Publishes messages evenly over some seconds."""

    def __init__(self, settings: Settings, contents: list[bytes], seconds: float) -> None:
        super().__init__(daemon=True)
        self._settings, self._contents, self._seconds = settings, contents, seconds
        self.events = sum(data.count(b"\n") + 1 for data in contents)
        self.published = 0

    @property
    def share(self) -> float:
        return self.published / len(self._contents)

    def run(self) -> None:
        began = time.monotonic()
        with _publisher(self._settings) as publish:
            while self.published < len(self._contents):
                due = int(len(self._contents) * min(1.0, (time.monotonic() - began) / self._seconds))
                contents = self._contents[self.published : min(due, self.published + 500)]
                if contents:
                    publish("events", [PubsubMessage(data=data, attributes=LINES) for data in contents])
                    self.published += len(contents)
                else:
                    time.sleep(0.01)


@contextmanager
def _publisher(settings: Settings) -> Iterator[Callable[[str, list[PubsubMessage]], None]]:
    with grpc.insecure_channel(str(settings.pubsub_emulator)) as channel:
        client = PublisherClient(transport=PublisherGrpcTransport(channel=channel))

        def publish(topic: str, messages: list[PubsubMessage]) -> None:
            client.publish(topic=f"projects/{settings.project_id}/topics/{topic}", messages=messages, timeout=60)

        yield publish


def _wait_until(seconds: float, condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(_POLL)
    return True


def _is_complete(settings: Settings, expected: log.Expected) -> bool:
    """Return whether the tables have the expected number of cells; `_compare` checks their content."""
    return _count(settings, "events") >= len(expected.events) and _count(settings, "rejected") >= 4 * len(expected.bad)


def _count(settings: Settings, table: str) -> int:
    """Return the number of cells of a table."""
    with grpc.insecure_channel(str(settings.bigtable_emulator)) as channel:
        client = BigtableClient(transport=BigtableGrpcTransport(channel=channel))
        name = f"projects/{settings.project_id}/instances/{settings.instance_id}/tables/{table}"
        request = {"table_name": name, "filter": {"strip_value_transformer": True}}
        return sum(len(type(response).pb(response).chunks) for response in client.read_rows(request=request))


def _aggregate(
    settings: Settings,
    expected: log.Expected,
    pipeline: Pipeline,
    proxy: FaultProxy,
    outcome: Outcome,
    max_wait: float,
) -> None:
    """Request the aggregation of all days, and kill the function during the first one."""
    days = expected.days
    proxy.faults = Faults(delay=0.05)
    before = proxy.calls["ReadRows"]
    request = json.dumps({"from": str(days[0]), "to": str(days[-1])}).encode()
    with _publisher(settings) as publish:
        publish("aggregate-requests", [PubsubMessage(data=request)])
    # A day takes 64 scans: after 20 its run has begun and isn't finished.
    if _wait_until(max_wait, lambda: proxy.calls["ReadRows"] > before + 20):
        assert not dump(settings, "state", b"run#"), "the run finished before the kill"
        pipeline.kill("aggregate")
        outcome.faults["kill -9 aggregate"] += 1
    proxy.faults = Faults()
    _wait_until(max_wait, lambda: len(dump(settings, "state", b"run#")) == len(days))


def _compare(settings: Settings, expected: log.Expected, outcome: Outcome) -> None:
    found: Counter[str] = Counter()
    table = dump(settings, "events")
    missing = dict(expected.events)
    for row, qualifier, _, value in cells(table, "e"):
        cell_key = row.decode(), qualifier.decode()
        found[qualifier.decode()[12:]] += 1
        if cell_key not in expected.events:
            outcome.unexpected += 1
        elif missing.pop(cell_key, None) is not None and json.loads(value) != expected.events[cell_key]:
            outcome.altered += 1
    outcome.unexpected += sum(1 for _ in cells(table, "f"))
    outcome.lost += len(missing)
    outcome.doubled += sum(found.values()) - len(found)

    raws = Counter(value for row in dump(settings, "rejected").values() for _, value in row["r", b"raw"])
    outcome.lost += len(expected.bad - raws.keys())
    outcome.unexpected += len(raws.keys() - expected.bad)
    outcome.doubled += sum(raws.values()) - len(raws)

    outcome.aggregates = len(expected.aggregates)
    aggregates = {key: value for key, value in _aggregates(settings) if key[0] != "quality"}
    keys = aggregates.keys() | expected.aggregates.keys()
    outcome.wrong_measures = sum(aggregates.get(key) != expected.aggregates.get(key) for key in keys)


def _aggregates(settings: Settings) -> Iterator[tuple[tuple[str, date, str], dict[str, Any]]]:
    for row_key, columns in dump(settings, "aggregates").items():
        dimension, day, value = row_key.decode().split("#")
        cells_of_measures = {name: versions for (family, name), versions in columns.items() if family == "a"}
        measures = {name.decode(): json.loads(versions[0][1]) for name, versions in cells_of_measures.items()}
        yield (dimension, date(int(day[:4]), int(day[4:6]), int(day[6:])), value), measures
