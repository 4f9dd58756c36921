"""The limit of writes: prebuilt MutateRows requests, so that only gRPC and the server are measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import grpc
import msgspec
from google.cloud.bigtable_v2.types import MutateRowsRequest, MutateRowsResponse

from shared.bigtable.mutations import Mutations
from shared.config import DEFAULT_CONTRACT, Settings
from shared.contracts.loader import load_contract
from shared.validation.results import Accepted
from shared.validation.validator import Validator
from tests.bench.results import MeasurementError

_METHOD = "/google.bigtable.v2.Bigtable/MutateRows"
_IN_FLIGHT = 4


def build(settings: Settings, events: Iterable[bytes], rows: int) -> list[bytes]:
    """Return serialized requests of `rows` rows with one event each, as this project stores them."""
    validator = Validator(load_contract(DEFAULT_CONTRACT))
    now = datetime.now(UTC)
    table = f"projects/{settings.project_id}/instances/{settings.instance_id}/tables/events"
    calls: list[bytes] = []
    entries: list[bytes] = []
    for number, raw in enumerate(events, 1):
        verdict = validator.validate(raw, now)
        assert isinstance(verdict, Accepted), msgspec.json.encode(verdict)
        mutations = Mutations()
        mutations.set_cells("e", [verdict.cell_key], [verdict.value])
        entries += [entry.wire for entry in mutations.entries()]
        if number % rows == 0:
            calls.append(MutateRowsRequest.serialize(MutateRowsRequest(table_name=table)) + b"".join(entries))
            entries = []
    return calls


def send_all(settings: Settings, calls: Sequence[bytes], rows: int) -> float:
    """Send the requests, several at once, and return the rows per second."""
    return asyncio.run(_send_all(str(settings.bigtable_emulator), calls, rows))


async def _send_all(address: str, calls: Sequence[bytes], rows: int) -> float:
    async with grpc.aio.insecure_channel(address) as channel:
        mutate = channel.unary_stream(_METHOD)
        remaining = iter(calls)

        async def send() -> None:
            for call in remaining:
                async for response in mutate(call):
                    entries = MutateRowsResponse.pb(MutateRowsResponse.deserialize(response)).entries
                    if any(entry.status.code for entry in entries):
                        raise MeasurementError("an entry was refused")

        started = time.perf_counter()
        await asyncio.gather(*(send() for _ in range(_IN_FLIGHT)))
        return len(calls) * rows / (time.perf_counter() - started)
