"""Row 15: the embedded Bigtable emulator beside Google's, in cells written and read per second."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import grpc

from infra.emulators.bigtable.admin import admin_pb2
from shared.bigtable import bigtable_pb2 as pb
from tests.bench.results import MeasurementError, Result, least
from tests.bench.servers import Servers

_PARENT = "projects/bench/instances/bench"
_TABLE = f"{_PARENT}/tables/events"
_CELLS, _CELLS_PER_CALL, _CELLS_PER_ROW, _VALUE_BYTES = 200_000, 100, 1_000, 100
_IN_FLIGHT = 4
_ROUNDS = 3
_EMBEDDED = "tests.support.bigtable_emulator"
_WORK = ("written", "read")


def rates(servers: Servers) -> Result:
    """Measure row 15: cells per second that each emulator writes and reads."""
    requests = [_request(start) for start in range(0, _CELLS, _CELLS_PER_CALL)]
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(_ROUNDS):
        file = servers.folder / f"bigtable-{number}.db"
        engines: dict[str, AbstractContextManager[str]] = {
            "Google's": _google(servers),
            "in memory": servers.python_server(_EMBEDDED),
            "in a file": servers.python_server(_EMBEDDED, "--file", file),
        }
        for name, engine in engines.items():
            with engine as address:
                found.setdefault(name, []).append(asyncio.run(_written_and_read(address, requests)))
    medians = {
        name: [statistics.median(rates) for rates in zip(*rounds, strict=True)] for name, rounds in found.items()
    }
    google = medians["Google's"]
    figures = {
        f"{work}, {name}": rate for name, each in medians.items() for work, rate in zip(_WORK, each, strict=True)
    }
    ratios = {
        f"{work}, {name}": rate / limit
        for name in ("in memory", "in a file")
        for work, rate, limit in zip(_WORK, medians[name], google, strict=True)
    }
    return Result(
        value=figures.pop("written, in memory"),
        unit="cells/s written, in memory",
        figures=figures,
        ratios=ratios,
        targets={name: least(0.25 if name.startswith("written") else 0.5) for name in ratios},
        how=f"the embedded emulator alone, with its data in memory and in a file, beside Google's: {_CELLS:,} cells of "
        f"{_VALUE_BYTES} bytes in rows of {_CELLS_PER_ROW:,}, written with {_CELLS_PER_CALL} a call and {_IN_FLIGHT} "
        "calls at once, then read in one scan. Requests are serialized before the clock starts, so the rates are "
        f"those of the servers; median of {_ROUNDS} rounds in turn, each on a new emulator",
    )


@contextmanager
def _google(servers: Servers) -> Iterator[str]:
    with servers.bigtable(tables=False) as settings:
        yield str(settings.bigtable_emulator)


async def _written_and_read(address: str, requests: list[bytes]) -> tuple[float, float]:
    """Write the cells and read them; return the cells per second of both."""
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        await _create_table(channel)
        write = channel.unary_stream("/google.bigtable.v2.Bigtable/MutateRows")
        remaining = iter(requests)
        begun = time.perf_counter()
        await asyncio.gather(*[_write(write, remaining) for _ in range(_IN_FLIGHT)])
        written = _CELLS / (time.perf_counter() - begun)
        read = channel.unary_stream("/google.bigtable.v2.Bigtable/ReadRows")
        begun = time.perf_counter()
        found = 0
        async for response in read(pb.ReadRowsRequest(table_name=_TABLE).SerializeToString()):
            found += len(pb.Answer.FromString(response).chunks)
        seconds = time.perf_counter() - begun
    if found != _CELLS:
        raise MeasurementError(f"{address}: found {found:,} cells, expected {_CELLS:,}")
    return written, _CELLS / seconds


async def _create_table(channel: grpc.aio.Channel) -> None:
    table = admin_pb2.Table(column_families={"events": admin_pb2.ColumnFamily()})
    request = admin_pb2.CreateTableRequest(parent=_PARENT, table_id="events", table=table)
    create = channel.unary_unary("/google.bigtable.admin.v2.BigtableTableAdmin/CreateTable")
    await create(request.SerializeToString())


async def _write(write: Any, requests: Iterator[bytes]) -> None:
    for request in requests:
        async for response in write(request):
            outcome = pb.MutateRowsResponse.FromString(response)
            if any(entry.status.code for entry in outcome.entries):
                raise MeasurementError(f"found {outcome}, expected that every entry is written")


def _request(start: int) -> bytes:
    request = pb.MutateRowsRequest(table_name=_TABLE)
    for index in range(start, start + _CELLS_PER_CALL):
        entry = request.entries.add(row_key=b"user%08d#2026-01-01" % (index // _CELLS_PER_ROW))
        cell = entry.mutations.add().set_cell
        cell.family_name, cell.column_qualifier = "events", os.urandom(16).hex().encode()
        cell.timestamp_micros = 1_700_000_000_000_000 + index * 1_000
        cell.value = os.urandom(_VALUE_BYTES)
    return bytes(request.SerializeToString())
