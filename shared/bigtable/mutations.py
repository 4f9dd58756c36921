"""Mutations to cells as the bytes that Bigtable takes, and the call that sends them.

Values for cells, which is what events become, are written as protobuf bytes, a column of a hundred at a time: messages
and their serialization take 1.6 times as long, which is a tenth of the time that an event takes on its whole way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import repeat
from operator import add
from typing import NamedTuple

from grpc import StatusCode
from grpc.aio import AioRpcError

from shared.bigtable.bigtable_pb2 import MutateRowsRequest, MutateRowsResponse, Mutation, Outcome, Outcomes, Times
from shared.bigtable.transport import CallError, Transport

# In one entry. A call may have 100,000 (https://cloud.google.com/bigtable/quotas#limits-operations), and the emulator
# takes more, so a row of many small events is cut here.
MAX_MUTATIONS_PER_ENTRY = 20_000

# What an entry has that the server's answer doesn't mention.
UNANSWERED = CallError(StatusCode.UNAVAILABLE, "the answer doesn't mention this entry")

_CODES = {code.value[0]: code for code in StatusCode}


class Entry(NamedTuple):
    """Mutations of one row, which Bigtable makes all or none.

    Attributes:
        wire: a request with this entry alone, serialized; several, one behind the other, are a request with them all.
        mutations: how many mutations.
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


class _Heads:
    """What stands before a field's bytes, its number and kind and how many they are; made beforehand for short ones."""

    def __init__(self, *tags: bytes) -> None:
        """Prepare for a field, or for one that is in another and all that is in it."""
        self._tags = tags[::-1]
        self._made = [self._make(length) for length in range(2_048)]

    def of(self, texts: Sequence[bytes]) -> list[bytes]:
        """Return the head of each text."""
        made, lengths = self._made, list(map(len, texts))
        if max(lengths) < len(made):
            return list(map(made.__getitem__, lengths))
        return [made[length] if length < len(made) else self._make(length) for length in lengths]

    def _make(self, length: int) -> bytes:
        head = b""
        for tag in self._tags:
            head = tag + _varint(length + len(head)) + head
        return head


# Entry: row_key = 1; SetCell: family_name = 1
_ROW_KEY = _FAMILY = _Heads(b"\x0a")
# MutateRowsRequest: entries = 2; Entry: mutations = 2; SetCell: column_qualifier = 2
_ENTRY = _CHANGE = _QUALIFIER = _Heads(b"\x12")
# SetCell: value = 4
_VALUE = _Heads(b"\x22")
# Entry: mutations = 2, and in it Mutation: set_cell = 1
_CELL = _Heads(b"\x12", b"\x0a")


def _times(micros: Sequence[int]) -> list[bytes]:
    """Return of each cell the field that has its time."""
    if min(micros) < 1 << 49 or max(micros) >= 1 << 56:
        return [b"\x18" + _varint(each) for each in micros]
    # From 1987 to 4253 a time has eight bytes, and one for the field's number.
    fields = Times(timestamp_micros=micros).SerializeToString()
    return [fields[start : start + 9] for start in range(0, len(fields), 9)]


