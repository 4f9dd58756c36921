"""What a read of a day saw, and whether a later read would see the same."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec

from shared.bigtable.client import Bigtable
from shared.tables.state import CLEAR_MARGIN, MAX_STALENESS, StateTable
from shared.timestamps import EPOCH, end_of_day, now


class DayVersion(msgspec.Struct, frozen=True):
    """What a read of a day saw, as far as the table `state` tells.

    Attributes:
        horizon_micros: time up to which the read has certainly seen all stored rows, in microseconds since 1970.
        run_micros: start of the current run of the day before the read; None without a run.
        complete: whether the horizon is after the end of the day.
    """

    horizon_micros: int
    run_micros: int | None
    complete: bool


class MarkedDays:
    """The versions of days that `ingest` marks when it stores something late: those of `events` and `rejected`."""

    def __init__(self, bigtable: Bigtable) -> None:
        self._staleness = MAX_STALENESS if bigtable.app_profile else timedelta()
        self._state = StateTable(bigtable, staleness=self._staleness)

    async def version(self, day: date) -> DayVersion:
        """Return what a read of a day that begins now sees."""
        horizon = now() - self._staleness
        run = await self._state.run(day)
        micros = (horizon - EPOCH) // timedelta(microseconds=1)
        return DayVersion(micros, run.micros if run else None, horizon >= end_of_day(day))

    async def is_current(self, day: date, version: DayVersion) -> bool:
        """Return whether nothing was stored for a day since the read with this version.

        A later row leaves a mark. A run that has read the row deletes the mark, and is then another run than the
        version's. A run becomes the current one before it deletes marks, so the marks are read first.
        """
        mark = await self._state.latest_mark(day)
        run = await self._state.run(day)
        # A mark may be older than a row that relies on it: see CLEAR_MARGIN.
        seen = EPOCH + timedelta(microseconds=version.horizon_micros) - CLEAR_MARGIN
        same_run = (run.micros if run else None) == version.run_micros
        return version.complete and same_run and (mark is None or mark < seen)
