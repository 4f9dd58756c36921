"""What is done to a pipeline under load, and whether all is as it has to be afterwards."""

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

from shared.config import Settings
from tests.faults import log
from tests.faults.pipeline import Pipeline
from tests.faults.proxy import TRANSIENT, Code, FaultProxy, Faults
from tests.support.samples import cells, dump

LINES = {"content-type": "application/x-ndjson"}
_POLL = 0.2


@dataclass(frozen=True)
class Size:
    """How much load, and for how long.

    Attributes:
        seconds: that publishing takes; what is done to the pipeline is done meanwhile.
        patience: seconds after that until what isn't stored counts as lost.
    """

    events: int = 50_000
    users: int = 2_000
    seconds: float = 30.0
    patience: float = 240.0


@dataclass
class Outcome:
    """What became of it.

    Attributes:
        deliveries: posts of messages to the function, answered or not.
        lost: events of the log that are not where they have to be, and bad ones that aren't in quarantine.
        doubled: cells and quarantine rows of one event beyond the first.
        strange: cells and quarantine rows that no event of the log accounts for.
        altered: events that aren't stored as they have to be.
        wrong_figures: aggregates that aren't what the log says.
        endings: seconds that parts took to end when asked to.
        peak: MiB of an instance of `ingest` at most.
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
    strange: int = 0
    altered: int = 0
    wrong_figures: int = 0
    figures: int = 0
    endings: list[float] = field(default_factory=list)
    peak: int = 0
    seconds: float = 0.0

    def summary(self) -> str:
        """Return what happened and what became of it, for a person."""
        faults = ", ".join(f"{what} {count:,}" for what, count in sorted(self.faults.items())) or "none"
        rows = {
            "published": f"{self.events:,} events ({self.bad:,} bad), {self.published:,} with repeats, "
            f"in {self.messages:,} messages",
            "deliveries": f"{self.deliveries:,}",
            "faults": faults,
            "lost": f"{self.lost:,}",
            "doubled": f"{self.doubled:,}",
            "altered, or nobody's": f"{self.altered + self.strange:,}",
            "wrong figures": f"{self.wrong_figures:,} of {self.figures:,}",
            "endings": ", ".join(f"{seconds:.1f} s" for seconds in self.endings),
            "peak memory": f"{self.peak} MiB",
            "took": f"{self.seconds:.0f} s",
        }
        return "\n".join([self.name, *(f"  {what:<22}{how}" for what, how in rows.items() if how), ""])

    @property
    def promise_kept(self) -> bool:
        return not (self.lost or self.doubled or self.strange or self.altered or self.wrong_figures)


class Chaos:
    """What a scenario can do, and how long it may."""

    def __init__(self, pipeline: Pipeline, proxy: FaultProxy, size: Size, outcome: Outcome, load: _Load) -> None:
        self.pipeline, self.proxy, self.size, self.outcome, self._load = pipeline, proxy, size, outcome, load

    def until_published(self, share: float) -> None:
        """Wait until that share of the load is published."""
        while self._load.share < share and self._load.is_alive():
            self.pipeline.sample()
            time.sleep(_POLL / 4)

    def until_injected(self, kind: str, count: int) -> None:
        """Wait until so many faults of a kind have happened, with what is published and not yet stored."""
        _until(self.size.patience, lambda: self.proxy.injected[kind] >= count)

    def kill(self, name: str) -> None:
        self.pipeline.kill(name)
        self.outcome.faults[f"kill -9 {name}"] += 1

    def terminate(self, name: str) -> None:
        self.pipeline.wait_for(name)
        self.outcome.endings.append(self.pipeline.terminate(name))
        self.outcome.faults[f"SIGTERM {name}"] += 1


Scenario = Callable[[Chaos], None]


def kills_of_ingest(chaos: Chaos) -> None:
    """kill -9 of the function every second or so, started again each time."""
    kills = max(3, round(chaos.size.seconds))
    for number in range(kills):
        chaos.until_published((number + 0.9) / (kills + 1))
        chaos.kill("ingest")


def a_failing_bigtable(chaos: Chaos) -> None:
    """30 % of calls fail, 10 % of entries, 5 % of answers are lost, connections are reset, and then it is dark."""
    codes = (*TRANSIENT, Code.INTERNAL, Code.ABORTED, Code.PERMISSION_DENIED)
    chaos.proxy.faults = Faults(calls=0.3, codes=codes, entries=0.1, answers=0.05)
    chaos.until_published(0.3)
    chaos.proxy.reset()
    chaos.until_published(0.5)
    with chaos.proxy.darkness():
        chaos.until_published(0.5 + 10 / max(chaos.size.seconds, 20))
    chaos.until_published(1.0)
    chaos.until_injected("answer lost", 1)


def kills_of_the_relay(chaos: Chaos) -> None:
    """kill -9 of the relay, which holds messages that nobody has answered yet."""
    for share in (0.2, 0.5, 0.8):
        chaos.until_published(share)
        chaos.kill("relay")


def endings_under_load(chaos: Chaos) -> None:
    """SIGTERM to the function, once while Bigtable is away, and to the relay."""
    for share, name in ((0.2, "ingest"), (0.4, "relay"), (0.6, "ingest")):
        chaos.until_published(share)
        chaos.terminate(name)
    chaos.until_published(0.8)
    with chaos.proxy.darkness():
        chaos.until_published(0.85)
        chaos.terminate("ingest")


def everything(chaos: Chaos) -> None:
    """All of it at once, for as long as the load lasts; longer where a machine is too slow to do much meanwhile."""
    chaos.proxy.faults = Faults(calls=0.2, codes=(*TRANSIENT, Code.PERMISSION_DENIED), entries=0.1, answers=0.2)
    rounds = max(2, round(chaos.size.seconds / 5))
    for number in range(rounds):
        chaos.until_published((number + 0.5) / rounds)
        what = number % 4
        if what == 0:
            chaos.kill("ingest")
        elif what == 1:
            chaos.kill("relay")
        elif what == 2:
            chaos.proxy.reset()
        else:
            with chaos.proxy.darkness():
                chaos.until_published((number + 0.8) / rounds)
    chaos.until_published(1.0)
    chaos.until_injected("answer lost", 1)
    chaos.until_injected("entry failed", 20)


SCENARIOS: list[Scenario] = [kills_of_ingest, a_failing_bigtable, kills_of_the_relay, endings_under_load, everything]


def play(scenario: Scenario, settings: Settings, size: Size, folder: Path, *, seed: int = 0) -> Outcome:
    """Send a log through a fresh pipeline, do to it what the scenario says, and compare what is there with the log."""
    outcome = Outcome(scenario.__name__.replace("_", " "))
    path = folder / f"{scenario.__name__}.jsonl"
    log.write(path, events=size.events, users=size.users, seed=seed)
    expected = log.expected(path)
    began = time.monotonic()
    # A deadline below that of a message's lease, so that messages come again and not only calls.
    with (
        FaultProxy(str(settings.bigtable_emulator), seed=seed) as proxy,
        Pipeline(settings, proxy.address, SLUICE_STORE_DEADLINE="6") as pipeline,
    ):
        load = _Load(settings, list(log.messages(path, again=0.2, seed=seed)), size.seconds)
        load.start()
        try:
            scenario(Chaos(pipeline, proxy, size, outcome, load))
        finally:
            load.join()
        proxy.faults = Faults()
        _until(size.patience, lambda: _settled(settings, expected))
        _aggregate(settings, expected, pipeline, proxy, outcome, size.patience)
        pipeline.stop("relay")
        relayed = pipeline.relayed()
        outcome.deliveries = relayed["delivered"] + relayed["failed"]
        outcome.faults += proxy.injected
        outcome.peak = pipeline.peak
    outcome.seconds = time.monotonic() - began
    outcome.events, outcome.bad = size.events, len(expected.bad)
    outcome.published, outcome.messages = load.events, load.published
    _compare(settings, expected, outcome)
    return outcome


class _Load(threading.Thread):
    """Publishes messages, evenly over some seconds."""

    def __init__(self, settings: Settings, datas: list[bytes], seconds: float) -> None:
        super().__init__(daemon=True)
        self._settings, self._datas, self._seconds = settings, datas, seconds
        self.events = sum(data.count(b"\n") + 1 for data in datas)
        self.published = 0

    @property
    def share(self) -> float:
        return self.published / len(self._datas)

    def run(self) -> None:
        began = time.monotonic()
        with _publisher(self._settings) as publish:
            while self.published < len(self._datas):
                due = int(len(self._datas) * min(1.0, (time.monotonic() - began) / self._seconds))
                datas = self._datas[self.published : min(due, self.published + 500)]
                if datas:
                    publish("events", [PubsubMessage(data=data, attributes=LINES) for data in datas])
                    self.published += len(datas)
                else:
                    time.sleep(0.01)


@contextmanager
def _publisher(settings: Settings) -> Iterator[Callable[[str, list[PubsubMessage]], None]]:
    with grpc.insecure_channel(str(settings.pubsub_emulator)) as channel:
        client = PublisherClient(transport=PublisherGrpcTransport(channel=channel))

        def publish(topic: str, messages: list[PubsubMessage]) -> None:
            client.publish(topic=f"projects/{settings.project_id}/topics/{topic}", messages=messages, timeout=60)

        yield publish


def _until(seconds: float, condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(_POLL)
    return True


def _settled(settings: Settings, expected: log.Expected) -> bool:
    """Return whether there is as much as there has to be; what it is, is looked at later."""
    return _count(settings, "events") >= len(expected.events) and _count(settings, "rejected") >= 4 * len(expected.bad)


def _count(settings: Settings, table: str) -> int:
    """Return how many cells a table has."""
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
    patience: float,
) -> None:
    """Have the days computed by the real function, which is killed half-way through the first."""
    days = expected.days
    proxy.faults = Faults(delay=0.05)
    before = proxy.calls["ReadRows"]
    request = json.dumps({"from": str(days[0]), "to": str(days[-1])}).encode()
    with _publisher(settings) as publish:
        publish("aggregate-requests", [PubsubMessage(data=request)])
    # A day is 64 scans: it has begun, and isn't done.
    if _until(patience, lambda: proxy.calls["ReadRows"] > before + 20):
        assert not dump(settings, "state", b"run#"), "it was done before it could be killed"
        pipeline.kill("aggregate")
        outcome.faults["kill -9 aggregate"] += 1
    proxy.faults = Faults()
    _until(patience, lambda: len(dump(settings, "state", b"run#")) == len(days))


def _compare(settings: Settings, expected: log.Expected, outcome: Outcome) -> None:
    found: Counter[str] = Counter()
    table = dump(settings, "events")
    missing = dict(expected.events)
    for row, qualifier, _, value in cells(table, "e"):
        place = row.decode(), qualifier.decode()
        found[qualifier.decode()[12:]] += 1
        if place not in expected.events:
            outcome.strange += 1
        elif missing.pop(place, None) is not None and json.loads(value) != expected.events[place]:
            outcome.altered += 1
    outcome.strange += sum(1 for _ in cells(table, "f"))
    outcome.lost += len(missing)
    outcome.doubled += sum(found.values()) - len(found)

    raws = Counter(value for row in dump(settings, "rejected").values() for _, value in row["r", b"raw"])
    outcome.lost += len(expected.bad - raws.keys())
    outcome.strange += len(raws.keys() - expected.bad)
    outcome.doubled += sum(raws.values()) - len(raws)

    outcome.figures = len(expected.aggregates)
    aggregates = {key: value for key, value in _aggregates(settings) if key[0] != "quality"}
    keys = aggregates.keys() | expected.aggregates.keys()
    outcome.wrong_figures = sum(aggregates.get(key) != expected.aggregates.get(key) for key in keys)


def _aggregates(settings: Settings) -> Iterator[tuple[tuple[str, date, str], dict[str, Any]]]:
    for row_key, columns in dump(settings, "aggregates").items():
        dimension, day, value = row_key.decode().split("#")
        figures = {name.decode(): json.loads(versions[0][1]) for (_, name), versions in columns.items()}
        yield (dimension, date(int(day[:4]), int(day[4:6]), int(day[6:])), value), figures
