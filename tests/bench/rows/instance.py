"""Rows 8 and 9: what an instance takes to start, and what it holds."""

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
from tests.bench import counting, events
from tests.bench.load import post_all
from tests.bench.parts import BY_HAND, NOOP, OURS, Parts
from tests.bench.peers.tables import make_table
from tests.bench.results import Result, Wrong, alternate, most
from tests.support.samples import ROOT

HEADERS = {
    "content-type": "application/json",
    "ce-id": "bench",
    "ce-source": "//pubsub.googleapis.com/projects/bench/topics/events",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
}
_LONGEST_START = 60.0
_EVENTS, _PACKED = 1_000_000, 100
_BETWEEN = 500  # messages between two looks at the memory
# What the cloud asks for beside what an emulator does, see shared/calls.py; everything else is there by then.
_BEFORE = "import functions_framework.aio, uvicorn, functions.ingest.main"
_CREDENTIALS = "import google.auth, google.auth.transport.grpc, google.auth.transport.requests"


def cold_start(parts: Parts) -> Result:
    """Row 8."""
    with parts.bigtable() as settings:
        make_table(settings, "by_hand")
        found = alternate(
            {
                "ours": partial(_first_answer, parts, "ingest", OURS, settings),
                "no-op": partial(_first_answer, parts, "noop", NOOP, settings),
                "A": partial(_first_answer, parts, "by_hand", BY_HAND, settings),
            },
            rounds=5,
        )
        (event,) = events.records(1)
        counting.expect_events(settings, [event["event_id"]])
        counting.expect_rows(settings, "by_hand", [event["event_id"]])
    ours = found.pop("ours")
    imports = alternate(
        {"without": partial(_run, _BEFORE), "with": partial(_run, f"{_BEFORE}; {_CREDENTIALS}")}, rounds=5
    )
    return Result(
        value=ours,
        unit="s",
        figures={**found, "google-auth, on Google Cloud on top": imports["with"] - imports["without"]},
        ratios={name: ours / other for name, other in found.items()},
        targets={"no-op": most(1.7), "A": most(0.6)},
        how="from the process's start until the first event is stored (for the no-op: until the first answer), "
        "the event being posted again and again until the server takes it; median of five rounds in turn, files in the "
        "system's cache. An emulator asks for no credentials; what importing google-auth takes stands beside it",
    )


def memory(parts: Parts) -> Result:
    """Row 9."""
    bodies = events.posts(events.lines(_EVENTS), packed=_PACKED)
    few = list(events.posts(events.lines(2_000)))
    with parts.function("noop", NOOP) as function:
        post_all(function.url, few)
        noop = function.memory()
    with parts.bigtable(tables=False) as settings, parts.function("by_hand", BY_HAND, settings) as function:
        make_table(settings, "by_hand")
        post_all(function.url, few)
        by_hand = function.memory()
    with parts.bigtable() as settings, parts.function("ingest", OURS, settings) as function:
        looks = []
        while some := list(islice(bodies, _BETWEEN)):
            post_all(function.url, some)
            looks.append(function.memory())
        counting.expect_events(settings, (event["event_id"] for event in events.records(_EVENTS)))
    early, late = median(looks[1:10]), median(looks[10:])
    return Result(
        value=late,
        unit="MiB",
        figures={"after the first 100,000": early, "no-op": noop, "A": by_hand},
        ratios={"growth after the first 100,000": late / early, "no-op": late / noop},
        targets={"growth after the first 100,000": most(1.02), "no-op": most(2)},
        how=f"proportional set size of an instance's processes, after {_EVENTS:,} events in messages of {_PACKED}, "
        f"64 at a time, looked at after each {_BETWEEN * _PACKED:,}; as it goes up and down by some MiB, the median "
        "from 100,000 to 500,000 and that of the second half; the no-op's and A's after 2,000 messages of one event. "
        "Growth of up to 2 % counts as none",
    )


def _run(code: str) -> float:
    """Return the seconds that a process takes that does no more than this."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    return time.monotonic() - started


def _first_answer(parts: Parts, target: str, source: Path, settings: Settings) -> float:
    """Return the seconds from the start of a function until it has done its first work."""
    (body,) = events.posts(events.lines(1))
    started = time.monotonic()
    function = parts.start_function(target, source, settings)
    try:
        while time.monotonic() - started < _LONGEST_START:
            connection = HTTPConnection("127.0.0.1", function.port, timeout=_LONGEST_START)
            try:
                connection.request("POST", "/", body, HEADERS)
                status = connection.getresponse().status
            except (OSError, HTTPException):
                time.sleep(0.005)
                continue
            finally:
                connection.close()
            if not 200 <= status < 300:
                raise Wrong(f"{target} answered {status}: {function.child.log_tail()}")
            return time.monotonic() - started
        raise Wrong(f"{target} didn't answer within {_LONGEST_START:g} s: {function.child.log_tail()}")
    finally:
        parts.forget(function)
