"""An emulator of Cloud Storage for Google's own client."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from gcp_storage_emulator.server import create_server


@contextmanager
def storage_emulator(*buckets: str) -> Iterator[str]:
    """Serve empty buckets on this machine; yield the value of `STORAGE_EMULATOR_HOST`."""
    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{server._api._httpd.server_port}"
        for bucket in buckets:
            body = json.dumps({"name": bucket}).encode()
            headers = {"content-type": "application/json"}
            request = urllib.request.Request(f"{url}/storage/v1/b?project=p", body, headers)
            urllib.request.urlopen(request).close()
        yield url
    finally:
        server.stop()
