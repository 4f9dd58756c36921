"""A DuckDB session that reads the given tables and nothing else."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from infra.export.sql.results import Result, plain
from infra.export.sql.streams import DayStream
from infra.export.sql.views import quoted
from shared.errors import QueryError

T = TypeVar("T")

_BATCH_ROWS = 2_048
_INTERRUPT_EVERY = 0.1  # seconds
_MISSING_TABLE = re.compile(r"Catalog Error: Table with name .* does not exist")


class Session:
    """A session with tables and views."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Any], views: Iterable[str]) -> None:
        self._connection = connection
        self._tables = tables
        self._names = [*tables, *views]
        self._worker = ThreadPoolExecutor(1)

    def result(self, query: str) -> Result:
        """Begin one statement and return its result.

        Raises:
            QueryError: DuckDB refuses it; also while the rows are read.
        """
        with self._translated():
            statements = self._connection.extract_statements(query)
            if len(statements) != 1:
                raise QueryError(f"found {len(statements)} statements, expected one")
            reader = self._run(lambda: self._connection.sql(query).to_arrow_reader(_BATCH_ROWS))
        return Result(reader.schema.names, self._rows(reader))

    def close(self) -> None:
        """End the thread of the queries."""
        self._worker.shutdown()

    def _rows(self, reader: pa.RecordBatchReader) -> Iterator[tuple[Any, ...]]:
        with self._translated():
            while (batch := self._run(lambda: next(reader, None))) is not None:
                yield from zip(*(map(plain, column.to_pylist()) for column in batch.columns), strict=True)

    def _run(self, work: Callable[[], T]) -> T:
        """Run work of DuckDB in a thread and return its result; Ctrl-C interrupts it, which DuckDB alone ignores."""
        working = self._worker.submit(work)
        try:
            return working.result()
        except KeyboardInterrupt:
            while not working.done():
                self._connection.interrupt()  # without effect before the query begins, so it is repeated
                wait([working], _INTERRUPT_EVERY)
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise an error of DuckDB as one of a single line, or the error of a table that caused it."""
        try:
            yield
        except (duckdb.Error, pa.ArrowException) as error:
            for table in self._tables.values():
                if isinstance(table, DayStream) and table.error is not None:
                    raise table.error from None
            text = " ".join(str(error).partition("\n\nLINE ")[0].split())
            if missing := _MISSING_TABLE.search(text):
                text = f"{missing[0]}; the tables are {', '.join(self._names)}"
            raise QueryError(text) from None


@contextmanager
def session(tables: Mapping[str, Any], views: Mapping[str, str], memory_mib: int) -> Iterator[Session]:
    """Open a session.

    Args:
        tables: Arrow data by name.
        views: queries by name; those that read missing tables are left out.
        memory_mib: what DuckDB may use; larger intermediate results go to temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="sluice-sql-") as folder:
        config: dict[str, Any] = {
            "enable_external_access": "false",  # no files, no network, no extensions
            "python_enable_replacements": "false",  # variables of this process aren't tables
            "memory_limit": f"{memory_mib}MiB",
            "temp_directory": folder,
        }
        connection = duckdb.connect(":memory:", config=config)
        try:
            connection.execute("set TimeZone = 'UTC'")
            connection.create_function("exact_sum", _exact_sum, ["DOUBLE[]"], "DOUBLE")
            for name, table in tables.items():
                connection.register(name, table)
            usable = views if "aggregates" in tables else {}
            for name, query in usable.items():
                connection.execute(f"create view {quoted(name)} as {query}")
            connection.execute("set lock_configuration = true")
            opened = Session(connection, tables, usable)
            try:
                yield opened
            finally:
                opened.close()
        finally:
            connection.close()


def _exact_sum(numbers: list[float | None]) -> float:
    """Return the exact sum of the numbers, rounded once, as the measure `sum` does."""
    return math.fsum(number for number in numbers if number is not None)
