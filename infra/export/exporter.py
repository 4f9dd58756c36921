"""Export days of a table: one Parquet file for each day, written again only if the day has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from datetime import date
from typing import Literal

import msgspec

from infra.export.day_tables.tables import DayTable, TableName, partition_key
from infra.export.day_tables.versions import DayVersion
from infra.export.files.day_files import FILE_NAME, DayWriter, Footer, read_footer
from infra.export.files.destinations import Destination
from shared.errors import ExportError

# Called with the day and its number of rows so far.
Progress = Callable[[date, int], None]


class ExportedDay(msgspec.Struct, frozen=True):
    """The outcome of a day.

    Attributes:
        status: not_computed is an aggregates' day without a run, for which no file is written.
        complete: whether the file certainly has everything that was stored before the end of the day.
        file: its path or URL.
    """

    table: TableName
    day: date
    status: Literal["written", "unchanged", "not_computed"]
    rows: int
    complete: bool
    file: str
    bytes: int


class Exporter:
    """Exports days of one table to a destination."""

    def __init__(self, name: TableName, table: DayTable, destination: Destination, *, force: bool = False) -> None:
        """Prepare an export without any call.

        Args:
            name: of the table.
            table: what is exported.
            destination: of the files.
            force: whether to write unchanged days again.
        """
        self._name = name
        self._table = table
        self._destination = destination
        self._force = force
        self._partition = partition_key(table.schema.names)

    async def export(self, days: Iterable[date], progress: Progress) -> AsyncGenerator[ExportedDay]:
        """Export days one after the other; yield each when its file is complete.

        Raises:
            ExportError: a file can't be written or read.
            StoreUnavailableError, StoreRefusedError: Bigtable can't be read.
        """
        for day in days:
            yield await self._export_day(day, progress)

    async def _export_day(self, day: date, progress: Progress) -> ExportedDay:
        path = f"{self._name}/{self._partition}={day}/{FILE_NAME}"
        earlier, same_columns = self._earlier(path)
        if earlier and same_columns and not self._force and await self._table.is_current(day, earlier.version):
            return self._outcome(day, path, "unchanged", earlier)
        version = await self._table.version(day)
        try:
            written = await self._write(day, path, version, earlier, progress)
        except _NotComputedError:
            return ExportedDay(self._name, day, "not_computed", 0, False, "", 0)
        return self._outcome(day, path, "written", written)

    def _earlier(self, path: str) -> tuple[Footer | None, bool]:
        """Return the footer of an earlier export, and whether it has the same columns."""
        file = self._destination.open(path)
        if file is None:
            return None, False
        with file:
            footer, schema = read_footer(file, self._destination.name(path))
        return footer, schema == self._table.schema

    async def _write(
        self, day: date, path: str, version: DayVersion, earlier: Footer | None, progress: Progress
    ) -> Footer:
        with (
            self._destination.new_file(path) as file,
            DayWriter(file, self._table.schema, version) as writer,
        ):
            async with aclosing(self._table.batches(day, version)) as batches:
                async for batch in batches:
                    if writer.add(batch):
                        await _in_thread(writer.flush)
                    progress(day, writer.rows)
            if not writer.rows:
                self._check_empty(day, path, version, earlier)
        return Footer(version, writer.rows)

    def _check_empty(self, day: date, path: str, version: DayVersion, earlier: Footer | None) -> None:
        """Raise an error for an empty day that has no file yet and no run, or whose file has rows."""
        if earlier is None and self._name == "aggregates" and version.run_micros is None:
            raise _NotComputedError
        if earlier is not None and earlier.rows and not self._force:
            raise ExportError(
                f"{self._destination.name(path)}: found no rows of {day} in {self._name}, expected some like the "
                f"{earlier.rows:,} of the file, which stays. --force replaces it"
            )

    def _outcome(self, day: date, path: str, status: Literal["written", "unchanged"], footer: Footer) -> ExportedDay:
        return ExportedDay(
            table=self._name,
            day=day,
            status=status,
            rows=footer.rows,
            complete=footer.version.complete,
            file=self._destination.name(path),
            bytes=self._destination.size(path),
        )


class _NotComputedError(Exception):
    """A day of aggregates has no run and no rows."""


async def _in_thread(work: Callable[[], None]) -> None:
    """Run work in a thread; return or raise when it has ended, also if this task is cancelled."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise
