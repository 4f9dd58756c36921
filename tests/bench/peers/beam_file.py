"""Peer C: a Beam pipeline on its local runner, a row for each event of a file. It has an environment of its own.

Usage: beam_file.py FILE; prints the seconds that the pipeline took.
It finds the emulator by itself, since Google's client under it does.
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
    made = DirectRow(f"{event['userId']}#{event['timestamp']}#{event['event_id']}".encode())
    made.set_cell("e", "event", line, timestamp=datetime.fromisoformat(event["timestamp"]))
    return made


if __name__ == "__main__":
    started = time.monotonic()
    with beam.Pipeline(argv=["--runner=DirectRunner"]) as pipeline:
        lines = pipeline | beam.io.ReadFromText(sys.argv[1])
        rows = lines | beam.Map(row)
        rows | WriteToBigTable(os.environ["GCP_PROJECT_ID"], os.environ["BIGTABLE_INSTANCE"], "rows")
    print(time.monotonic() - started)
