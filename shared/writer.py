"""Changes to cells as the bytes that Bigtable takes, and the call that sends them.

A value for a cell, which is what an event becomes, is written as protobuf bytes at once: messages and their
serialization take twice as long, which is a tenth of the time that an event takes on its whole way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from grpc import StatusCode
from grpc.aio import AioRpcError

from shared.bigtable_pb2 import MutateRowsRequest, MutateRowsResponse, Mutation
from shared.calls import CallError, Calls

# In one entry. A call may have 100,000 (https://cloud.google.com/bigtable/quotas#limits-operations), and the emulator
# takes more, so a row of many small events is cut here.
MOST_MUTATIONS = 20_000

# What an entry has that the server's answer doesn't mention.
UNANSWERED = CallError(StatusCode.UNAVAILABLE, "the answer doesn't mention this entry")

_CODES = {code.value[0]: code for code in StatusCode}
_new = tuple.__new__  # what Entry(...) calls in the end, at half the cost


class Entry(NamedTuple):
    """Changes of one row, which Bigtable makes all or none.

    Attributes:
        wire: a request with this entry alone, serialized; several, one behind the other, are a request with them all.
        mutations: how many changes.
    """

    wire: bytes
    mutations: int


def _varint(number: int) -> bytes:
    """Return a number as protobuf does (https://protobuf.dev/programming-guides/encoding/#varints)."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _head(tag: bytes, length: int) -> bytes:
    """Return what stands before a field's bytes: its number and kind, and how many they are."""
    return tag + _varint(length)


# Heads of fields no. 1, 2 and 4 that are shorter than this, made beforehand, and each pair of bytes inside a varint.
_SHORT = 2_048
_HEADS_1, _HEADS_2, _HEADS_4 = ([_head(tag, length) for length in range(_SHORT)] for tag in (b"\x0a", b"\x12", b"\x22"))
_PAIRS = [bytes((low, high)) for high in range(0x80, 0x100) for low in range(0x80, 0x100)]
_upper_varint = lru_cache(maxsize=1_024)(_varint)


class Changes:
    """Changes to cells, gathered by row."""

    def __init__(self) -> None:
        self._rows: defaultdict[bytes, list[bytes]] = defaultdict(list)

    def set_cell(self, row_key: bytes, family: str, qualifier: bytes, micros: int, value: bytes) -> None:
        """Put a value into a cell.

        Args:
            row_key: the row.
            family: the column family.
            qualifier: the column in it.
            micros: the cell's time in microseconds since 1970, a whole number of milliseconds.
            value: what to put there.
        """
        self.set_cells(family, [((row_key, qualifier, micros), value)])

    def set_cells(self, family: str, values: Iterable[tuple[tuple[bytes, bytes, int], bytes]]) -> None:
        """Put values into a family, each into its cell: of a row, a qualifier and a time as `set_cell` takes them."""
        rows = self._rows
        name = family.encode()
        family_name = _head(b"\x0a", len(name)) + name
        for (row_key, qualifier, micros), value in values:
            # SetCell: family_name = 1, column_qualifier = 2, timestamp_micros = 3, value = 4
            length, size = len(qualifier), len(value)
            cell = b"".join(
                (
                    family_name,
                    _HEADS_2[length] if length < _SHORT else _head(b"\x12", length),
                    qualifier,
                    b"\x18",
                    # A varint of at least five bytes: it may end in zeros. The upper part is the same for four minutes.
                    _PAIRS[micros & 0x3FFF],
                    _PAIRS[micros >> 14 & 0x3FFF],
                    _upper_varint(micros >> 28),
                    _HEADS_4[size] if size < _SHORT else _head(b"\x22", size),
                    value,
                )
            )
            # Entry: mutations = 2; Mutation: set_cell = 1
            size = len(cell)
            head = _HEADS_1[size] if size < _SHORT else _head(b"\x0a", size)
            size += len(head)
            rows[row_key].append(b"".join((_HEADS_2[size] if size < _SHORT else _head(b"\x12", size), head, cell)))

    def delete_cells(self, row_key: bytes, family: str, qualifier: bytes, start: int = 0, end: int = 0) -> None:
        """Delete a column's cells of the times [start, end), in microseconds; an `end` of 0 has no end."""
        change = Mutation()
        change.delete_from_column.family_name = family
        change.delete_from_column.column_qualifier = qualifier
        change.delete_from_column.time_range.start_timestamp_micros = start
        change.delete_from_column.time_range.end_timestamp_micros = end
        self._add(row_key, change)

    def delete_row(self, row_key: bytes) -> None:
        """Delete a whole row."""
        self._add(row_key, Mutation(delete_from_row=Mutation.DeleteFromRow()))

    def _add(self, row_key: bytes, change: Mutation) -> None:
        content = change.SerializeToString()
        self._rows[row_key].append(_head(b"\x12", len(content)) + content)

    def entries(self) -> list[Entry]:
        """Return an entry a row, or several for a row of more than `MOST_MUTATIONS` changes."""
        entries = []
        for row_key, changes in self._rows.items():
            # MutateRowsRequest: entries = 2; Entry: row_key = 1
            length = len(row_key)
            head = _HEADS_1[length] if length < _SHORT else _head(b"\x0a", length)
            for part in (changes,) if len(changes) <= MOST_MUTATIONS else _cut(changes):
                content = b"".join((head, row_key, *part))
                size = len(content)
                wire = (_HEADS_2[size] if size < _SHORT else _head(b"\x12", size)) + content
                entries.append(_new(Entry, (wire, len(part))))
        return entries

    def __len__(self) -> int:
        return len(self._rows)


def _cut(changes: list[bytes]) -> list[list[bytes]]:
    return [changes[start : start + MOST_MUTATIONS] for start in range(0, len(changes), MOST_MUTATIONS)]


async def send(
    calls: Calls, table: str, app_profile: str, entries: Sequence[Entry], timeout: float
) -> list[Exception | None]:
    """Send entries in one MutateRows call.

    Args:
        calls: to the server.
        table: full name of the table.
        app_profile: empty for the instance's default.
        entries: of `Changes`.
        timeout: seconds for the call.

    Returns:
        For every entry None if it is stored, else why it isn't. An entry that the answer doesn't mention isn't stored.
    """
    head = MutateRowsRequest(table_name=table, app_profile_id=app_profile).SerializeToString()
    request = head + b"".join([entry.wire for entry in entries])
    results: list[Exception | None] = [UNANSWERED] * len(entries)
    try:
        async for answer in calls.mutate_rows(request, table, app_profile, timeout):
            for entry in MutateRowsResponse.FromString(answer).entries:
                status = entry.status
                results[entry.index] = CallError(_CODES[status.code], status.message) if status.code else None
    except (AioRpcError, ConnectionError) as caught:
        error = CallError.of(caught) if isinstance(caught, AioRpcError) else caught
        return [error if result is UNANSWERED else result for result in results]
    return results
