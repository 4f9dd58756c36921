"""Changes to cells as the protobuf messages that Bigtable takes, and the call that sends them.

Google's handwritten data client makes several Python objects of every cell. Here the generated messages are filled
directly; the generated client still does authentication, channel options, routing headers and time-outs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.api_core import exceptions
from google.cloud.bigtable_v2 import BigtableAsyncClient
from google.cloud.bigtable_v2.types import MutateRowsRequest, MutateRowsResponse

_Request: Any = type(MutateRowsRequest.pb(MutateRowsRequest()))
_Entry: Any = _Request.Entry

# In one entry. A call may have 100,000 (https://cloud.google.com/bigtable/quotas#limits-operations), and the emulator
# takes more, so a row of many small events is cut here.
MOST_MUTATIONS = 20_000

# What an entry has that the server's answer doesn't mention.
UNANSWERED = exceptions.ServiceUnavailable("the answer doesn't mention this entry")


# Bytes that keys, families, times and lengths add to a change's qualifier and value, about.
_AROUND = 64


class Changes:
    """Changes to cells, gathered by row, since Bigtable makes the changes of one entry all or none.

    Attributes:
        size: about how many bytes they will have on their way.
        count: how many there are.
    """

    def __init__(self) -> None:
        self._entries: dict[bytes, Any] = {}
        self._full: list[Any] = []
        self.size = self.count = 0

    def set_cell(self, row_key: bytes, family: str, qualifier: bytes, micros: int, value: bytes) -> None:
        """Put a value into a cell.

        Args:
            row_key: the row.
            family: the column family.
            qualifier: the column in it.
            micros: the cell's time in microseconds since 1970, a whole number of milliseconds.
            value: what to put there.
        """
        self.size += len(qualifier) + len(value)
        cell = self._mutations(row_key).add().set_cell
        cell.family_name = family
        cell.column_qualifier = qualifier
        cell.timestamp_micros = micros
        cell.value = value

    def delete_cells(self, row_key: bytes, family: str, qualifier: bytes, start: int = 0, end: int = 0) -> None:
        """Delete a column's cells of the times [start, end), in microseconds; an `end` of 0 has no end."""
        change = self._mutations(row_key).add().delete_from_column
        change.family_name = family
        change.column_qualifier = qualifier
        change.time_range.start_timestamp_micros = start
        change.time_range.end_timestamp_micros = end

    def delete_row(self, row_key: bytes) -> None:
        """Delete a whole row."""
        self._mutations(row_key).add().delete_from_row.SetInParent()

    def entries(self) -> list[Any]:
        """Return an entry a row, or several for a row of more than `MOST_MUTATIONS` changes."""
        return [*self._full, *self._entries.values()]

    def __len__(self) -> int:
        return len(self._entries) + len(self._full)

    def _mutations(self, row_key: bytes) -> Any:
        self.size += _AROUND + len(row_key)
        self.count += 1
        entry = self._entries.get(row_key)
        if entry is not None and len(entry.mutations) == MOST_MUTATIONS:
            self._full.append(entry)
            entry = None
        if entry is None:
            entry = self._entries[row_key] = _Entry(row_key=row_key)
        return entry.mutations


async def send(
    client: BigtableAsyncClient, table: str, app_profile: str, entries: Sequence[Any], timeout: float
) -> list[Exception | None]:
    """Send entries in one MutateRows call.

    Args:
        client: of the generated API.
        table: full name of the table.
        app_profile: empty for the instance's default.
        entries: of `Changes`.
        timeout: seconds for the call.

    Returns:
        For every entry None if it is stored, else why it isn't. An entry that the answer doesn't mention isn't stored.
    """
    request = _Request(table_name=table, app_profile_id=app_profile, entries=entries)
    results: list[Exception | None] = [UNANSWERED] * len(entries)
    try:
        stream = await client.mutate_rows(request=MutateRowsRequest.wrap(request), timeout=timeout, retry=None)
        async for response in stream:
            for entry in MutateRowsResponse.pb(response).entries:
                code = entry.status.code
                results[entry.index] = exceptions.from_grpc_status(code, entry.status.message) if code else None
    except (exceptions.GoogleAPICallError, ConnectionError) as error:
        return [error if result is UNANSWERED else result for result in results]
    return results
