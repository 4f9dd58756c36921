"""Sample events and messages, and functions that read tables independently of the project's code."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import msgspec
from google.cloud.bigtable_v2 import BigtableClient
from google.cloud.bigtable_v2.services.bigtable.transports import BigtableGrpcTransport
from google.cloud.bigtable_v2.types import RowSet

from shared.config import Settings
from shared.pubsub.message import Message

ROOT = Path(__file__).parents[2]
SPARKIFY = ROOT.parent / "shared" / "data" / "sparkify"
MUSIC_CONTRACT = ROOT / "shared" / "contracts" / "music.toml"
SPARKIFY_CONTRACT = ROOT / "shared" / "contracts" / "sparkify.toml"

Table = dict[bytes, dict[tuple[str, bytes], list[tuple[int, bytes]]]]


def dump(settings: Settings, table: str, prefix: bytes = b"") -> Table:
    """Read a table with Google's synchronous client: {row: {(family, qualifier): [(micros, value), newest first]}}."""
    assert settings.bigtable_emulator
    rows: Table = {}
    unbounded = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(settings.bigtable_emulator, options=unbounded) as channel:
        client = BigtableClient(transport=BigtableGrpcTransport(channel=channel))
        name = f"projects/{settings.project_id}/instances/{settings.instance_id}/tables/{table}"
        row_set = RowSet(row_ranges=[{"start_key_closed": prefix, "end_key_open": prefix + b"\xff"}])
        key, family, qualifier, micros, parts = b"", "", b"", 0, list[bytes]()
        for response in client.read_rows(request={"table_name": name, "rows": row_set}):
            for chunk in response.chunks:
                key = chunk.row_key or key
                family = chunk.family_name if "family_name" in chunk else family
                qualifier = chunk.qualifier if "qualifier" in chunk else qualifier
                micros = micros if parts else chunk.timestamp_micros
                parts.append(chunk.value)
                if not chunk.value_size:  # the last chunk of a cell
                    cells = rows.setdefault(key, {}).setdefault((family, qualifier), [])
                    cells.append((micros, b"".join(parts)))
                    parts.clear()
    return rows


def cells(table: Table, family: str) -> Iterator[tuple[bytes, bytes, int, bytes]]:
    """Yield (row key, qualifier, micros, value) of every cell of a family."""
    for row_key, columns in table.items():
        for (name, qualifier), versions in columns.items():
            if name == family:
                yield from ((row_key, qualifier, micros, value) for micros, value in versions)


def music_event(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return an event of a music service; `...` removes a key."""
    event = {
        "event_id": f"evt-{number:06d}",
        "userId": f"user-{number % 7}",
        "timestamp": f"2024-01-15T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "event_type": "song_play",
        "songId": f"song-{number % 11}",
        "duration": 180.25,
    }
    return {key: value for key, value in {**event, **changes}.items() if value is not ...}


def lines(events: Iterable[dict[str, Any]]) -> bytes:
    """Return events as newline-delimited JSON."""
    return b"\n".join(msgspec.json.encode(event) for event in events)


def parquet(events: Iterable[dict[str, Any]]) -> bytes:
    """Return events as a Parquet file."""
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(events)), file)
    return file.getvalue()


def message(data: bytes, *, message_id: str = "1", published: datetime | None = None) -> Message:
    """Return a message as `receive` returns it."""
    return Message(data, message_id, published or datetime.now(UTC))


def push(
    data: bytes, *, message_id: str = "1", attributes: dict[str, str] | None = None, published: str | None = None
) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of the request in which Pub/Sub pushes a message."""
    published = published or datetime.now(UTC).isoformat().replace("+00:00", "Z")
    body = {
        "message": {
            "data": base64.b64encode(data).decode(),
            "attributes": attributes or {},
            "messageId": message_id,
            "publishTime": published,
        },
        "subscription": "projects/p/subscriptions/events-ingest",
    }
    return {"content-type": "application/json"}, json.dumps(body).encode()


def cloud_event(data: bytes, *, published: str | None = None, **options: Any) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a binary CloudEvent, as Eventarc delivers it; options as those of `push`."""
    published = published or datetime.now(UTC).isoformat().replace("+00:00", "Z")
    headers, body = push(data, published=published, **options)
    headers |= {
        "ce-id": options.get("message_id", "1"),
        "ce-source": "//pubsub.googleapis.com/projects/p/topics/events",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "ce-time": published,
    }
    return headers, body


def structured_event(data: bytes, **options: Any) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a structured CloudEvent; options as those of `push`."""
    headers, body = cloud_event(data, **options)
    event = {name.removeprefix("ce-"): value for name, value in headers.items() if name.startswith("ce-")}
    return {"content-type": "application/cloudevents+json"}, json.dumps(event | {"data": json.loads(body)}).encode()


def sparkify_records(folder: Path = SPARKIFY) -> list[dict[str, Any]]:
    """Return the records of the real log, or of a folder of the same format, read with the standard library."""
    return [json.loads(line) for path in sorted(folder.glob("*.json")) for line in path.read_text("utf-8").splitlines()]
