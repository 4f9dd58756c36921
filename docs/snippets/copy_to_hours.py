"""Copy a day of events from a pipeline with daily rows to a pipeline with hourly rows, which has another name."""

import asyncio
import sys
from datetime import date
from itertools import islice

from msgspec.structs import replace

from shared import row_keys
from shared.bigtable.client import EVENTS, Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.read_rows import Scan
from shared.config import Settings

CELLS_PER_WRITE = 1_000
MICROSECONDS_PER_HOUR = 3_600_000_000


async def copy(day: date, target_name: str) -> int:
    """Return the number of cells; a repetition writes the same cells again."""
    settings = Settings.from_environment()
    source, target = Bigtable(settings), Bigtable(replace(settings, name=target_name))
    copied = 0
    for prefix in row_keys.shard_prefixes(day):
        async for rows in source.read_batches(EVENTS, Scan.prefix(prefix)):
            for row in rows:
                cells = iter(row.cells)
                while part := list(islice(cells, CELLS_PER_WRITE)):
                    mutations = Mutations()
                    for cell in part:
                        hour = cell.micros // MICROSECONDS_PER_HOUR % 24
                        key = b"%s#%02d" % (row.key, hour)
                        mutations.set_cell(key, cell.family, cell.qualifier, cell.micros, cell.value)
                    await target.write(EVENTS, mutations)
                    copied += len(part)
    await source.close()
    await target.close()
    return copied


if __name__ == "__main__":
    print(f"{asyncio.run(copy(date.fromisoformat(sys.argv[1]), sys.argv[2])):,} cells copied")
