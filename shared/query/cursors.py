"""Opaque cursors: the position after a page, bound to the endpoint and the parameters of its request. Pure."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from shared.query.problems import InvalidParameter, ProblemError
from shared.validation.results import quote

T = TypeVar("T")

# Parameters that may differ from page to page.
_FREE = {"limit", "cursor"}
_CHECKSUM_BYTES = 4


def encode(position: Any, path: str, arguments: Mapping[str, Any]) -> str:
    """Return the cursor of a position."""
    payload = msgspec.msgpack.encode(position)
    return urlsafe_b64encode(_checksum(payload, path, arguments) + payload).rstrip(b"=").decode()


def decode(kind: type[T], path: str, arguments: Mapping[str, Any]) -> T | None:
    """Return the position of the request's cursor; None without one.

    The checksum finds mistakes and is no secret: a position grants nothing that the parameters don't.

    Raises:
        ProblemError: 400, the cursor isn't one of this endpoint and these parameters.
    """
    cursor: str | None = arguments["cursor"]
    if cursor is None:
        return None
    try:
        decoded = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        payload = decoded[_CHECKSUM_BYTES:]
        if decoded[:_CHECKSUM_BYTES] == _checksum(payload, path, arguments):
            return msgspec.msgpack.decode(payload, type=kind)
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError):
        pass  # the same error as for a wrong checksum
    expected = "the `next` of a page of this endpoint with the same parameters"
    raise ProblemError.of_parameters([InvalidParameter("cursor", quote(cursor), expected)])


def _checksum(payload: bytes, path: str, arguments: Mapping[str, Any]) -> bytes:
    bound = [path, *(f"{name}={value!a}" for name, value in sorted(arguments.items()) if name not in _FREE)]
    return crc32(payload, crc32("\0".join(bound).encode())).to_bytes(_CHECKSUM_BYTES, "big")
