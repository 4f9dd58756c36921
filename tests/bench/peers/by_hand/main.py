"""Peer A: a function written by hand, after Google's samples for Pub/Sub triggers and Bigtable writes."""

import base64
import json
import os
from datetime import datetime
from functools import cache

import functions_framework
from google.cloud import bigtable


@cache
def table():
    """Connect on the first event: a client made at import doesn't survive the server's fork."""
    client = bigtable.Client(project=os.environ["GCP_PROJECT_ID"])
    return client.instance(os.environ["BIGTABLE_INSTANCE"]).table("by_hand")


@functions_framework.cloud_event
def by_hand(cloud_event):
    """Write the message's event as a row."""
    event = json.loads(base64.b64decode(cloud_event.data["message"]["data"]))
    row = table().direct_row(f"{event['userId']}#{event['timestamp']}#{event['event_id']}".encode())
    row.set_cell("e", "event", json.dumps(event), timestamp=datetime.fromisoformat(event["timestamp"]))
    status = row.commit()
    if status.code:
        raise RuntimeError(status.message)
