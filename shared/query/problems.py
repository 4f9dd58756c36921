"""Errors of the read API as problem details (RFC 9457). Pure, except for the response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
# Seconds after which a client should try again.
RETRY_AFTER = 5


class InvalidParameter(msgspec.Struct, frozen=True):
    """One invalid parameter of a request.

    Attributes:
        parameter: its name.
        found: its value as JSON, shortened.
        expected: what the endpoint accepts.
    """

    parameter: str
    found: str
    expected: str


class Problem(msgspec.Struct, frozen=True):
    """The body of an error.

    Attributes:
        title: the phrase of the status.
        detail: what was found and what was expected.
        errors: the invalid parameters.
        type: always "about:blank": the status says what kind of problem it is.
    """

    title: str
    status: int
    detail: str
    errors: Sequence[InvalidParameter] = ()
    type: str = "about:blank"


class ProblemError(Exception):
    """A request that gets an error response.

    Attributes:
        problem: the body.
        headers: of the response; none of them contains a value of the request.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[InvalidParameter] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(status.phrase, status.value, detail, errors)
        self.headers = dict(headers or {})

    @classmethod
    def of_parameters(cls, errors: Sequence[InvalidParameter]) -> ProblemError:
        """Return the error of a request with invalid parameters."""
        detail = "; ".join(f"{each.parameter}: found {each.found}, expected {each.expected}" for each in errors)
        return cls(HTTPStatus.BAD_REQUEST, detail, errors=errors)

    def response(self) -> Response:
        """Return the response; a server sends no body after HEAD."""
        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", **self.headers}
        body = msgspec.json.encode(self.problem)
        return Response(body, self.problem.status, headers=headers, media_type=MEDIA_TYPE)
