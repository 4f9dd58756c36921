"""Tables of Bigtable that DuckDB reads as streams of record batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import pyarrow as pa

from infra.export.day_tables.tables import TABLES, DayTable, day_table, partition_key
from infra.export.sql.loop_thread import LoopThread
from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.model import Contract
from shared.errors import SluiceError


@contextmanager
def streamed_tables(settings: Settings, contract: Contract, days: Sequence[date]) -> Iterator[dict[str, DayStream]]:
    """Connect to Bigtable; yield the tables by name, each with the rows of days."""
    with LoopThread() as loop:
        bigtable = Bigtable(settings)
        try:
            yield {name: DayStream(day_table(name, bigtable, contract), days, loop) for name in TABLES}
        finally:
            loop.run(bigtable.close())


class DayStream:
    """The rows of days of one table; each scan of a query reads them again.

    DuckDB calls the methods of the Arrow PyCapsule interface
    (https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html).

    Attributes:
        error: the error that ended a scan; DuckDB's own error only quotes its text.
    """

    def __init__(self, table: DayTable, days: Sequence[date], loop: LoopThread) -> None:
        self._table = table
        self._days = days
        self._loop = loop
        day = pa.field(partition_key(table.schema.names), pa.date32())
        self._schema = table.schema.append(day)
        self.error: SluiceError | None = None

    def __arrow_c_schema__(self) -> Any:
        """Return the schema of the rows."""
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return a new stream of the rows."""
        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for day in self._days:
                version = self._loop.run(self._table.version(day))
                for batch in self._loop.iterate(self._table.batches(day, version)):
                    yield self._with_day(batch, day)
        except SluiceError as error:
            self.error = error
            raise

    def _with_day(self, batch: pa.RecordBatch, day: date) -> pa.RecordBatch:
        days: Iterable[Any] = pa.repeat(pa.scalar(day, pa.date32()), batch.num_rows)
        return pa.record_batch([*batch.columns, days], schema=self._schema)
