"""A scan asks for what it should, and a broken stream goes on behind the last whole row."""

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

from shared.bigtable.read_rows import Filter, Scan, read_rows
from shared.bigtable.row_merger import InvalidChunkError, Row
from shared.errors import StoreRefusedError, StoreUnavailableError
from tests.support.read_rows_answers import answer, chunk, failed

GONE = failed(StatusCode.UNAVAILABLE, "gone")
TABLE = "projects/p/instances/i/tables/events"


# Scans


def test_a_scan_as_the_request_it_makes() -> None:
    scan = Scan(
        keys=[b"k"], ranges=[(b"a", b"b")], filter=Filter(cells_per_column_limit_filter=1), limit=5, reverse=True
    )

    request = scan.request(TABLE, "batch")

    assert (request.table_name, request.app_profile_id) == (TABLE, "batch")
    assert list(request.rows.row_keys) == [b"k"]
    (only,) = request.rows.row_ranges
    assert (only.start_key_closed, only.end_key_open) == (b"a", b"b")
    assert request.filter.cells_per_column_limit_filter == 1
    assert (request.rows_limit, request.reversed) == (5, True)
    assert not Scan(keys=[b"k"]).request(TABLE, "").HasField("filter")


def test_a_prefix_is_the_range_of_all_that_begin_with_it() -> None:
    scan = Scan.prefix(b"0a#", limit=3)

    assert (scan.ranges, scan.keys, scan.limit) == ([(b"0a#", b"0a$")], [], 3)


def wanted(scan: Scan, key: bytes) -> bool:
    return key in scan.keys or any(start <= key < end for start, end in scan.ranges)


short = st.binary(min_size=1, max_size=2)


@given(
    st.lists(short, max_size=3),
    st.lists(st.tuples(short, short).filter(lambda pair: pair[0] < pair[1]), max_size=3),
    short,
    st.booleans(),
    st.binary(max_size=3),
)
def test_what_is_left_is_what_lies_behind_the_last_key(
    keys: list[bytes], ranges: list[tuple[bytes, bytes]], last: bytes, reverse: bool, probe: bytes
) -> None:
    scan = Scan(keys=keys, ranges=ranges, reverse=reverse)

    left = scan.after(last, 1)

    behind = probe < last if reverse else probe > last
    assert (left is not None and wanted(left, probe)) == (behind and wanted(scan, probe))
    assert left is None or (left.reverse == reverse and all(start < end for start, end in left.ranges))


def test_limits_count_down() -> None:
    scan = Scan(ranges=[(b"a", b"z")], limit=5)

    left = scan.after(b"c", 2)

    assert left is not None
    assert left.limit == 3
    assert scan.after(b"c", 5) is None
    unlimited = Scan(ranges=[(b"a", b"z")]).after(b"c", 100)
    assert unlimited is not None
    assert unlimited.limit == 0


# Reading


Script = Iterable[Any]


class Stream:
    """One answer to ReadRows: responses, scanned keys as text, or an error to raise."""

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


class FakeCalls:
    """Answers ReadRows call after call as a test says."""

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

    def asked(self) -> list[tuple[list[bytes], list[tuple[bytes, bytes]], int]]:
        """Return (keys, ranges, limit) of each call."""
        return [
            (
                list(request.rows.row_keys),
                [(each.start_key_closed, each.end_key_open) for each in request.rows.row_ranges],
                request.rows_limit,
            )
            for request in self.requests
        ]


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries don't wait."""

    def none(_deadline: float) -> Any:
        while True:
            yield 0.0

    monkeypatch.setattr("shared.bigtable.retry.waits", none)


def reading(client: FakeCalls, scan: Scan, deadline: float = 60) -> Any:
    return read_rows(client, TABLE, "profile", scan, deadline=deadline)  # type: ignore[arg-type]


async def keys_read(client: FakeCalls, scan: Scan, deadline: float = 60) -> list[bytes]:
    return [row.key async for rows in reading(client, scan, deadline) for row in rows]


async def collect(batches: AsyncIterator[list[Row]], found: list[bytes]) -> None:
    """Put the keys of rows into a list that has what came before an error too."""
    async for rows in batches:
        found += [row.key for row in rows]


ALL = [(b"a", b"z")]


async def test_rows_are_read_in_one_call() -> None:
    client = FakeCalls([[chunk(b"a"), chunk(b"b")], chunk(b"c")])

    assert await keys_read(client, Scan(ranges=ALL)) == [b"a", b"b", b"c"]

    assert client.asked() == [([], ALL, 0)]
    assert client.calls == [(TABLE, "profile", 60, {})]
    assert client.streams[0].cancelled


async def test_nothing_to_read_is_no_call() -> None:
    client = FakeCalls([])

    assert await keys_read(client, Scan()) == []
    assert client.requests == []


async def test_a_reverse_scan_tells_the_server_that_it_can_follow() -> None:
    client = FakeCalls([chunk(b"b"), chunk(b"a")])

    assert await keys_read(client, Scan(ranges=ALL, reverse=True)) == [b"b", b"a"]

    *_, headers = client.calls[0]
    value = headers["bigtable-features"]
    assert FeatureFlags.deserialize(base64.urlsafe_b64decode(value)).reverse_scans
    assert client.requests[0].reversed


