"""Rows 8 and 9: the cold start and the memory of an instance."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from http.client import HTTPConnection, HTTPException
from itertools import islice
from pathlib import Path
from statistics import median

from shared.config import Settings
from tests.bench import events
from tests.bench.growth import growth_per_million
from tests.bench.http_load import post_all
from tests.bench.peers.tables import create_table
from tests.bench.results import MeasurementError, Result, alternate, most
from tests.bench.servers import BY_HAND, INGEST, NOOP, Function, Servers
from tests.bench.verify_tables import verify_events, verify_rows
from tests.support.samples import ROOT

HEADERS = {
    "content-type": "application/json",
    "ce-id": "bench",
    "ce-source": "//pubsub.googleapis.com/projects/bench/topics/events",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
}
_START_TIMEOUT = 60.0
_EVENTS, _PACKED = 1_000_000, 100
_BETWEEN = 100  # messages between two samples of the memory
_SETTLED = 100_000  # events after which growth counts
_GROWTH = "lower bound of growth"
# Imports that only Google Cloud needs (shared/bigtable/transport.py), and those that precede them.
_BEFORE = "import functions_framework.aio, uvicorn, functions.ingest.main"
_CREDENTIALS = "import google.auth, google.auth.transport.grpc, google.auth.transport.requests"


def cold_start(servers: Servers) -> Result:
    """Measure row 8: seconds from the start of the process to the first stored event."""
    with servers.bigtable() as settings:
        create_table(settings, "by_hand")
        found = alternate(
            {
                "ours": partial(_first_answer, servers, "ingest", INGEST, settings),
                "no-op": partial(_first_answer, servers, "noop", NOOP, settings),
                "A": partial(_first_answer, servers, "by_hand", BY_HAND, settings),
            },
            rounds=9,
        )
        (event,) = events.records(1)
        verify_events(settings, [event["event_id"]])
        verify_rows(settings, "by_hand", [event["event_id"]])
    ours = found.pop("ours")
    imports = alternate(
        {"without": partial(_run, _BEFORE), "with": partial(_run, f"{_BEFORE}; {_CREDENTIALS}")}, rounds=5
    )
    return Result(
        value=ours,
        unit="s",
        figures={**found, "google-auth, on Google Cloud on top": imports["with"] - imports["without"]},
        ratios={name: ours / other for name, other in found.items()},
        targets={"no-op": most(1.3), "A": most(0.6)},
        how="from the process's start until the first event is stored (for the no-op: until the first answer), "
        "the event being posted repeatedly until the server accepts it; median of nine rounds in turn, files in the "
        "system's cache, with bytecode, which the first round writes. An emulator needs no credentials; the import "
        "time of google-auth is listed separately",
    )


def memory(servers: Servers) -> Result:
    """Measure row 9: memory in MiB after many events."""
    bodies_of_peers = list(events.posts(events.lines(2_000)))
    with servers.function("noop", NOOP) as function:
        post_all(function.url, bodies_of_peers)
        unloaded = function.memory_mib()
        noop = _settled(_samples(function))
    with servers.bigtable(tables=False) as settings, servers.function("by_hand", BY_HAND, settings) as function:
        create_table(settings, "by_hand")
        post_all(function.url, bodies_of_peers)
        by_hand = function.memory_mib()
    with servers.bigtable() as settings, servers.function("ingest", INGEST, settings) as function:
        samples = _samples(function)
        verify_events(settings, (event["event_id"] for event in events.records(_EVENTS)))
    value = _settled(samples)
    growth = growth_per_million(*zip(*[each for each in samples if each[0] >= _SETTLED], strict=True))
    return Result(
        value=value,
        unit="MiB",
        figures={
            "no-op": noop,
            "no-op after 2,000 messages of one event": unloaded,
            "A": by_hand,
            "growth per million events": growth.estimate,
            "upper bound of growth": growth.high,
        },
        ratios={_GROWTH: growth.low, "no-op": value / noop},
        targets={_GROWTH: most(0.02), "no-op": most(1.6)},
        how=f"proportional set size of an instance's processes during {_EVENTS:,} events in messages of {_PACKED}, 64 "
        f"at a time, sampled after each {_BETWEEN * _PACKED:,}: the median of the second half. The no-op gets the same "
        "messages; A, which takes one event a message, gets 2,000 of these. The growth is the slope of memory over "
        f"events after the first {_SETTLED:,} by least squares, per million events and as a share of the mean. The "
        "samples fluctuate by some MiB, so the target is for the lower bound of the slope's 95 % confidence interval "
        "(Student's t): a leak of a twentieth exceeds it, and noise doesn't",
    )


def _samples(function: Function) -> list[tuple[int, float]]:
    """Send all events; return how many were sent and the memory in MiB, several times."""
    bodies = events.posts(events.lines(_EVENTS), packed=_PACKED)
    samples: list[tuple[int, float]] = []
    while batch := list(islice(bodies, _BETWEEN)):
        post_all(function.url, batch)
        sent = samples[-1][0] if samples else 0
        samples.append((sent + len(batch) * _PACKED, function.memory_mib()))
    return samples


def _settled(samples: list[tuple[int, float]]) -> float:
    """Return the median memory in the second half."""
    return median(sample for _, sample in samples[len(samples) // 2 :])


def _run(code: str) -> float:
    """Return the seconds that a Python process takes to run the code."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    return time.monotonic() - started


def _first_answer(servers: Servers, target: str, source: Path, settings: Settings) -> float:
    """Return the seconds from the start of a function to its first response of 2xx."""
    (body,) = events.posts(events.lines(1))
    started = time.monotonic()
    function = servers.start_function(target, source, settings)
    try:
        while time.monotonic() - started < _START_TIMEOUT:
            connection = HTTPConnection("127.0.0.1", function.port, timeout=_START_TIMEOUT)
            try:
                connection.request("POST", "/", body, HEADERS)
                status = connection.getresponse().status
            except (OSError, HTTPException):
                time.sleep(0.005)
                continue
            finally:
                connection.close()
            if not 200 <= status < 300:
                raise MeasurementError(f"{target} answered {status}: {function.child.log_tail()}")
            return time.monotonic() - started
        raise MeasurementError(f"{target} didn't answer within {_START_TIMEOUT:g} s: {function.child.log_tail()}")
    finally:
        servers.forget(function)