class Mutations:
    """Mutations to cells; those of a row are made in the order in which they are told."""

    def __init__(self) -> None:
        self._row_keys: list[bytes] = []  # of each change
        self._changes: list[bytes] = []

    def set_cell(self, row_key: bytes, family: str, qualifier: bytes, micros: int, value: bytes) -> None:
        """Put a value into a cell.

        Args:
            row_key: the row.
            family: the column family.
            qualifier: the column in it.
            micros: the cell's time in microseconds since 1970, a whole number of milliseconds.
            value: what to put there.
        """
        self.set_cells(family, [(row_key, qualifier, micros)], [value])

    def set_cells(self, family: str, cell_keys: Sequence[tuple[bytes, bytes, int]], values: Sequence[bytes]) -> None:
        """Set cells of a family; a cell key is row, qualifier and time as `set_cell` takes them."""
        if not cell_keys:
            return
        row_keys, qualifiers, micros = zip(*cell_keys, strict=True)
        families = [_FAMILY.of([family.encode()])[0] + family.encode()] * len(cell_keys)
        heads, value_heads = _QUALIFIER.of(qualifiers), _VALUE.of(values)
        fields = zip(families, heads, qualifiers, _times(micros), value_heads, values, strict=True)
        cells = list(map(b"".join, fields))
        self._row_keys += row_keys
        self._changes += map(add, _CELL.of(cells), cells)

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
        self._row_keys.append(row_key)
        self._changes.append(_CHANGE.of([content])[0] + content)

    def entries(self) -> list[Entry]:
        """Return an entry a row, or several for a row of more than `MAX_MUTATIONS_PER_ENTRY` mutations."""
        if len(set(self._row_keys)) == len(self._row_keys):
            return self.entries_one_by_one()
        return _entries(*_by_row(self._row_keys, self._changes))

    def entries_one_by_one(self) -> list[Entry]:
        """Return an entry a change, in the order in which they were told."""
        return _entries(self._row_keys, self._changes, [1] * len(self._changes)) if self._changes else []

    def __len__(self) -> int:
        return len(self._changes)


def _entries(row_keys: Sequence[bytes], mutations: Sequence[bytes], counts: Sequence[int]) -> list[Entry]:
    """Return an entry for each row key, with so many mutations, which are one behind the other already."""
    contents = list(map(b"".join, zip(_ROW_KEY.of(row_keys), row_keys, mutations, strict=True)))
    wires = map(add, _ENTRY.of(contents), contents)
    return list(map(tuple.__new__, repeat(Entry), zip(wires, counts, strict=True)))  # twice as fast as Entry(...)


def _by_row(row_keys: list[bytes], mutations: list[bytes]) -> tuple[list[bytes], list[bytes], list[int]]:
    """Put mutations of the same row together, as many as an entry may have; returns how many they are, too."""
    rows: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for row_key, change in zip(row_keys, mutations, strict=True):
        rows[row_key].append(change)
    parts = [
        (row_key, together[start : start + MAX_MUTATIONS_PER_ENTRY])
        for row_key, together in rows.items()
        for start in range(0, len(together), MAX_MUTATIONS_PER_ENTRY)
    ]
    return [row_key for row_key, _ in parts], [b"".join(part) for _, part in parts], [len(part) for _, part in parts]


async def send(
    transport: Transport, table: str, app_profile: str, entries: Sequence[Entry], timeout: float
) -> list[Exception | None]:
    """Send entries in one MutateRows call.

    Args:
        transport: to the server.
        table: full name of the table.
        app_profile: empty for the instance's default.
        entries: of `Mutations`.
        timeout: seconds for the call.

    Returns:
        For every entry None if it is stored, else why it isn't. An entry that the answer doesn't mention isn't stored.
    """
    head = MutateRowsRequest(table_name=table, app_profile_id=app_profile).SerializeToString()
    request = head + b"".join([entry.wire for entry in entries])
    results: list[Exception | None] = [UNANSWERED] * len(entries)
    try:
        async for answer in transport.mutate_rows(request, table, app_profile, timeout):
            if (stored := _all_stored(answer)) is not None:
                for index in stored:
                    results[index] = None
                continue
            for entry in MutateRowsResponse.FromString(answer).entries:
                status = entry.status
                results[entry.index] = CallError(_CODES[status.code], status.message) if status.code else None
    except (AioRpcError, ConnectionError) as caught:
        error = CallError.of(caught) if isinstance(caught, AioRpcError) else caught
        return [error if result is UNANSWERED else result for result in results]
    return results


def _all_stored(answer: bytes) -> list[int] | None:
    """Return which entries an answer mentions if all of these are stored, as nearly always; None if any isn't.

    Read as columns, an answer takes a quarter of the time that a message for each entry does.
    """
    entries = Outcome.FromString(answer).entries
    outcomes = Outcomes.FromString(b"".join(entries))
    indexes = list(outcomes.index)
    if len(indexes) < len(entries):
        indexes.append(0)  # which isn't written, being protobuf's default
    return None if any(outcomes.status) or len(indexes) != len(entries) else indexes
