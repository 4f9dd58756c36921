"""Export a generated day of any size to a folder.

    python -m tests.support.large_export EVENTS USERS FOLDER

exports the events under the music contract and prints the number of rows and the peak memory as JSON.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from infra.export.day_tables.events import EventsOfDays
from infra.export.exporter import Exporter
from infra.export.files.folder import Folder
from shared.config import DEFAULT_CONTRACT
from shared.contracts.loader import load_contract
from tests.support.large_day import DAY, LargeDay, own_peak


async def export(day: LargeDay, folder: Path) -> int:
    """Export the day and return its number of rows."""
    table = EventsOfDays(day, load_contract(DEFAULT_CONTRACT))  # type: ignore[arg-type] - a fake
    exporter = Exporter("events", table, Folder(folder))
    [outcome] = [each async for each in exporter.export([DAY], lambda _day, _rows: None)]
    return outcome.rows


def main() -> None:
    """Export a day with the given numbers of events and users."""
    day = LargeDay(*map(int, sys.argv[1:3]))
    rows = asyncio.run(export(day, Path(sys.argv[3])))
    print(msgspec.json.encode({"rows": rows, "peak_mib": round(own_peak(), 1)}).decode())


if __name__ == "__main__":
    main()
