"""Peer B: Google's async data client and its mutations batcher, one row per event of a file.

Usage: client_file.py FILE; prints the seconds from the first read to the last acknowledgement.
"""

import asyncio
import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path

from google.cloud.bigtable.data import BigtableDataClientAsync, RowMutationEntry, SetCell


def entries(path):
    """Yield an entry per event."""
    with path.open("rb") as file:
        for line in file:
            event = json.loads(line)
            micros = int(datetime.fromisoformat(event["timestamp"]).timestamp() * 1_000) * 1_000
            key = f"{event['userId']}#{event['timestamp']}#{event['event_id']}"
            yield RowMutationEntry(key, SetCell("e", "event", line.rstrip(), timestamp_micros=micros))


async def load(path):
    """Write the events; on exit the batcher waits for all of them and raises their errors."""
    async with (
        BigtableDataClientAsync(project=os.environ["GCP_PROJECT_ID"]) as client,
        client.get_table(os.environ["BIGTABLE_INSTANCE"], "rows") as table,
    ):
        started = time.monotonic()
        async with table.mutations_batcher() as batcher:
            for entry in entries(path):
                await batcher.append(entry)
        print(time.monotonic() - started)


asyncio.run(load(Path(sys.argv[1])))
