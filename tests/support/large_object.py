"""A server of one object of any size, whose content is computed where it is read, for Google's client.

python -m tests.support.large_object KIND BYTES prints the URL, and serves gs://large/events.KIND until it is ended.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import zlib
from datetime import datetime, timedelta
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shared.pubsub.load_requests import ObjectVersion

LINE_BYTES, BLOCK_LINES = 250, 1_000
OBJECTS = {kind: ObjectVersion("large", f"events.{kind}", 1) for kind in ("jsonl", "csv", "jsonl.gz")}
CREATED = "2024-02-01T00:00:00Z"

_HEADER = b"event_id,userId,timestamp,event_type,duration,note".ljust(LINE_BYTES - 1, b" ") + b"\n"


def line(kind: str, number: int) -> bytes:
    """Return an event as a line of `LINE_BYTES`, padded in a field that isn't in the contract."""
    time = (datetime(2024, 1, 1) + timedelta(seconds=number // 50 % (28 * 86_400))).isoformat() + "Z"
    values = (f"evt-{number:012d}", f"user-{number % 9_973:05d}", time, "page_view", "12.5")
    if kind == "csv":
        return (",".join(values) + ",").encode().ljust(LINE_BYTES - 1, b"x") + b"\n"
    event = '{{"event_id":"{}","userId":"{}","timestamp":"{}","event_type":"{}","duration":{},"note":"'.format(*values)
    return event.encode().ljust(LINE_BYTES - 3, b"x") + b'"}\n'


class LargeObject:
    """The bytes of an object.

    Attributes:
        size: its bytes, a whole number of blocks.
        events: the number of its events.
    """

    def __init__(self, kind: str, size: int) -> None:
        self.kind = kind
        self._header = _HEADER if kind == "csv" else b""
        self._block_bytes = len(self.block(0))
        blocks = max(1, size // self._block_bytes)
        self.size = len(self._header) + blocks * self._block_bytes
        self.events = blocks * BLOCK_LINES

    @lru_cache(maxsize=32)  # noqa: B019 - the object lives as long as the process
    def block(self, number: int) -> bytes:
        """Return one block; all have the same size, for gzip since it is stored without compression."""
        first = number * BLOCK_LINES
        data = b"".join(line(self.kind, each) for each in range(first, first + BLOCK_LINES))
        return gzip.compress(data, zlib.Z_NO_COMPRESSION, mtime=0) if self.kind.endswith(".gz") else data

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end` (exclusive)."""
        head = self._header[start:end]
        start, end = max(start - len(self._header), 0), max(end - len(self._header), 0)
        first, last = start // self._block_bytes, -(-end // self._block_bytes)
        offset = first * self._block_bytes
        return head + b"".join(map(self.block, range(first, last)))[start - offset : end - offset]


def serve(kind: str, size: int) -> ThreadingHTTPServer:
    """Return a server of an object; the caller runs and closes it."""
    large, name = LargeObject(kind, size), OBJECTS[kind]
    resource = {
        "kind": "storage#object",
        "bucket": name.bucket,
        "name": name.name,
        "generation": str(name.generation),
        "size": str(large.size),
        "timeCreated": CREATED,
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
            body = large.read(int(found[1]), int(found[2]) + 1) if found else json.dumps(resource).encode()
            self.send_response(206 if found else 200)
            if found:
                self.send_header("content-range", f"bytes {found[1]}-{int(found[1]) + len(body) - 1}/{large.size}")
            self.send_header("content-type", "application/octet-stream" if found else "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


if __name__ == "__main__":
    with serve(sys.argv[1], int(sys.argv[2])) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
