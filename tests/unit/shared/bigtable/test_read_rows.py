"""Scans: their requests, and the resumption of an interrupted stream after its last complete row."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from google.cloud.bigtable_v2.types import FeatureFlags, ReadRowsRequest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from shared.bigtable.bigtable_pb2 import RowFilter as Filter
from shared.bigtable.read_rows import Scan, read_rows
from shared.bigtable.row_merger import InvalidChunkError, Row
from shared.errors import StoreRefusedError, StoreUnavailableError
from tests.support.read_rows_answers import answer, chunk, failed

GONE = failed(StatusCode.UNAVAILABLE, "gone")
TABLE = "projects/p/instances/i/tables/events"


# Scans


def test_the_request_of_a_scan() -> None:
    scan = Scan(
        keys=[b"k"], ranges=[(b"a", b"b")], filter=Filter(cells_per_column_limit_filter=1), limit=5, reverse=True
    )

    request = ReadRowsRequest.pb().FromString(scan.request(TABLE, "batch"))

    assert (request.table_name, request.app_profile_id) == (TABLE, "batch")
    assert list(request.rows.row_keys) == [b"k"]
    (only,) = request.rows.row_ranges
    assert (only.start_key_closed, only.end_key_open) == (b"a", b"b")
    assert request.filter.cells_per_column_limit_filter == 1
    assert (request.rows_limit, request.reversed) == (5, True)
    assert not ReadRowsRequest.pb().FromString(Scan(keys=[b"k"]).request(TABLE, "")).HasField("filter")


def test_a_prefix_scan_is_the_range_of_all_keys_with_the_prefix() -> None:
    scan = Scan.prefix(b"0a#", limit=3)

    assert (scan.ranges, scan.keys, scan.limit) == ([(b"0a#", b"0a$")], [], 3)


def contains(scan: Scan, key: bytes) -> bool:
    return key in scan.keys or any(start <= key < end for start, end in scan.ranges)


short_keys = st.binary(min_size=1, max_size=2)


@given(
    st.lists(short_keys, max_size=3),
    st.lists(st.tuples(short_keys, short_keys).filter(lambda pair: pair[0] < pair[1]), max_size=3),
    short_keys,
    st.booleans(),
    st.binary(max_size=3),
)
def test_a_resumed_scan_has_the_keys_after_the_last_one(
    keys: list[bytes], ranges: list[tuple[bytes, bytes]], last: bytes, reverse: bool, probe: bytes
) -> None:
    scan = Scan(keys=keys, ranges=ranges, reverse=reverse)

    remaining = scan.after(last, 1)

    is_after = probe < last if reverse else probe > last
    assert (remaining is not None and contains(remaining, probe)) == (is_after and contains(scan, probe))
    assert remaining is None or (remaining.reverse == reverse and all(start < end for start, end in remaining.ranges))


def test_a_resumed_scan_has_the_remaining_limit() -> None:
    scan = Scan(ranges=[(b"a", b"z")], limit=5)

    remaining = scan.after(b"c", 2)

    assert remaining is not None
    assert remaining.limit == 3
    assert scan.after(b"c", 5) is None
    unlimited = Scan(ranges=[(b"a", b"z")]).after(b"c", 100)
    assert unlimited is not None
    assert unlimited.limit == 0


# Reading


Script = Iterable[Any]


class Stream:
    """A fake ReadRows stream; a step of its script is chunks, a scanned key as text, or an error to raise."""

    def __init__(self, script: Script) -> None:
        self._script = list(script)
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self._script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, str):
                yield answer(last_scanned_row_key=step.encode())
            else:
                yield answer(chunks=step if isinstance(step, list) else [step])


class FakeTransport:
    """A fake transport: each ReadRows call follows the next script; the last script repeats."""

    def __init__(self, *scripts: Script) -> None:
        self.requests: list[Any] = []
        self.calls: list[tuple[str, str, float, dict[str, str]]] = []
        self.streams: list[Stream] = []
        self._scripts = list(scripts)

    def read_rows(
        self, request: bytes, table: str, app_profile: str, timeout: float, headers: Iterable[tuple[str, str]]
    ) -> Stream:
        self.requests.append(ReadRowsRequest.pb(ReadRowsRequest.deserialize(request)))
        self.calls.append((table, app_profile, timeout, dict(headers)))
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        self.streams.append(Stream(script))
        return self.streams[-1]

    def requested(self) -> list[tuple[list[bytes], list[tuple[bytes, bytes]], int]]:
        """Return (keys, ranges, limit) of each request."""
        return [
            (
                list(request.rows.row_keys),
                [(each.start_key_closed, each.end_key_open) for each in request.rows.row_ranges],
                request.rows_limit,
            )
            for request in self.requests
        ]


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the waits between attempts zero."""

    def zero(_deadline: float) -> Any:
        while True:
            yield 0.0

    monkeypatch.setattr("shared.bigtable.retry.waits", zero)


