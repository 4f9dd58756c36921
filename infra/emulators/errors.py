"""Errors of the API."""

from __future__ import annotations

import grpc


class ApiError(Exception):
    """An error response: a gRPC code, and a text with what was found and what was expected."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def invalid(text: str) -> ApiError:
    """Return an INVALID_ARGUMENT error."""
    return ApiError(grpc.StatusCode.INVALID_ARGUMENT, text)
