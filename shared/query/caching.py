"""Responses that clients may store and revalidate: ETag, If-None-Match and HEAD (RFC 9110)."""

from __future__ import annotations

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response

# Stored by the client alone, and validated before each use: a run may replace the data at any time.
_HEADERS = {"cache-control": "private, no-cache", "x-content-type-options": "nosniff"}
_TAG = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag(version: bytes) -> str:
    """Return the entity tag of a version of a response."""
    return f'"{hashlib.blake2b(version, digest_size=12).hexdigest()}"'


def is_current(request: Request, tag: str) -> bool:
    """Return whether the client has the version with this tag already (RFC 9110, section 13.1.2)."""
    found = b",".join(value for name, value in request.scope["headers"] if name == b"if-none-match")
    return found.strip() == b"*" or tag.encode() in _TAG.findall(found)


def not_modified(tag: str) -> Response:
    """Return the response to a client that has the current version."""
    return Response(status_code=304, headers={**_HEADERS, "etag": tag})


def respond(request: Request, body: bytes, tag: str | None = None) -> Response:
    """Return a JSON response, or 304 if the client has it already.

    Args:
        request: the request.
        body: the JSON.
        tag: its entity tag; that of the body by default.
    """
    tag = tag or etag(body)
    if is_current(request, tag):
        return not_modified(tag)
    headers = {**_HEADERS, "etag": tag, "content-length": str(len(body))}
    content = b"" if request.method == "HEAD" else body
    return Response(content, headers=headers, media_type="application/json")
