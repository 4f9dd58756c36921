"""Rows 1 and 2: messages of one event and of a hundred, through one instance of the function."""

from __future__ import annotations

from functools import partial

from tests.bench import counting, events
from tests.bench.load import post_all
from tests.bench.parts import BY_HAND, NOOP, OURS, Parts
from tests.bench.peers import prebuilt
from tests.bench.peers.tables import make_table
from tests.bench.results import Result, alternate, least

_WARM_UP = 500
_PACKED = 100


def single(parts: Parts) -> Result:
    """Row 1."""
    found = alternate(
        {
            "ours": partial(ingest_requests, parts, 8_000, 1),
            "no-op": partial(noop_requests, parts, 10_000),
            "A": partial(by_hand_requests, parts, 2_000),
        },
        rounds=3,
    )
    ours = found.pop("ours")
    return Result(
        value=ours,
        unit="requests/s",
        figures=found,
        ratios={name: ours / other for name, other in found.items()},
        targets={"no-op": least(0.95), "A": least(4.3)},
        how="CloudEvents with one event each, 64 at a time from wrk, to one instance under functions-framework; median "
        "of three rounds in turn, each on a new instance and a new emulator, after 500 requests to warm up",
    )


def envelopes(parts: Parts) -> Result:
    """Row 2."""
    found = alternate(
        {
            "ours": lambda: _PACKED * ingest_requests(parts, 3_000, _PACKED),
            "A": partial(by_hand_requests, parts, 2_000),
            "limit": partial(_prebuilt_rows, parts, 200_000),
        },
        rounds=3,
    )
    ours = found.pop("ours")
    return Result(
        value=ours,
        unit="events/s",
        figures=found,
        ratios={name: ours / other for name, other in found.items()},
        targets={"A": least(150), "limit": least(0.5)},
        how=f"CloudEvents with {_PACKED} events each, otherwise as row 1; A takes one event per message; "
        "the limit is a client that sends prebuilt MutateRows calls of 100 rows, four at a time",
    )


def ingest_requests(parts: Parts, count: int, packed: int) -> float:
    """Return how many messages a second the function takes, of so many events each."""
    warm_up = _WARM_UP // packed
    sent = list(events.records((count + warm_up) * packed))
    bodies = list(events.posts(map(events.encode, sent), packed=packed))
    with parts.bigtable() as settings, parts.function("ingest", OURS, settings) as function:
        post_all(function.url, bodies[:warm_up])
        rate = post_all(function.url, bodies[warm_up:])
        counting.expect_events(settings, (event["event_id"] for event in sent))
    return rate


def noop_requests(parts: Parts, count: int) -> float:
    """Return how many messages a second the framework takes if nothing is done with them."""
    bodies = list(events.posts(events.lines(count + _WARM_UP)))
    with parts.function("noop", NOOP) as function:
        post_all(function.url, bodies[:_WARM_UP])
        return post_all(function.url, bodies[_WARM_UP:])


def by_hand_requests(parts: Parts, count: int) -> float:
    """Return how many messages a second peer A takes, of one event each."""
    sent = list(events.records(count + _WARM_UP))
    bodies = list(events.posts(map(events.encode, sent)))
    with parts.bigtable(tables=False) as settings:
        make_table(settings, "by_hand")
        with parts.function("by_hand", BY_HAND, settings) as function:
            post_all(function.url, bodies[:_WARM_UP])
            rate = post_all(function.url, bodies[_WARM_UP:])
        counting.expect_rows(settings, "by_hand", (event["event_id"] for event in sent))
    return rate


def _prebuilt_rows(parts: Parts, count: int) -> float:
    sent = list(events.records(count))
    with parts.bigtable() as settings:
        calls = prebuilt.build(settings, map(events.encode, sent), _PACKED)
        rate = prebuilt.send_all(settings, calls, _PACKED)
        counting.expect_events(settings, (event["event_id"] for event in sent))
    return rate
