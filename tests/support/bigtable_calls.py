"""Calls of Bigtable, with results that tests compare."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from google.api_core.exceptions import GoogleAPICallError

from tests.support.bigtable_emulator import Clients


async def outcome(call: Awaitable[Any]) -> Any:
    """Return the result of a call, or the code of its error."""
    try:
        return await call
    except GoogleAPICallError as error:
        return error.grpc_status_code.name if error.grpc_status_code else type(error).__name__


def set_cell(qualifier: bytes, value: bytes, micros: int = 1000, family: str = "a") -> dict[str, Any]:
    return {
        "set_cell": {
            "family_name": family,
            "column_qualifier": qualifier,
            "timestamp_micros": micros,
            "value": value,
        }
    }


async def write(clients: Clients, table: str, rows: dict[bytes, list[dict[str, Any]]]) -> list[int]:
    """Write rows with one MutateRows call; returns the codes of its entries."""
    entries = [{"row_key": key, "mutations": mutations} for key, mutations in rows.items()]
    stream = await clients.data.mutate_rows(table_name=table, entries=entries, retry=None)
    found = {entry.index: entry.status.code async for response in stream for entry in response.entries}
    return [found[index] for index in range(len(entries))]


async def mutate(clients: Clients, table: str, *mutations: dict[str, Any], key: bytes = b"r") -> str:
    result = await outcome(
        clients.data.mutate_row(table_name=table, row_key=key, mutations=list(mutations), retry=None)
    )
    return result if isinstance(result, str) else "OK"


async def read(clients: Clients, table: str, **request: Any) -> Any:
    """Return the rows of a ReadRows call: (key, family, qualifier, timestamp, value, labels) of each cell."""
    cells: list[tuple[Any, ...]] = []
    key, family, qualifier, micros, value = b"", "", b"", 0, b""

    async def all_cells() -> list[tuple[Any, ...]]:
        nonlocal key, family, qualifier, micros, value
        request_ = {"table_name": table, **request}
        async for response in await clients.data.read_rows(request=request_, retry=None):
            for chunk in response.chunks:
                key = chunk.row_key or key
                family = chunk.family_name if chunk.family_name is not None else family
                qualifier = chunk.qualifier if chunk.qualifier is not None else qualifier
                micros = micros if value else chunk.timestamp_micros  # a long value has it in its first chunk
                value += chunk.value
                if not chunk.value_size:
                    cells.append((key, family, qualifier, micros, value, list(chunk.labels)))
                    value = b""
        return cells

    return await outcome(all_cells())


async def keys(clients: Clients, table: str, **request: Any) -> Any:
    cells = await read(clients, table, **request)
    return cells if isinstance(cells, str) else list(dict.fromkeys(cell[0] for cell in cells))
