"""Errors of the API."""

from __future__ import annotations

import grpc


class ApiError(Exception):
    """An error response: a gRPC code, and a text with what was found and what was expected.

    Args:
        code: the code of the status.
        text: the message of the status.
        details: a serialized google.rpc.Status with more about the error.
    """

    def __init__(self, code: grpc.StatusCode, text: str, details: bytes | None = None) -> None:
        super().__init__(text)
        self.code, self.text, self.details = code, text, details


def invalid(text: str) -> ApiError:
    """Return an INVALID_ARGUMENT error."""
    return ApiError(grpc.StatusCode.INVALID_ARGUMENT, text)


def not_found(text: str) -> ApiError:
    """Return a NOT_FOUND error."""
    return ApiError(grpc.StatusCode.NOT_FOUND, text)