@pytest.mark.parametrize("error", [GONE, failed(StatusCode.ABORTED), ConnectionResetError("x"), InvalidChunkError("x")])
async def test_a_broken_stream_goes_on_behind_the_last_whole_row(error: Exception) -> None:
    client = FakeCalls(
        [chunk(b"a"), chunk(b"b"), chunk(b"c", commit=False), error], [chunk(b"c"), chunk(b"d"), error], [chunk(b"e")]
    )

    assert await keys_read(client, Scan(keys=[b"a", b"e"], ranges=ALL)) == [b"a", b"b", b"c", b"d", b"e"]

    assert client.asked() == [
        ([b"a", b"e"], ALL, 0),
        ([b"e"], [(b"b\0", b"z")], 0),
        ([b"e"], [(b"d\0", b"z")], 0),
    ]
    assert all(stream.cancelled for stream in client.streams)


async def test_a_broken_reverse_scan_goes_on_in_reverse() -> None:
    client = FakeCalls([chunk(b"d"), chunk(b"c"), GONE], [chunk(b"b")])

    assert await keys_read(client, Scan(keys=[b"b", b"d"], ranges=ALL, reverse=True)) == [b"d", b"c", b"b"]

    assert client.asked()[1] == ([b"b"], [(b"a", b"c")], 0)
    assert client.requests[1].reversed


async def test_a_stream_that_breaks_before_any_row_begins_again() -> None:
    client = FakeCalls([GONE], [GONE], [chunk(b"a", commit=False), GONE], [chunk(b"a")])

    assert await keys_read(client, Scan(ranges=ALL)) == [b"a"]
    assert client.asked() == [([], ALL, 0)] * 4


async def test_a_stream_that_ends_inside_a_row_has_broken() -> None:
    client = FakeCalls([chunk(b"a"), chunk(b"b", commit=False)], [chunk(b"b")])

    assert await keys_read(client, Scan(ranges=ALL)) == [b"a", b"b"]
    assert client.asked()[1] == ([], [(b"a\0", b"z")], 0)


async def test_it_goes_on_behind_what_was_scanned_without_a_row() -> None:
    client = FakeCalls([chunk(b"a"), "m", GONE], [chunk(b"n")])

    assert await keys_read(client, Scan(ranges=ALL)) == [b"a", b"n"]
    assert client.asked()[1] == ([], [(b"m\0", b"z")], 0)


async def test_the_limit_holds_over_all_calls() -> None:
    client = FakeCalls([chunk(b"a"), chunk(b"b"), "k", GONE], [chunk(b"l"), GONE])

    assert await keys_read(client, Scan(ranges=ALL, limit=3)) == [b"a", b"b", b"l"]
    assert [limit for _, _, limit in client.asked()] == [3, 1]


@pytest.mark.parametrize("scan", [Scan(keys=[b"a", b"b"]), Scan(ranges=[(b"a", b"b\0")]), Scan(ranges=ALL, limit=2)])
@pytest.mark.parametrize("error", [GONE, failed(StatusCode.NOT_FOUND, "x")])
async def test_what_breaks_when_all_is_there_is_no_matter(scan: Scan, error: Exception) -> None:
    client = FakeCalls([chunk(b"a"), chunk(b"b"), error])

    assert await keys_read(client, scan) == [b"a", b"b"]
    assert len(client.requests) == 1


async def test_what_no_try_will_mend_is_told_at_once() -> None:
    client = FakeCalls([failed(StatusCode.NOT_FOUND, "no table")])

    with pytest.raises(StoreRefusedError, match=r"^reading events: NOT_FOUND: no table$"):
        await keys_read(client, Scan(ranges=ALL))
    assert len(client.requests) == 1


async def test_rows_before_an_error_are_returned_first() -> None:
    client = FakeCalls([chunk(b"a"), failed(StatusCode.PERMISSION_DENIED, "no")])
    found: list[bytes] = []

    with pytest.raises(StoreRefusedError):
        await collect(reading(client, Scan(ranges=ALL)), found)
    assert found == [b"a"]


async def test_without_progress_it_is_given_up_after_the_deadline() -> None:
    client = FakeCalls([GONE])

    with pytest.raises(StoreUnavailableError, match=r"^reading events: UNAVAILABLE: gone$"):
        await keys_read(client, Scan(ranges=ALL), deadline=-1)
    assert len(client.requests) == 1


async def test_progress_begins_the_deadline_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    # given a clock by which every look at it is three seconds later
    loop = asyncio.get_running_loop()
    seconds = iter(range(0, 1_000, 3))
    monkeypatch.setattr(loop, "time", lambda: next(seconds))
    client = FakeCalls([chunk(b"a"), GONE], [chunk(b"b"), GONE], [chunk(b"c"), GONE], [GONE])

    found: list[bytes] = []
    with pytest.raises(StoreUnavailableError):
        await collect(reading(client, Scan(ranges=ALL), deadline=10), found)

    assert found == [b"a", b"b", b"c"]


async def test_a_reader_that_has_enough_ends_the_stream() -> None:
    client = FakeCalls([chunk(b"a"), chunk(b"b")])
    batches = reading(client, Scan(ranges=ALL))

    async for rows in batches:
        assert [row.key for row in rows] == [b"a", b"b"]
        break
    assert not client.streams[0].cancelled
    await batches.aclose()

    assert client.streams[0].cancelled
