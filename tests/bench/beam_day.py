"""Measure the engine Beam with a generated day: events per second, and the peak memory of each process.

Beside it stands the rate of a Beam pipeline written by hand, which reads a file and stores nothing.

python -m tests.bench.beam_day --events 20000000 --users 1000000 --workers 2

No emulator holds that much. The server generates the rows of a read, and counts the rows written to `aggregates`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import grpc
import msgspec

from infra.beam.driver_process import PYTHON, results
from infra.beam.runners import LocalRunner
from infra.emulators.bigtable.admin.service import TableAdminService
from infra.emulators.bigtable.data.aggregates import create_functions
from infra.emulators.bigtable.data.service import DataService
from infra.emulators.bigtable.storage.tables import Tables
from infra.emulators.bigtable.storage.transactions import create_schema
from infra.emulators.database import open_database
from infra.provision.bigtable import provision_bigtable
from shared import row_keys
from shared.bigtable import bigtable_pb2 as pb
from shared.config import Settings
from tests.bench.events import write_json_lines
from tests.bench.servers import PEERS
from tests.support.large_day import DAY, SONGS, LargeDay, name_of

_SAMPLE_USERS = 2_000
_USERS_PER_RESPONSE = 16
_SAMPLE_SECONDS = 0.5
_EVENTS_BY_HAND = 200_000


class GeneratedDay(DataService):
    """The tables of the emulator, except for the events, which are generated, and the aggregates, which are counted."""

    def __init__(self, database: Any, tables: Tables, day: LargeDay) -> None:
        super().__init__(database, tables)
        self._day = day

    async def read_rows(self, request: Any) -> AsyncIterator[bytes]:
        """Yield the rows of a key range of a day."""
        if not request.table_name.endswith("/events"):
            async for response in super().read_rows(request):
                yield response
            return
        (bounds,) = request.rows.row_ranges
        prefix, users = self._day.users_between(bounds.start_key_closed, bounds.end_key_open)
        for start in range(0, len(users), _USERS_PER_RESPONSE):
            rows = [self._day.row_of_user(prefix, user) for user in users[start : start + _USERS_PER_RESPONSE]]
            yield _response(rows)

    async def sample_row_keys(self, request: Any) -> AsyncIterator[Any]:
        """Yield a key after every few thousand users."""
        for prefix in row_keys.shard_prefixes(DAY):
            _, users = self._day.users_between(prefix, prefix[:-1] + b"$")
            for user in users[_SAMPLE_USERS::_SAMPLE_USERS]:
                yield pb.SampleRowKeysResponse(row_key=prefix + name_of(user))
        yield pb.SampleRowKeysResponse()

    async def mutate_rows(self, request: Any) -> AsyncIterator[bytes]:
        """Count the rows of aggregates; apply other mutations."""
        if request.table_name.endswith("/aggregates"):
            self._day.count(request.entries)
            response = pb.MutateRowsResponse()
            for index in range(len(request.entries)):
                response.entries.add(index=index, status=pb.Status())
            yield response.SerializeToString()
            return
        async for applied in super().mutate_rows(request):
            yield applied


def _response(rows: list[Any]) -> bytes:
    response = pb.ReadRowsResponse()
    for row in rows:
        for number, (qualifier, value) in enumerate(zip(row.qualifiers, row.values, strict=True)):
            chunk = response.chunks.add(qualifier=pb.BytesValue(value=qualifier), value=value)
            if number == 0:
                chunk.row_key, chunk.family_name.value = row.key, "e"
        chunk.commit_row = True
    return bytes(response.SerializeToString())


@dataclass
class Outcome:
    """What a run took, and what it wrote."""

    events: int
    seconds: float
    events_per_second: int
    rows: dict[str, int]
    measures: dict[str, Any]
    peak_mib: dict[str, list[float]] = field(default_factory=dict)
    by_hand_per_second: int = 0


async def measure(events: int, users: int, workers: int) -> Outcome:
    """Compute the day with a number of workers."""
    day = LargeDay(events, users)
    database = open_database(None)
    create_schema(database)
    create_functions(database)
    tables = Tables(database)
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 256 << 20)])
    services = (GeneratedDay(database, tables, day), TableAdminService(database, tables))
    server.add_generic_rpc_handlers([each.handler() for each in services])
    settings = Settings(
        "bench", f"beam-{time.time_ns()}", bigtable_emulator=f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    )
    await server.start()
    peaks: dict[str, dict[int, float]] = {"driver": {}, "worker": {}}
    sampler = asyncio.create_task(_sample(settings.instance_id, peaks))
    try:
        await asyncio.to_thread(provision_bigtable, settings)
        flags = [f"--days={DAY}", *LocalRunner(workers).flags(settings, "")]
        started = time.perf_counter()
        (summary,) = await asyncio.to_thread(lambda: list(results("aggregate", flags, settings)))
        seconds = time.perf_counter() - started
    finally:
        sampler.cancel()
        await server.stop(None)
    outcome = Outcome(summary["events"], round(seconds, 1), round(events / seconds), dict(day.written), day.measures)
    outcome.peak_mib = {kind: sorted(round(peak, 1) for peak in found.values()) for kind, found in peaks.items()}
    expected = {"user": users, "song": min(SONGS, events), "event_type": 5, "all": 1, "quality": 1}
    if (outcome.events, outcome.rows) != (events, expected):
        raise SystemExit(f"counted {outcome.events:,} events and {outcome.rows}, expected {events:,} and {expected}")
    return outcome


def rate_by_hand(count: int) -> int:
    """Return the events per second of the pipeline written by hand, without its start-up."""
    with TemporaryDirectory() as name:
        source = write_json_lines(Path(name) / "day.jsonl", count)
        command = [PYTHON, PEERS / "beam_aggregate.py", source, Path(name) / "measures.json"]
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=name)
    return round(count / float(ran.stdout))


async def _sample(instance: str, peaks: dict[str, dict[int, float]]) -> None:
    while True:
        await asyncio.to_thread(_record_peaks, f"BIGTABLE_INSTANCE={instance}".encode(), peaks)
        await asyncio.sleep(_SAMPLE_SECONDS)


def _record_peaks(variable: bytes, peaks: dict[str, dict[int, float]]) -> None:
    """Record the peak resident memory in MiB of the driver and of each worker process with this variable."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, StopIteration):
            command, *arguments = (folder / "cmdline").read_bytes().split(b"\0")
            if not command.endswith(b"python") or variable not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            peak = next(line for line in (folder / "status").read_text().splitlines() if line.startswith("VmHWM:"))
            kind = "worker" if b"apache_beam.runners.worker.sdk_worker_main" in arguments else "driver"
            peaks[kind][int(folder.name)] = int(peak.split()[1]) / 1024


def main() -> None:
    """Print the outcome of one run as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    outcome = asyncio.run(measure(arguments.events, arguments.users, arguments.workers))
    outcome.by_hand_per_second = rate_by_hand(min(arguments.events, _EVENTS_BY_HAND))
    print(msgspec.json.format(msgspec.json.encode(asdict(outcome))).decode())


if __name__ == "__main__":
    main()
