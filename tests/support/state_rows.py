"""The table `state` in memory, behind the interface of `Bigtable` that `StateTable` uses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from google.cloud.bigtable_v2.types import MutateRowsRequest

from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Scan
from shared.bigtable.row_merger import Row


class StateRows:
    """Cells by row key, qualifier and timestamp.

    Attributes:
        before_write: runs before each write is applied, for example to let time pass.
    """

    def __init__(self) -> None:
        self.cells: dict[bytes, dict[bytes, dict[int, bytes]]] = {}
        self.before_write: Callable[[], Awaitable[None]] | None = None

    async def write(self, _table: str, mutations: Mutations) -> None:
        if self.before_write:
            await self.before_write()
        request = MutateRowsRequest.deserialize(b"".join(entry.wire for entry in mutations.entries()))
        for entry in request.entries:
            row = self.cells.setdefault(entry.row_key, {})
            for mutation in entry.mutations:
                if "set_cell" in mutation:
                    cell = mutation.set_cell
                    row.setdefault(cell.column_qualifier, {})[cell.timestamp_micros] = cell.value
                else:
                    deletion = mutation.delete_from_column
                    end = deletion.time_range.end_timestamp_micros
                    column = row.get(deletion.column_qualifier, {})
                    for micros in [micros for micros in column if not end or micros < end]:
                        del column[micros]
            self.cells[entry.row_key] = {qualifier: column for qualifier, column in row.items() if column}

    async def read(self, _table: str, scan: Scan) -> AsyncIterator[Row]:
        for key in sorted(self.cells):
            if self.cells[key] and (key in scan.keys or any(start <= key < end for start, end in scan.ranges)):
                row = Row(key)
                for qualifier, column in self.cells[key].items():
                    micros = max(column)
                    row.families.append("s")
                    row.qualifiers.append(qualifier)
                    row.micros.append(micros)
                    row.values.append(column[micros])
                    row.labels.append(())
                yield row
