"""A fake Google Cloud API on this machine for gcloud: it records requests and answers every one with success."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, TypeVar

# The APIs that the commands call, by the names of gcloud's endpoint overrides.
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
    "iam",
    "storage",
)

# Google grants this role to its service agent.
PUBSUB_AGENT = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"


class Request(NamedTuple):
    """A request; `body` is decoded if it is JSON."""

    method: str
    path: str
    body: Any


class FakeCloud:
    """The recorded requests and the created functions.

    Attributes:
        accounts: the listed service accounts.
        metrics: the listed metrics.
        enabled: the listed APIs; requests to other APIs succeed as well.
        policy: the IAM policy of every resource.
        notifications: the listed notifications of every bucket.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.functions: dict[str, Any] = {}
        self.accounts: list[Any] = []
        self.metrics: list[Any] = []
        self.enabled: list[str] = []
        self.notifications: list[Any] = []
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
            created = request.body | {"state": "ACTIVE", "environment": "GEN_2"}
            self.functions[created["name"]] = created
            return 200, {"name": f"{created['name']}/operations/1"}
        if request.method == "GET" and (listed := self._listed(path.rsplit("/", 1)[-1])) is not None:
            return 200, listed
        if "/notificationConfigs/" in path:
            return 200, {"id": path.rsplit("/", 1)[-1]}
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

    def _listed(self, collection: str) -> Any:
        """Return the response that lists a collection; None for another path."""
        return {
            "functions": {"functions": list(self.functions.values())},
            "serviceAccounts": {"accounts": self.accounts},
            "metrics": {"metrics": self.metrics},
            "notificationConfigs": {"items": self.notifications},
            "serviceAccount": {"email_address": "service-123456789012@gs-project-accounts.iam.gserviceaccount.com"},
        }.get(collection)

    def posted(self, ending: str) -> Any:
        """Return the body of the only POST request to a path with this ending."""
        [body] = [
            each.body for each in self.requests if each.method == "POST" and _without_query(each.path).endswith(ending)
        ]
        return body


Fake = TypeVar("Fake", bound=FakeCloud)


def _without_query(path: str) -> str:
    return path.split("?")[0]


@contextmanager
def fake_cloud(kind: type[Fake]) -> Iterator[Fake]:
    """Serve a fake of this kind inside a `with` block."""

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
    cloud = kind(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
