"""Rows out of the chunks that ReadRows streams, and streams that go on where they broke.

`RowMerger` follows Google's conformance cases for ReadRows; everything a broken server could send that they call an
error is an `InvalidChunkError` here.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any, NamedTuple

from google.api_core import exceptions
from google.cloud.bigtable_v2 import BigtableAsyncClient
from google.cloud.bigtable_v2.types import FeatureFlags, ReadRowsRequest, ReadRowsResponse

from shared import keys, retry

_Request: Any = type(ReadRowsRequest.pb(ReadRowsRequest()))
Filter: Any = type(_Request().filter)

# Bigtable serves reverse scans to clients that say they can follow them (google.bigtable.v2.FeatureFlags).
_REVERSE_SCANS = (
    ("bigtable-features", base64.urlsafe_b64encode(FeatureFlags.serialize(FeatureFlags(reverse_scans=True))).decode()),
)


class Cell(NamedTuple):
    """One cell; `micros` is its time in microseconds since 1970."""

    family: str
    qualifier: bytes
    micros: int
    value: bytes
    labels: tuple[str, ...] = ()


class Row(NamedTuple):
    """One whole row: its cells by family (in no order), qualifier, and newest first."""

    key: bytes
    cells: list[Cell]


class InvalidChunkError(Exception):
    """The server sent chunks that make no rows."""


class RowMerger:
    """Makes rows of chunks; a chunk is a cell, a part of one, or the word that a row is whole or to be forgotten."""

    def __init__(self, *, reverse: bool = False) -> None:
        self._reverse = reverse
        self._last_key: bytes | None = None
        self._forget()

    def _forget(self) -> None:
        self._key = b""
        self._cells: list[Cell] = []
        self._family: str | None = None
        self._qualifier: bytes | None = None
        self._micros = 0
        self._labels: tuple[str, ...] = ()
        self._parts: list[bytes] = []
        self._in_parts = False

    def add(self, chunks: Iterable[Any]) -> Iterator[Row]:
        """Take in chunks, protobuf `CellChunk`s, and return the rows that they complete.

        Raises:
            InvalidChunkError: they can't follow what came before.
        """
        for chunk in chunks:
            if chunk.reset_row:
                self._reset(chunk)
                continue
            if not self._key:
                self._begin_row(chunk)
            elif chunk.row_key and chunk.row_key != self._key:
                raise InvalidChunkError("a new row key before the row is committed")
            self._add_cell(chunk)
            if chunk.commit_row:
                if self._in_parts:
                    raise InvalidChunkError("a commit inside a cell")
                yield Row(self._key, self._cells)
                self._last_key = self._key
                self._forget()

    def scanned(self, key: bytes) -> None:
        """Take note that the server has looked at all rows up to that key and found none to send."""
        if self._key:
            raise InvalidChunkError("a scanned key inside a row")
        self._check_order(key)
        self._last_key = key

    def finish(self) -> None:
        """Take note that the stream is over; InvalidChunkError if a row isn't."""
        if self._key:
            raise InvalidChunkError("the stream ended inside a row")

    def _reset(self, chunk: Any) -> None:
        if not self._key:
            raise InvalidChunkError("a reset outside a row")
        if chunk.row_key or chunk.HasField("family_name") or chunk.HasField("qualifier") or chunk.timestamp_micros:
            raise InvalidChunkError("a reset with a cell in it")
        if chunk.value or chunk.labels or chunk.commit_row:
            raise InvalidChunkError("a reset with data in it")
        self._forget()

    def _begin_row(self, chunk: Any) -> None:
        if not chunk.row_key:
            raise InvalidChunkError("a row without a key")
        self._check_order(chunk.row_key)
        if not chunk.HasField("family_name") or not chunk.HasField("qualifier"):
            raise InvalidChunkError("a row whose first cell has no family or qualifier")
        self._key = chunk.row_key

    def _check_order(self, key: bytes) -> None:
        last = self._last_key
        if last is not None and (key >= last if self._reverse else key <= last):
            raise InvalidChunkError("row keys out of order")

    def _add_cell(self, chunk: Any) -> None:
        if self._in_parts:
            if chunk.HasField("family_name") or chunk.HasField("qualifier") or chunk.timestamp_micros or chunk.labels:
                raise InvalidChunkError("a new cell inside a cell")
            self._parts.append(chunk.value)
            if not chunk.value_size:
                self._in_parts = False
                self._finish_cell(b"".join(self._parts))
            return
        if chunk.HasField("family_name"):
            if not chunk.HasField("qualifier"):
                raise InvalidChunkError("a family without a qualifier")
            self._family = chunk.family_name.value
        if chunk.HasField("qualifier"):
            self._qualifier = chunk.qualifier.value
        self._micros = chunk.timestamp_micros
        self._labels = tuple(chunk.labels) if chunk.labels else ()
        if chunk.value_size:
            self._in_parts = True
            self._parts = [chunk.value]
        else:
            self._finish_cell(chunk.value)

    def _finish_cell(self, value: bytes) -> None:
        if self._family is None or self._qualifier is None:
            raise InvalidChunkError("a cell without a family or qualifier")
        self._cells.append(Cell(self._family, self._qualifier, self._micros, value, self._labels))


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
        filter: Any = None,
        limit: int = 0,
        reverse: bool = False,
    ) -> None:
        self.keys = list(keys)
        self.ranges = list(ranges)
        self.filter = filter
        self.limit = limit
        self.reverse = reverse

    @classmethod
    def prefix(cls, prefix: bytes, *, filter: Any = None, limit: int = 0) -> Scan:
        """Return the scan of all rows whose keys begin with the prefix."""
        return cls(ranges=[(prefix, keys.prefix_end(prefix))], filter=filter, limit=limit)

    def request(self, table: str, app_profile: str) -> Any:
        """Return the protobuf request."""
        request = _Request(table_name=table, app_profile_id=app_profile, rows_limit=self.limit, reversed=self.reverse)
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


async def read(
    client: BigtableAsyncClient, table: str, app_profile: str, scan: Scan, *, deadline: float
) -> AsyncGenerator[Row]:
    """Read rows; a stream that breaks goes on behind the last whole row.

    Args:
        client: of the generated API.
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
    waits = retry.waits()
    while left is not None:
        merger = RowMerger(reverse=left.reverse)
        last_key, count = None, 0
        stream = None
        try:
            request = ReadRowsRequest.wrap(left.request(table, app_profile))
            metadata = _REVERSE_SCANS if left.reverse else ()
            stream = await client.read_rows(request=request, timeout=deadline, retry=None, metadata=metadata)
            async for response in stream:
                message = ReadRowsResponse.pb(response)
                for row in merger.add(message.chunks):
                    last_key, count = row.key, count + 1
                    yield row
                if message.last_scanned_row_key:
                    merger.scanned(message.last_scanned_row_key)
                    last_key = message.last_scanned_row_key
            merger.finish()
            return
        except (exceptions.GoogleAPICallError, ConnectionError, InvalidChunkError) as error:
            if last_key is not None:
                left = left.after(last_key, count)
                give_up = loop.time() + deadline
                waits = retry.waits()
            if left is None:
                return
            broken = isinstance(error, InvalidChunkError) or retry.is_transient(error)
            wait = next(waits)
            if not broken or loop.time() + wait > give_up:
                raise retry.translated(error, f"reading {table.rpartition('/')[2]}") from error
            await asyncio.sleep(wait)
        finally:
            if stream is not None:
                stream.cancel()  # a reader that has enough must not leave the server sending
