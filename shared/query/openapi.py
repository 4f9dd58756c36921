"""The OpenAPI document of the read API, made from the endpoints that it describes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from inspect import cleandoc
from typing import Any

import msgspec

from shared.query import problems
from shared.query.endpoints import ENDPOINTS, Endpoint

PATH = "/openapi.json"
VERSION = "1.0.0"

_TAG_HEADER = {"description": "The version of the data, for If-None-Match.", "schema": {"type": "string"}}
_CACHE_HEADER = {"description": "How long the response may be reused.", "schema": {"type": "string"}}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "Entity tags of stored responses; 304 if one of them is current.",
    "schema": {"type": "string"},
}
_PROBLEMS = {
    "400": "A parameter is missing, unknown, repeated or invalid.",
    "404": "There is no such path.",
    "405": "The method is neither GET nor HEAD.",
    "500": "The deployment needs an operator; its log has the cause.",
    "503": "Bigtable didn't answer in time; a later request may succeed.",
}


@cache
def document() -> bytes:
    """Return the document as JSON."""
    types = [problems.Problem, *(each.answer for each in ENDPOINTS.values())]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        schema["description"] = cleandoc(schema["description"])
    paths = {path: _path(endpoint) for path, endpoint in ENDPOINTS.items()}
    paths[PATH] = _operations("openapi", "This document", (), {"type": "object"})
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Sluice read API",
                "version": VERSION,
                "description": "Reads the tables of a pipeline. Every error is a problem of RFC 9457.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{"identity": []}, {}],  # a local stack needs no token
            "paths": paths,
            "components": {
                "schemas": schemas,
                "responses": {status: _problem(text, status) for status, text in _PROBLEMS.items()},
                "securitySchemes": {
                    "identity": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": "Required on Google Cloud: an ID token of an account with roles/run.invoker.",
                    }
                },
            },
        }
    )


def _path(endpoint: Endpoint) -> dict[str, Any]:
    parameters = [
        {
            "name": each.name,
            "in": "query",
            "description": each.description,
            "required": each.required,
            "schema": dict(each.schema),
        }
        for each in endpoint.parameters
    ]
    schema = {"$ref": f"#/components/schemas/{endpoint.answer.__name__}"}
    return _operations(endpoint.path.rpartition("/")[2], endpoint.summary, parameters, schema)


def _operations(name: str, summary: str, parameters: Sequence[Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the operations of a path: GET, and HEAD without a body."""
    headers = {"ETag": _TAG_HEADER, "Cache-Control": _CACHE_HEADER}
    body = {"content": {"application/json": {"schema": schema}}}
    references = {status: {"$ref": f"#/components/responses/{status}"} for status in _PROBLEMS}

    def operation(id_: str, text: str, content: dict[str, Any], failures: dict[str, Any]) -> dict[str, Any]:
        return {
            "operationId": id_,
            "summary": text,
            "parameters": [*parameters, _IF_NONE_MATCH],
            "responses": {
                "200": {"description": text, "headers": headers, **content},
                "304": {"description": "The client has the current version.", "headers": headers},
                **failures,
            },
        }

    bodiless = {status: {"description": text} for status, text in _PROBLEMS.items()}
    return {
        "get": operation(name, summary, body, references),
        "head": operation(f"{name}Head", f"{summary}: only the headers", {}, bodiless),
    }


def _problem(text: str, status: str) -> dict[str, Any]:
    headers = {}
    if status == "405":
        headers["Allow"] = {"description": "The methods of the path.", "schema": {"type": "string"}}
    if status == "503":
        headers["Retry-After"] = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": text, "headers": headers, "content": {problems.MEDIA_TYPE: {"schema": schema}}}
