"""Requests to a function in this process, sent through the ASGI interface as a server would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True)
class HttpAnswer:
    """A response.

    Attributes:
        headers: by lower-case name.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


async def get(
    app: Any,
    path: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    query: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
) -> HttpAnswer:
    """Send a request without a body.

    Args:
        app: the ASGI application.
        path: not encoded.
        parameters: of the query string.
        query: the query string itself, instead of parameters.
        headers: of the request.
        method: of the request.
    """
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(parameters or {}).encode() if query is None else query,
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8080),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await app(scope, receive, send)
    found = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return HttpAnswer(sent[0]["status"], found, b"".join(part.get("body", b"") for part in sent[1:]))
