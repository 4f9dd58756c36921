"""Scans of a table; an interrupted stream resumes after its last complete row."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import TYPE_CHECKING

from shared.bigtable import retry
from shared.bigtable.row_merger import InvalidChunkError, Row, RowMerger
from shared.bigtable.transport import CallError, Transport
from shared.bigtable.wire_format import bytes_field, varint_field

if TYPE_CHECKING:
    from shared.bigtable.bigtable_pb2 import RowFilter as Filter

# Bigtable serves reverse scans to clients that declare support: google.bigtable.v2.FeatureFlags, reverse_scans = 1.
_REVERSE_SCANS = (("bigtable-features", base64.urlsafe_b64encode(varint_field(1, 1)).decode()),)

# Fields of ReadRowsRequest, of its RowSet and of a RowRange.
_TABLE_NAME, _ROWS, _FILTER, _ROWS_LIMIT, _APP_PROFILE_ID, _REVERSED = 1, 2, 3, 4, 5, 7
_ROW_KEYS, _ROW_RANGES = 1, 2
_START_KEY_CLOSED, _END_KEY_OPEN = 1, 3

# Bytes of responses that are merged at once.
_MERGE_BYTES = 64 * 1024


class Scan:
    """Rows to read, by key and by range, and their filter.

    Attributes:
        keys: of single rows.
        ranges: pairs of start key (inclusive) and end key (exclusive).
        filter: protobuf `RowFilter`; None for all cells.
        limit: number of rows; 0 for all.
        reverse: whether to read from the last key to the first.
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

    def request(self, table: str, app_profile: str) -> bytes:
        """Return the serialized ReadRowsRequest."""
        keys = [bytes_field(_ROW_KEYS, key) for key in self.keys]
        ranges = [
            bytes_field(_ROW_RANGES, bytes_field(_START_KEY_CLOSED, start) + bytes_field(_END_KEY_OPEN, end))
            for start, end in self.ranges
        ]
        return b"".join(
            (
                bytes_field(_TABLE_NAME, table.encode()),
                bytes_field(_ROWS, b"".join((*keys, *ranges))),
                b"" if self.filter is None else bytes_field(_FILTER, self.filter.SerializeToString()),
                varint_field(_ROWS_LIMIT, self.limit),
                bytes_field(_APP_PROFILE_ID, app_profile.encode()),
                varint_field(_REVERSED, self.reverse),
            )
        )

    def after(self, key: bytes, rows: int) -> Scan | None:
        """Return the scan of the rows after `key`, where `rows` rows have been read; None if none remain."""
        limit = self.limit - rows
        if self.limit and limit <= 0:
            return None
        if self.reverse:
            keys = [each for each in self.keys if each < key]
            ranges = [(start, min(end, key)) for start, end in self.ranges if start < key]
        else:
            keys = [each for each in self.keys if each > key]
            ranges = [(max(start, key + b"\0"), end) for start, end in self.ranges if key + b"\0" < end]
        if not keys and not ranges:
            return None
        return Scan(keys=keys, ranges=ranges, filter=self.filter, limit=max(limit, 0), reverse=self.reverse)


async def read_rows(
    transport: Transport, table: str, app_profile: str, scan: Scan, *, deadline: float
) -> AsyncGenerator[list[Row]]:
    """Yield rows in batches as they arrive; an interrupted stream resumes after the last complete row.

    Args:
        transport: to the server.
        table: full name of the table.
        app_profile: empty for the instance's default.
        scan: without keys and ranges it yields nothing.
        deadline: seconds without progress until the read fails.

    Raises:
        StoreUnavailableError: no progress within the deadline.
        StoreRefusedError: no such table, no permission.
    """
    remaining: Scan | None = scan if scan.keys or scan.ranges else None
    loop = asyncio.get_running_loop()
    give_up = loop.time() + deadline
    waits = retry.waits(deadline)
    while remaining is not None:
        merger = RowMerger(reverse=remaining.reverse)
        count = 0
        request = remaining.request(table, app_profile)
        stream = transport.read_rows(request, table, app_profile, deadline, _REVERSE_SCANS if remaining.reverse else ())
        try:
            responses, end = aiter(stream), None
            while end is None:
                data, end = await _next_responses(responses)
                rows, invalid = _complete_rows(merger, data)
                count += len(rows)
                if rows:
                    yield rows
                end = invalid or end
            if not isinstance(end, StopAsyncIteration):
                raise end
            merger.finish()
            return
        except (CallError, ConnectionError, InvalidChunkError) as error:
            if merger.last_key is not None:
                remaining = remaining.after(merger.last_key, count)
                give_up = loop.time() + deadline
                waits = retry.waits(deadline)
            if remaining is None:
                return
            broken = isinstance(error, InvalidChunkError) or retry.is_transient(error)
            wait = next(waits)
            if not broken or loop.time() + wait > give_up:
                raise retry.translate(error, f"reading {table.rpartition('/')[2]}") from error
            await asyncio.sleep(wait)
        finally:
            stream.cancel()  # the reader may have stopped early


async def _next_responses(responses: AsyncIterator[bytes]) -> tuple[bytes, Exception | None]:
    """Return concatenated responses, and the exception that ended the stream or None.

    Concatenated protobuf messages are one message. The emulator sends one row in each response, and merging responses
    one by one takes twice the time.
    """
    responses_read: list[bytes] = []
    size = 0
    try:
        while size < _MERGE_BYTES:
            responses_read.append(await anext(responses))
            size += len(responses_read[-1])
    except Exception as end:  # the responses before it are valid
        return b"".join(responses_read), end
    return b"".join(responses_read), None


def _complete_rows(merger: RowMerger, data: bytes) -> tuple[list[Row], Exception | None]:
    """Return the rows that responses complete, and their error or None; rows before the error are valid."""
    rows: list[Row] = []
    try:
        for row in merger.add(data):
            rows.append(row)  # noqa: PERF402 - list() would lose the rows before an error
    except InvalidChunkError as error:
        return rows, error
    return rows, None


def prefix_end(prefix: bytes) -> bytes:
    """Return the first key after all keys with a prefix; the prefix must not end in the byte 255."""
    return prefix[:-1] + bytes([prefix[-1] + 1])
