"""Peer C: a Beam pipeline on its local runner that writes a row per event of a file. It has its own environment.

Usage: beam_file.py FILE; prints the seconds of the pipeline.
Its Google client reads the address of the emulator from the environment.
"""

import json
import os
import sys
import time
from datetime import datetime

import apache_beam as beam
from apache_beam.io.gcp.bigtableio import WriteToBigTable
from google.cloud.bigtable.row import DirectRow


def row(line):
    """Return the row of an event."""
    event = json.loads(line)
    new = DirectRow(f"{event['userId']}#{event['timestamp']}#{event['event_id']}".encode())
    new.set_cell("e", "event", line, timestamp=datetime.fromisoformat(event["timestamp"]))
    return new


if __name__ == "__main__":
    started = time.monotonic()
    with beam.Pipeline(argv=["--runner=DirectRunner"]) as pipeline:
        lines = pipeline | beam.io.ReadFromText(sys.argv[1])
        rows = lines | beam.Map(row)
        rows | WriteToBigTable(os.environ["GCP_PROJECT_ID"], os.environ["BIGTABLE_INSTANCE"], "rows")
    print(time.monotonic() - started)
