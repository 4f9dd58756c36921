"""The OpenAPI document describes every endpoint, and is valid."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs

from shared.query import openapi
from shared.query.endpoints import ENDPOINTS
from tests.support.samples import ROOT

DOCUMENT: dict[str, Any] = json.loads(openapi.document())


def test_every_endpoint_and_parameter_is_described() -> None:
    assert set(DOCUMENT["paths"]) == {*ENDPOINTS, openapi.PATH}
    for path, endpoint in ENDPOINTS.items():
        for method in ("get", "head"):
            described = DOCUMENT["paths"][path][method]["parameters"]
            names = [each["name"] for each in described if each["in"] == "query"]
            assert names == [each.name for each in endpoint.parameters]
            assert [each["required"] for each in described[:-1]] == [each.required for each in endpoint.parameters]


def test_every_schema_is_valid_and_every_reference_resolves() -> None:
    text = json.dumps(DOCUMENT)

    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})
    for reference in set(re.findall(r'"#/([^"]+)"', text)):
        found: Any = DOCUMENT
        for part in reference.split("/"):
            found = found[part]


def test_operations_have_distinct_names_and_describe_every_error() -> None:
    operations = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]

    names = [each["operationId"] for each in operations]
    assert len(names) == len(set(names)) == 2 * (len(ENDPOINTS) + 1)
    assert {tuple(each["responses"]) for each in operations} == {("200", "304", "400", "404", "405", "500", "503")}


def test_every_endpoint_and_parameter_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")

    for path, endpoint in ENDPOINTS.items():
        names = ", ".join(f"`{each.name}`" + ("" if each.required else "?") for each in endpoint.parameters)
        assert f"| `{path}` | {names} |" in page
    assert f"`{openapi.PATH}`" in page