def read(transport: FakeTransport, scan: Scan, deadline: float = 60) -> Any:
    return read_rows(transport, TABLE, "profile", scan, deadline=deadline)  # type: ignore[arg-type]


async def read_keys(transport: FakeTransport, scan: Scan, deadline: float = 60) -> list[bytes]:
    return [row.key async for rows in read(transport, scan, deadline) for row in rows]


async def collect(batches: AsyncIterator[list[Row]], found: list[bytes]) -> None:
    """Append the keys of rows to a list, which keeps the keys before an error."""
    async for rows in batches:
        found += [row.key for row in rows]


ALL = [(b"a", b"z")]


async def test_rows_are_read_in_one_call() -> None:
    transport = FakeTransport([[chunk(b"a"), chunk(b"b")], chunk(b"c")])

    assert await read_keys(transport, Scan(ranges=ALL)) == [b"a", b"b", b"c"]

    assert transport.requested() == [([], ALL, 0)]
    assert transport.calls == [(TABLE, "profile", 60, {})]
    assert transport.streams[0].cancelled


async def test_an_empty_scan_makes_no_call() -> None:
    transport = FakeTransport([])

    assert await read_keys(transport, Scan()) == []
    assert transport.requests == []


async def test_a_reverse_scan_declares_its_support_to_the_server() -> None:
    transport = FakeTransport([chunk(b"b"), chunk(b"a")])

    assert await read_keys(transport, Scan(ranges=ALL, reverse=True)) == [b"b", b"a"]

    *_, headers = transport.calls[0]
    value = headers["bigtable-features"]
    assert FeatureFlags.deserialize(base64.urlsafe_b64decode(value)).reverse_scans
    assert transport.requests[0].reversed


@pytest.mark.parametrize("error", [GONE, failed(StatusCode.ABORTED), ConnectionResetError("x"), InvalidChunkError("x")])
async def test_an_interrupted_stream_resumes_after_the_last_complete_row(error: Exception) -> None:
    transport = FakeTransport(
        [chunk(b"a"), chunk(b"b"), chunk(b"c", commit=False), error], [chunk(b"c"), chunk(b"d"), error], [chunk(b"e")]
    )

    assert await read_keys(transport, Scan(keys=[b"a", b"e"], ranges=ALL)) == [b"a", b"b", b"c", b"d", b"e"]

    assert transport.requested() == [
        ([b"a", b"e"], ALL, 0),
        ([b"e"], [(b"b\0", b"z")], 0),
        ([b"e"], [(b"d\0", b"z")], 0),
    ]
    assert all(stream.cancelled for stream in transport.streams)


async def test_an_interrupted_reverse_scan_resumes_in_reverse() -> None:
    transport = FakeTransport([chunk(b"d"), chunk(b"c"), GONE], [chunk(b"b")])

    assert await read_keys(transport, Scan(keys=[b"b", b"d"], ranges=ALL, reverse=True)) == [b"d", b"c", b"b"]

    assert transport.requested()[1] == ([b"b"], [(b"a", b"c")], 0)
    assert transport.requests[1].reversed


