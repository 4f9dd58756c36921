"""Rows 1 and 2: messages of one event and of a hundred events, in one instance of the function."""

from __future__ import annotations

from functools import partial

from tests.bench import events
from tests.bench.http_load import post_all
from tests.bench.peers import prebuilt
from tests.bench.peers.tables import create_table
from tests.bench.results import Result, alternate, least
from tests.bench.servers import BY_HAND, INGEST, NOOP, Servers
from tests.bench.verify_tables import verify_events, verify_rows

_WARM_UP = 500
_PACKED = 100


def single(servers: Servers) -> Result:
    """Measure row 1: requests per second with one event each."""
    found = alternate(
        {
            "ours": partial(ingest_requests, servers, 8_000, 1),
            "no-op": partial(noop_requests, servers, 10_000),
            "A": partial(by_hand_requests, servers, 2_000),
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


def packed(servers: Servers) -> Result:
    """Measure row 2: events per second in messages of a hundred events."""
    found = alternate(
        {
            "ours": lambda: _PACKED * ingest_requests(servers, 3_000, _PACKED),
            "A": partial(by_hand_requests, servers, 2_000),
            "limit": partial(_prebuilt_rows, servers, 200_000),
        },
        rounds=3,
        once=["A"],
    )
    ours = found.pop("ours")
    return Result(
        value=ours,
        unit="events/s",
        figures=found,
        ratios={name: ours / other for name, other in found.items()},
        targets={"limit": least(0.65)},
        how=f"CloudEvents with {_PACKED} events each, otherwise as row 1; A takes one event per message, in one round; "
        "the limit is a client that sends prebuilt MutateRows calls of 100 rows, four at a time",
    )


def ingest_requests(servers: Servers, count: int, packed: int) -> float:
    """Return the messages per second of the function, with `packed` events each."""
    warm_up = _WARM_UP // packed
    sent = list(events.records((count + warm_up) * packed))
    bodies = list(events.posts(map(events.encode, sent), packed=packed))
    with servers.bigtable() as settings, servers.function("ingest", INGEST, settings) as function:
        post_all(function.url, bodies[:warm_up])
        rate = post_all(function.url, bodies[warm_up:])
        verify_events(settings, (event["event_id"] for event in sent))
    return rate


def noop_requests(servers: Servers, count: int) -> float:
    """Return the messages per second of the framework with a function that does nothing."""
    bodies = list(events.posts(events.lines(count + _WARM_UP)))
    with servers.function("noop", NOOP) as function:
        post_all(function.url, bodies[:_WARM_UP])
        return post_all(function.url, bodies[_WARM_UP:])


def by_hand_requests(servers: Servers, count: int) -> float:
    """Return the messages per second of peer A, with one event each."""
    sent = list(events.records(count + _WARM_UP))
    bodies = list(events.posts(map(events.encode, sent)))
    with servers.bigtable(tables=False) as settings:
        create_table(settings, "by_hand")
        with servers.function("by_hand", BY_HAND, settings) as function:
            post_all(function.url, bodies[:_WARM_UP])
            rate = post_all(function.url, bodies[_WARM_UP:])
        verify_rows(settings, "by_hand", (event["event_id"] for event in sent))
    return rate


def _prebuilt_rows(servers: Servers, count: int) -> float:
    sent = list(events.records(count))
    with servers.bigtable() as settings:
        calls = prebuilt.build(settings, map(events.encode, sent), _PACKED)
        rate = prebuilt.send_all(settings, calls, _PACKED)
        verify_events(settings, (event["event_id"] for event in sent))
    return rate
