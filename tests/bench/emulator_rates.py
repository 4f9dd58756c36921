"""Measure the embedded Bigtable emulator and Google's side by side: cells written and read per second.

python -m tests.bench.emulator_rates --cells 200000

Requests are serialized before the clock starts, so the rates are those of the servers, not of a client.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import grpc

from infra.local import google_emulators
from infra.local.ports import accepts
from infra.local.supervisor import Supervisor
from shared.bigtable import bigtable_pb2 as pb
from tests.support.processes import end_child, free_port

_PARENT = "projects/bench/instances/bench"
_TABLE = f"{_PARENT}/tables/events"
_CELLS_PER_CALL = 100
_CELLS_PER_ROW = 1000
_IN_FLIGHT = 4
_ENGINES = ("google", "memory", "file")


@contextmanager
def running(engine: str, supervisor: Supervisor) -> Iterator[int]:
    """Run an emulator: Google's, or the embedded one with its data in memory or in a file."""
    port = free_port()
    if engine == "google":
        child = google_emulators.start_bigtable(supervisor, port)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = ["--file", str(Path(folder) / "bigtable.db")] if engine == "file" else []
            command = [sys.executable, "-m", "tests.support.bigtable_emulator", "--port", str(port), *file]
            child = supervisor.start(f"embedded-{engine}", command, env=dict(os.environ))
            yield from _until_done(supervisor, child, port)
        return
    yield from _until_done(supervisor, child, port)


def _until_done(supervisor: Supervisor, child: Any, port: int) -> Iterator[int]:
    try:
        supervisor.wait_until(partial(accepts, port), "the emulator doesn't answer")
        yield port
    finally:
        end_child(supervisor, child)


async def measure(port: int, cells: int, value_bytes: int) -> tuple[float, float]:
    """Write cells and read them; returns the cells per second of both."""
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        await _create_table(channel)
        requests = [_request(start, value_bytes) for start in range(0, cells, _CELLS_PER_CALL)]
        write = channel.unary_stream("/google.bigtable.v2.Bigtable/MutateRows")
        begin = time.perf_counter()
        waiting = iter(requests)
        await asyncio.gather(*[_write(write, waiting) for _ in range(_IN_FLIGHT)])
        written = cells / (time.perf_counter() - begin)
        read = channel.unary_stream("/google.bigtable.v2.Bigtable/ReadRows")
        begin = time.perf_counter()
        found = 0
        async for response in read(pb.ReadRowsRequest(table_name=_TABLE).SerializeToString()):
            found += len(pb.Answer.FromString(response).chunks)
        if found != cells:
            raise AssertionError(f"found {found} cells, expected {cells}")
        return written, cells / (time.perf_counter() - begin)


async def _create_table(channel: grpc.aio.Channel) -> None:
    from infra.emulators.bigtable.admin import admin_pb2

    table = admin_pb2.Table(column_families={"events": admin_pb2.ColumnFamily()})
    request = admin_pb2.CreateTableRequest(parent=_PARENT, table_id="events", table=table)
    create = channel.unary_unary("/google.bigtable.admin.v2.BigtableTableAdmin/CreateTable")
    await create(request.SerializeToString())


async def _write(write: Any, requests: Iterator[bytes]) -> None:
    for request in requests:
        async for response in write(request):
            outcome = pb.MutateRowsResponse.FromString(response)
            if any(entry.status.code for entry in outcome.entries):
                raise AssertionError(outcome)


def _request(start: int, value_bytes: int) -> bytes:
    request = pb.MutateRowsRequest(table_name=_TABLE)
    for index in range(start, start + _CELLS_PER_CALL):
        entry = request.entries.add(row_key=b"user%08d#2026-01-01" % (index // _CELLS_PER_ROW))
        cell = entry.mutations.add().set_cell
        cell.family_name, cell.column_qualifier = "events", os.urandom(16).hex().encode()
        cell.timestamp_micros = 1_700_000_000_000_000 + index * 1000
        cell.value = os.urandom(value_bytes)
    return bytes(request.SerializeToString())


def main() -> None:
    """Measure all engines in turn, several rounds; print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rates: dict[str, list[tuple[float, float]]] = {engine: [] for engine in _ENGINES}
    with Supervisor() as supervisor:
        for _ in range(arguments.rounds):
            for engine in _ENGINES:
                with running(engine, supervisor) as port:
                    rates[engine].append(asyncio.run(measure(port, arguments.cells, arguments.value_bytes)))
    best = {engine: tuple(map(max, zip(*found, strict=True))) for engine, found in rates.items()}
    for engine, (written, read) in best.items():
        of_google = f"{written / best['google'][0]:.2f} and {read / best['google'][1]:.2f} of Google's"
        print(f"{engine:7} wrote {written:9,.0f} cells/s, read {read:9,.0f} cells/s: {of_google}")


if __name__ == "__main__":
    main()
