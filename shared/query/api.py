"""The read API: answers a request from the tables, with an entity tag, or raises a problem."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from shared.bigtable.client import Bigtable
from shared.contracts.model import Contract
from shared.query import caching, openapi
from shared.query.endpoints import ENDPOINTS, Tables
from shared.query.parameters import read_parameters
from shared.query.problems import ProblemError
from shared.tables.aggregates import AggregatesTable
from shared.tables.events import EventsTable
from shared.tables.rejected import RejectedTable
from shared.tables.state import StateTable
from shared.validation.results import quote

ALLOW = "GET, HEAD"

_encode = msgspec.json.Encoder().encode


class QueryApi:
    """Answers requests from the tables of one pipeline."""

    def __init__(self, bigtable: Bigtable, contract: Contract, lookback_days: int) -> None:
        """Prepare without any call.

        Args:
            bigtable: client of the instance with the tables.
            contract: that of the events, for the period of a row.
            lookback_days: days that a read of events without a start goes back.
        """
        state = StateTable(bigtable)
        self._tables = Tables(
            EventsTable(bigtable, contract.bucket),
            RejectedTable(bigtable),
            AggregatesTable(bigtable, state),
            state,
            lookback_days,
        )

    async def respond(self, request: Request) -> Response:
        """Return the response to a request.

        Raises:
            ProblemError: the request is invalid.
            StoreUnavailableError, StoreRefusedError: Bigtable doesn't answer, or refuses the read.
        """
        path = request.scope["path"]
        endpoint = ENDPOINTS.get(path)
        if endpoint is None and path != openapi.PATH:
            expected = ", ".join([*ENDPOINTS, openapi.PATH])
            raise ProblemError(HTTPStatus.NOT_FOUND, f"found {quote(path)}, expected one of {expected}")
        if request.method not in ("GET", "HEAD"):
            detail = f"found {quote(request.method)}, expected one of {ALLOW}"
            raise ProblemError(HTTPStatus.METHOD_NOT_ALLOWED, detail, headers={"allow": ALLOW})
        arguments = read_parameters(request.scope["query_string"], endpoint.parameters if endpoint else ())
        if endpoint is None:
            return caching.respond(request, openapi.document())
        tag = None
        if endpoint.version is not None:
            tag = caching.etag(await endpoint.version(self._tables, arguments))
            if caching.is_current(request, tag):
                return caching.not_modified(tag)
        return caching.respond(request, _encode(await endpoint.read(self._tables, arguments)), tag)
