"""What the API answers to a call that it refuses."""

from __future__ import annotations

import grpc


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An error of the API: its code, and a text that says what was found and what was expected."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def invalid(text: str) -> Refusal:
    """Return a refusal of an argument."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, text)
