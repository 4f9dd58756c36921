"""Peer A: measures computed by hand-written code, from a table of one row per event with Google's client.

Usage: client_aggregate.py FILE; writes the measures to FILE as JSON and prints the seconds of the read.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud.bigtable import Client


def measures(rows):
    """Return the measures by dimension and value."""
    users, songs, types = {}, {}, {}
    everything = {"total_events": 0, "users": set(), "songs": set(), "listening_seconds": 0.0, "longest_seconds": None}
    for row in rows:
        event = json.loads(row.cells["e"][b"event"][0].value)
        user, song, duration = event["userId"], event["songId"], event["duration"]
        of_user = users.setdefault(user, {"total_events": 0, "songs": set(), "listening_seconds": 0.0})
        of_user["total_events"] += 1
        of_user["songs"].add(song)
        of_user["listening_seconds"] += duration
        if event["event_type"] == "song_play":
            plays = songs.setdefault(song, {"plays": 0, "users": set(), "seconds": 0.0})
            plays["plays"] += 1
            plays["users"].add(user)
            plays["seconds"] += duration
        kind = types.setdefault(event["event_type"], {"total_events": 0, "users": set()})
        kind["total_events"] += 1
        kind["users"].add(user)
        everything["total_events"] += 1
        everything["users"].add(user)
        everything["songs"].add(song)
        everything["listening_seconds"] += duration
        everything["longest_seconds"] = max(everything["longest_seconds"] or 0, duration)
    return {
        "user": {
            name: {
                "total_events": each["total_events"],
                "unique_songs": len(each["songs"]),
                "listening_seconds": each["listening_seconds"],
            }
            for name, each in users.items()
        },
        "song": {
            name: {
                "plays": each["plays"],
                "unique_users": len(each["users"]),
                "mean_seconds": each["seconds"] / each["plays"],
            }
            for name, each in songs.items()
        },
        "event_type": {
            name: {"total_events": each["total_events"], "unique_users": len(each["users"])}
            for name, each in types.items()
        },
        "all": {
            "all": {
                "total_events": everything["total_events"],
                "active_users": len(everything["users"]),
                "unique_songs": len(everything["songs"]),
                "listening_seconds": everything["listening_seconds"],
                "longest_seconds": everything["longest_seconds"],
            }
        },
    }


warnings.filterwarnings("ignore")  # of the client, about the emulator
client = Client(project=os.environ["GCP_PROJECT_ID"], credentials=AnonymousCredentials())
table = client.instance(os.environ["BIGTABLE_INSTANCE"]).table("rows")
started = time.monotonic()
found = measures(table.read_rows())
seconds = time.monotonic() - started
Path(sys.argv[1]).write_text(json.dumps(found))
print(seconds)
