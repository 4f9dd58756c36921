"""Sends forms to a console as its own pages do."""

from __future__ import annotations

from httpx2 import Response
from starlette.testclient import TestClient

ORIGIN = "http://127.0.0.1:8087"


def send(client: TestClient, address: str, origin: str = ORIGIN, **fields: str) -> Response:
    """Post a form with these fields."""
    return client.post(address, headers={"origin": origin}, data=fields)
