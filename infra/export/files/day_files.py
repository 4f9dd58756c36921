"""The Parquet file of a day: row groups of bounded size, and in the footer what the export saw of the day."""

from __future__ import annotations

from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from infra.export.day_tables.versions import DayVersion
from shared.errors import ExportError

FILE_NAME = "part-000.parquet"

_KEY = b"sluice"  # of the footer's metadata
# A row group is encoded in memory as a whole.
_MAX_GROUP_ROWS, _MAX_GROUP_BYTES = 65_536, 16 * 1024 * 1024


class Footer(msgspec.Struct, frozen=True):
    """What the file of a day says about itself.

    Attributes:
        version: what its export saw.
        rows: number of rows.
    """

    version: DayVersion
    rows: int


class DayWriter:
    """Writes the record batches of a day to a file; a context manager.

    Attributes:
        rows: number of rows written.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema, version: DayVersion) -> None:
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")
        self._version = version
        self._start_group()
        self.rows = 0

    def _start_group(self) -> None:
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = self._pending_bytes = 0

    def add(self, batch: pa.RecordBatch) -> bool:
        """Add a batch; return whether the batches since the last `flush` are enough for a row group."""
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self._pending_bytes += batch.nbytes
        self.rows += batch.num_rows
        return self._pending_rows >= _MAX_GROUP_ROWS or self._pending_bytes >= _MAX_GROUP_BYTES

    def flush(self) -> None:
        """Write the added batches as a row group."""
        if self._pending:
            self._writer.write_table(pa.Table.from_batches(self._pending), row_group_size=self._pending_rows)
        self._start_group()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
            footer = msgspec.json.encode(Footer(self._version, self.rows))
            self._writer.add_key_value_metadata({_KEY: footer})
        self._writer.close()


def read_footer(file: BinaryIO, name: str) -> tuple[Footer, pa.Schema]:
    """Return the footer and the schema of a day's file.

    Args:
        file: to read.
        name: of the file, for error texts.

    Raises:
        ExportError: it isn't a Parquet file of an export.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            metadata: dict[bytes, Any] = parquet.metadata.metadata or {}
            footer = msgspec.json.decode(metadata.get(_KEY, b""), type=Footer)
            return footer, parquet.schema_arrow.remove_metadata()
    except (pa.ArrowException, msgspec.DecodeError) as error:
        raise ExportError(f"{name}: found {error}, expected a Parquet file that `sluice export` wrote") from None
