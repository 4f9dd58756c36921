"""A Google Cloud on this machine for gcloud to talk to: it remembers what it is asked, and says that all is well."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

# The APIs that the commands call, by the names of gcloud's overrides.
APIS = (
    "cloudfunctions",
    "cloudresourcemanager",
    "serviceusage",
    "monitoring",
    "logging",
    "cloudbuild",
    "run",
    "pubsub",
    "bigtableadmin",
)

# Google gives its own account this role when it makes it.
PUBSUB_AGENT = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"


class Request(NamedTuple):
    """A request as it came; `body` is decoded where it is JSON."""

    method: str
    path: str
    body: Any


class FakeCloud:
    """What was asked, and the functions that were made.

    Attributes:
        enabled: the APIs that a list tells; nothing is refused for it.
        policy: who has which role, on whatever it is asked for.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.functions: dict[str, Any] = {}
        self.enabled: list[str] = []
        self.policy = {"bindings": [{"role": "roles/pubsub.serviceAgent", "members": [PUBSUB_AGENT]}]}

    def answer(self, request: Request) -> tuple[int, Any]:
        """Return status and JSON for a request."""
        self.requests.append(request)
        path = request.path.split("?")[0]
        name = path.split("/v2/")[-1]
        if path.endswith("/runtimes"):
            return 200, {"runtimes": [{"name": "python313", "environment": "GEN_2"}]}
        if path.endswith("functions:generateUploadUrl"):
            return 200, {"uploadUrl": f"{self.url}/upload", "storageSource": {"bucket": "b", "object": "o"}}
        if path.endswith("/functions") and request.method == "POST":
            made = request.body | {"state": "ACTIVE", "environment": "GEN_2"}
            self.functions[made["name"]] = made
            return 200, {"name": f"{made['name']}/operations/1"}
        if "/operations/" in path:
            return 200, {"name": name, "done": True, "metadata": {"stages": [{"name": "BUILD", "state": "COMPLETE"}]}}
        if path.endswith(":getIamPolicy"):
            return 200, self.policy
        if path.endswith("/services"):
            return 200, {"services": [{"config": {"name": name}, "state": "ENABLED"} for name in self.enabled]}
        if "/functions/" in path:
            return (200, self.functions[name]) if name in self.functions else (404, {"error": {"code": 404}})
        if "/services/" in path:
            return 200, {"name": name, "state": "ENABLED"}
        if request.method == "GET" and "/projects/" in path:
            return 200, {"projectId": "my-project", "projectNumber": "123456789012"}
        return 200, request.body if isinstance(request.body, dict) else {}

    def posted(self, ending: str) -> Any:
        """Return the body of the one request that was posted to a path that ends so."""
        [found] = [each.body for each in self.requests if each.method == "POST" and _plain(each.path).endswith(ending)]
        return found


def _plain(path: str) -> str:
    return path.split("?")[0]


@contextmanager
def fake_cloud() -> Iterator[FakeCloud]:
    """Serve one for the time of a `with` block."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                body = json.loads(data) if data else None
            except ValueError:
                body = data
            status, answer = cloud.answer(Request(self.command, self.path, body))
            encoded = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - the names of the base class

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    cloud = FakeCloud(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