async def test_a_stream_interrupted_before_any_row_starts_again() -> None:
    transport = FakeTransport([GONE], [GONE], [chunk(b"a", commit=False), GONE], [chunk(b"a")])

    assert await read_keys(transport, Scan(ranges=ALL)) == [b"a"]
    assert transport.requested() == [([], ALL, 0)] * 4


async def test_a_stream_that_ends_inside_a_row_is_resumed() -> None:
    transport = FakeTransport([chunk(b"a"), chunk(b"b", commit=False)], [chunk(b"b")])

    assert await read_keys(transport, Scan(ranges=ALL)) == [b"a", b"b"]
    assert transport.requested()[1] == ([], [(b"a\0", b"z")], 0)


async def test_a_stream_resumes_after_the_last_scanned_key() -> None:
    transport = FakeTransport([chunk(b"a"), "m", GONE], [chunk(b"n")])

    assert await read_keys(transport, Scan(ranges=ALL)) == [b"a", b"n"]
    assert transport.requested()[1] == ([], [(b"m\0", b"z")], 0)


async def test_the_limit_applies_to_all_calls_together() -> None:
    transport = FakeTransport([chunk(b"a"), chunk(b"b"), "k", GONE], [chunk(b"l"), GONE])

    assert await read_keys(transport, Scan(ranges=ALL, limit=3)) == [b"a", b"b", b"l"]
    assert [limit for _, _, limit in transport.requested()] == [3, 1]


@pytest.mark.parametrize("scan", [Scan(keys=[b"a", b"b"]), Scan(ranges=[(b"a", b"b\0")]), Scan(ranges=ALL, limit=2)])
@pytest.mark.parametrize("error", [GONE, failed(StatusCode.NOT_FOUND, "x")])
async def test_an_error_after_all_requested_rows_is_ignored(scan: Scan, error: Exception) -> None:
    transport = FakeTransport([chunk(b"a"), chunk(b"b"), error])

    assert await read_keys(transport, scan) == [b"a", b"b"]
    assert len(transport.requests) == 1


async def test_a_permanent_error_is_not_retried() -> None:
    transport = FakeTransport([failed(StatusCode.NOT_FOUND, "no table")])

    with pytest.raises(StoreRefusedError, match=r"^reading events: NOT_FOUND: no table$"):
        await read_keys(transport, Scan(ranges=ALL))
    assert len(transport.requests) == 1


async def test_rows_before_an_error_are_yielded() -> None:
    transport = FakeTransport([chunk(b"a"), failed(StatusCode.PERMISSION_DENIED, "no")])
    found: list[bytes] = []

    with pytest.raises(StoreRefusedError):
        await collect(read(transport, Scan(ranges=ALL)), found)
    assert found == [b"a"]


async def test_a_read_without_progress_fails_after_the_deadline() -> None:
    transport = FakeTransport([GONE])

    with pytest.raises(StoreUnavailableError, match=r"^reading events: UNAVAILABLE: gone$"):
        await read_keys(transport, Scan(ranges=ALL), deadline=-1)
    assert len(transport.requests) == 1


async def test_progress_restarts_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    # a clock that advances by three seconds each time it is read
    loop = asyncio.get_running_loop()
    seconds = iter(range(0, 1_000, 3))
    monkeypatch.setattr(loop, "time", lambda: next(seconds))
    transport = FakeTransport([chunk(b"a"), GONE], [chunk(b"b"), GONE], [chunk(b"c"), GONE], [GONE])

    found: list[bytes] = []
    with pytest.raises(StoreUnavailableError):
        await collect(read(transport, Scan(ranges=ALL), deadline=10), found)

    assert found == [b"a", b"b", b"c"]


async def test_a_reader_that_stops_early_cancels_the_stream() -> None:
    transport = FakeTransport([chunk(b"a"), chunk(b"b")])
    batches = read(transport, Scan(ranges=ALL))

    async for rows in batches:
        assert [row.key for row in rows] == [b"a", b"b"]
        break
    assert not transport.streams[0].cancelled
    await batches.aclose()

    assert transport.streams[0].cancelled
