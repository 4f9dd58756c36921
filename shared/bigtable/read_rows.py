"""Scans of a table: what to read, and streams that go on where they broke."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Iterable

from grpc.aio import AioRpcError

from shared.bigtable import retry
from shared.bigtable.bigtable_pb2 import FeatureFlags, ReadRowsRequest, RowFilter
from shared.bigtable.row_merger import InvalidChunkError, Row, RowMerger
from shared.bigtable.transport import CallError, Transport

Filter = RowFilter

# Bigtable serves reverse scans to clients that say they can follow them (google.bigtable.v2.FeatureFlags).
_REVERSE_SCANS = (
    ("bigtable-features", base64.urlsafe_b64encode(FeatureFlags(reverse_scans=True).SerializeToString()).decode()),
)

# Bytes of answers that are taken in together.
_TOGETHER = 64 * 1024


class Scan:
    """What to read of a table: rows by key, ranges of rows, and how to filter them.

    Attributes:
        keys: of single rows.
        ranges: (first key, first key behind) pairs.
        filter: protobuf `RowFilter`; everything when None.
        limit: rows; 0 for all.
        reverse: from the last key to the first.
    """

    def __init__(
        self,
        *,
        keys: Iterable[bytes] = (),
        ranges: Iterable[tuple[bytes, bytes]] = (),
        filter: Filter | None = None,
        limit: int = 0,
        reverse: bool = False,
    ) -> None:
        self.keys = list(keys)
        self.ranges = list(ranges)
        self.filter = filter
        self.limit = limit
        self.reverse = reverse

    @classmethod
    def prefix(cls, prefix: bytes, *, filter: Filter | None = None, limit: int = 0) -> Scan:
        """Return the scan of all rows whose keys begin with the prefix."""
        return cls(ranges=[(prefix, prefix_end(prefix))], filter=filter, limit=limit)

    def request(self, table: str, app_profile: str) -> ReadRowsRequest:
        """Return the protobuf request."""
        request = ReadRowsRequest(table_name=table, app_profile_id=app_profile)
        request.rows_limit, request.reversed = self.limit, self.reverse
        request.rows.row_keys.extend(self.keys)
        for start, end in self.ranges:
            request.rows.row_ranges.add(start_key_closed=start, end_key_open=end)
        if self.filter is not None:
            request.filter.CopyFrom(self.filter)
        return request

    def after(self, key: bytes, rows: int) -> Scan | None:
        """Return what is left to read when the rows up to `key`, `rows` of them, are there; None if nothing is."""
        limit = self.limit - rows
        if self.limit and limit <= 0:
            return None
        if self.reverse:
            left_keys = [each for each in self.keys if each < key]
            left = [(start, min(end, key)) for start, end in self.ranges if start < key]
        else:
            left_keys = [each for each in self.keys if each > key]
            left = [(max(start, key + b"\0"), end) for start, end in self.ranges if key + b"\0" < end]
        if not left_keys and not left:
            return None
        return Scan(keys=left_keys, ranges=left, filter=self.filter, limit=max(limit, 0), reverse=self.reverse)


async def read_rows(
    transport: Transport, table: str, app_profile: str, scan: Scan, *, deadline: float
) -> AsyncGenerator[list[Row]]:
    """Read rows, some at once as they come; a stream that breaks goes on behind the last whole row.

    Args:
        transport: to the server.
        table: full name of the table.
        app_profile: empty for the instance's default.
        scan: what to read; without keys and ranges, nothing.
        deadline: seconds without any progress until it is given up.

    Raises:
        StoreUnavailableError: no progress within the deadline.
        StoreRefusedError: no such table, no permission.
    """
    left: Scan | None = scan if scan.keys or scan.ranges else None
    loop = asyncio.get_running_loop()
    give_up = loop.time() + deadline
    waits = retry.waits(deadline)
    while left is not None:
        merger = RowMerger(reverse=left.reverse)
        count = 0
        request = left.request(table, app_profile).SerializeToString()
        stream = transport.read_rows(request, table, app_profile, deadline, _REVERSE_SCANS if left.reverse else ())
        try:
            answers, end = aiter(stream), None
            while end is None:
                data, end = await _some(answers)
                rows, invalid = _whole_rows(merger, data)
                count += len(rows)
                if rows:
                    yield rows
                end = invalid or end
            if not isinstance(end, StopAsyncIteration):
                raise end
            merger.finish()
            return
        except (AioRpcError, ConnectionError, InvalidChunkError) as caught:
            error = CallError.of(caught) if isinstance(caught, AioRpcError) else caught
            if merger.last_key is not None:
                left = left.after(merger.last_key, count)
                give_up = loop.time() + deadline
                waits = retry.waits(deadline)
            if left is None:
                return
            broken = isinstance(error, InvalidChunkError) or retry.is_transient(error)
            wait = next(waits)
            if not broken or loop.time() + wait > give_up:
                raise retry.translated(error, f"reading {table.rpartition('/')[2]}") from caught
            await asyncio.sleep(wait)
        finally:
            stream.cancel()  # a reader that has enough must not leave the server sending


async def _some(answers: AsyncIterator[bytes]) -> tuple[bytes, Exception | None]:
    """Return some answers, one behind the other, and what ended them; None if more will come.

    Answers put together on the wire are one. The emulator sends a row in each, and what an answer costs beside its
    cells is half of the time that taking in a day of small rows takes.
    """
    some: list[bytes] = []
    size = 0
    try:
        while size < _TOGETHER:
            some.append(await anext(answers))
            size += len(some[-1])
    except Exception as end:  # what came before it is good
        return b"".join(some), end
    return b"".join(some), None


def _whole_rows(merger: RowMerger, data: bytes) -> tuple[list[Row], Exception | None]:
    """Return the rows that some answers complete, and what is wrong with these answers; what came before it is good."""
    rows: list[Row] = []
    try:
        for row in merger.add(data):
            rows.append(row)  # noqa: PERF402 - list() would have none when there is an error behind them
    except InvalidChunkError as error:
        return rows, error
    return rows, None


def prefix_end(prefix: bytes) -> bytes:
    """Return the first key behind all keys with that prefix, whose last byte has to be below 255."""
    return prefix[:-1] + bytes([prefix[-1] + 1])
