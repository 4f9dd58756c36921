"""A fake BigQuery API on this machine for bq: every table is absent, and every job is done at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.gcloud.fake_cloud import FakeCloud, Request


class FakeBigQuery(FakeCloud):
    """The recorded requests of bq.

    Attributes:
        document: the description of the API, which bq asks for.
    """

    document: dict[str, Any]

    def answer(self, request: Request) -> tuple[int, Any]:
        """Return status and JSON for a request."""
        self.requests.append(request)
        if "/rest?" in request.path:
            return 200, self.document | {"rootUrl": f"{self.url}/", "baseUrl": f"{self.url}/bigquery/v2/"}
        if "/queries/" in request.path:
            return 200, {"jobComplete": True, "schema": {"fields": []}, "rows": [], "totalRows": "0"}
        if request.method == "GET":
            error = {"domain": "global", "reason": "notFound", "message": "Not found"}
            return 404, {"error": {"code": 404, "message": "Not found", "errors": [error]}}
        if request.path.split("?")[0].endswith("/jobs"):
            return 200, request.body | {
                "id": "my-project:EU.job",
                "status": {"state": "DONE"},
                "statistics": {"query": {"statementType": "SELECT"}},
            }
        return 200, request.body

    def bodies(self, ending: str) -> list[Any]:
        """Return the bodies of the POST requests to a path with this ending."""
        return [
            each.body for each in self.requests if each.method == "POST" and each.path.split("?")[0].endswith(ending)
        ]


def load_document(sdk: Path) -> dict[str, Any]:
    """Return the description of BigQuery's API that comes with bq."""
    path = sdk / "platform" / "bq" / "discovery_next" / "bigquery.json"
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


def unknown_keys(document: dict[str, Any], kind: str, value: Any) -> set[str]:
    """Return the keys of a request that the description of its kind doesn't have, also those inside."""
    return _unknown(document["schemas"], {"$ref": kind}, value)


def _unknown(schemas: dict[str, Any], schema: dict[str, Any], value: Any) -> set[str]:
    schema = schemas.get(schema.get("$ref"), schema)
    if isinstance(value, list):
        return {key for each in value for key in _unknown(schemas, schema.get("items", {}), each)}
    properties = schema.get("properties")
    if not isinstance(value, dict) or properties is None:
        return set()
    found: set[str] = set()
    for key, inner in value.items():
        # The API accepts the names of protobuf's fields as well as those of JSON.
        name = re.sub(r"_(\w)", lambda match: match[1].upper(), key)
        found |= _unknown(schemas, properties[name], inner) if name in properties else {key}
    return found
