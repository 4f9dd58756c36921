"""SampleRowKeys: the keys of all responses, retries after transient errors, and errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.cloud.bigtable_v2.types import SampleRowKeysRequest, SampleRowKeysResponse
from grpc import StatusCode

from shared.bigtable.sample_row_keys import sample_row_keys
from shared.errors import StoreRefusedError, StoreUnavailableError
from tests.support.read_rows_answers import failed

TABLE = "projects/p/instances/i/tables/events"


class FakeTransport:
    """A fake transport: each call follows the next script of keys and errors; the last script repeats."""

    def __init__(self, *scripts: list[Any]) -> None:
        self.requests: list[Any] = []
        self._scripts = list(scripts)

    async def sample_row_keys(
        self, request: bytes, table: str, app_profile: str, timeout: float
    ) -> AsyncIterator[bytes]:
        sent = SampleRowKeysRequest.deserialize(request)
        assert (sent.table_name, sent.app_profile_id) == (table, app_profile)
        self.requests.append(sent)
        for step in self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]:
            if isinstance(step, Exception):
                raise step
            yield SampleRowKeysResponse.serialize(SampleRowKeysResponse(row_key=step))


async def sample(transport: FakeTransport, deadline: float = 60) -> list[bytes]:
    return await sample_row_keys(transport, TABLE, "profile", deadline=deadline)  # type: ignore[arg-type]


async def test_the_end_of_the_table_is_no_key() -> None:
    assert await sample(FakeTransport([b"f", b"m", b""])) == [b"f", b"m"]
    assert await sample(FakeTransport([])) == []


async def test_an_interrupted_call_starts_over() -> None:
    transport = FakeTransport([b"f", failed(StatusCode.UNAVAILABLE)], [b"f", b"m", b""])

    assert await sample(transport) == [b"f", b"m"]
    assert len(transport.requests) == 2


async def test_transient_errors_are_retried_until_the_deadline() -> None:
    transport = FakeTransport([failed(StatusCode.UNAVAILABLE, "gone")])

    with pytest.raises(StoreUnavailableError, match=r"^sampling the row keys of events: UNAVAILABLE: gone$"):
        await sample(transport, 0.2)
    assert len(transport.requests) > 1


async def test_a_refused_call_is_not_retried() -> None:
    transport = FakeTransport([failed(StatusCode.NOT_FOUND, "no table")])

    with pytest.raises(StoreRefusedError, match="NOT_FOUND: no table"):
        await sample(transport)
    assert len(transport.requests) == 1
