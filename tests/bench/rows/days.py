"""Rows 5, 6 and 12: the aggregation of a day, the same amid more history, and the memory of a large day."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import grpc
import msgspec
from google.cloud.bigtable_admin_v2 import BigtableTableAdminClient
from google.cloud.bigtable_admin_v2.services.bigtable_table_admin.transports import BigtableTableAdminGrpcTransport
from google.cloud.bigtable_admin_v2.types import DropRowRangeRequest

from shared import row_keys
from shared.bigtable.client import AGGREGATES, EVENTS, STATE, Bigtable
from shared.bigtable.mutations import Mutations
from shared.config import Settings
from tests.bench import events, measures
from tests.bench.fill_events import fill_events
from tests.bench.peers import unparsed
from tests.bench.peers.tables import create_table
from tests.bench.programs import BEAM_PYTHON
from tests.bench.results import MeasurementError, Result, alternate, least, most
from tests.bench.rows.instance import HEADERS
from tests.bench.servers import AGGREGATE, PEERS, ROOT, Function, Servers, environment_of

_EVENTS, _BY_HAND, _BEAM = 1_000_000, 50_000, 100_000
_EVENTS_OF_DAY, _USERS_OF_DAY, _DAYS_AROUND = 200_000, 10_000, 10
_LARGE_EVENTS, _LARGE_USERS = 10_000_000, 1_000_000
_CELLS_PER_CALL = 5_000
_MICROS = 1_705_276_800_000_000  # cell timestamp; no measurement depends on it


def day(servers: Servers) -> Result:
    """Measure row 5: events per second of a day's aggregation."""
    expected = measures.of_events(events.records(_EVENTS))
    with servers.bigtable() as settings, servers.bigtable(tables=False) as by_hand:
        fill_events(settings, events.lines(_EVENTS))
        create_table(by_hand, "rows")
        asyncio.run(_fill_rows(by_hand, _BY_HAND))
        file = events.write_json_lines(servers.folder / "day.jsonl", _BEAM)
        found = alternate(
            {
                "ours": lambda: _EVENTS / _aggregate(servers, settings, expected),
                "A": partial(_peer, servers, _BY_HAND, [sys.executable, PEERS / "client_aggregate.py"], by_hand),
                "C": partial(_peer, servers, _BEAM, [BEAM_PYTHON, PEERS / "beam_aggregate.py", file], None),
                "limit": lambda: _EVENTS / unparsed.read_all(settings, events.DAY),
            },
            rounds=3,
            once=["A", "C"],
        )
    ours = found.pop("ours")
    return Result(
        value=ours,
        unit="events/s",
        figures=found,
        ratios={name: ours / other for name, other in found.items()},
        targets={"limit": least(0.55), "C": least(5)},
        how=f"the function aggregates a day of {_EVENTS:,} events of {events.USERS:,} users under the music contract, "
        "table to table, on a new instance each time, with nothing aggregated before; every measure is compared with "
        f"plain Python's. A computes the same of {_BY_HAND:,} of these events from a table with a row per event, C of "
        f"{_BEAM:,} from a file, without their start-up, and neither stores its result; the limit reads the same "
        "scans and parses nothing; median of three rounds in turn, A and C in the first only",
    )


def history(servers: Servers) -> Result:
    """Measure row 6: seconds of a day's aggregation amid other days of the table."""
    expected = measures.of_events(_records_of_day())
    with servers.bigtable() as alone, servers.bigtable() as among:
        asyncio.run(_fill_days(alone, 0))
        asyncio.run(_fill_days(among, _DAYS_AROUND))
        found = alternate(
            {
                "alone": partial(_aggregate, servers, alone, expected),
                "among": partial(_aggregate, servers, among, expected),
            },
            rounds=5,
        )
    return Result(
        value=found["among"],
        unit="s",
        figures={"without history": found["alone"]},
        ratios={"without history": found["among"] / found["alone"]},
        targets={"without history": most(1.1)},
        how=f"as row 5, a day of {_EVENTS_OF_DAY:,} events of {_USERS_OF_DAY:,} users, alone in the table and among "
        f"{_DAYS_AROUND} days with as many events of the same users; median of five rounds in turn",
    )


def memory(servers: Servers) -> Result:
    """Measure row 12: peak memory of the aggregation of a large day."""
    command = [sys.executable, "-m", "tests.support.large_day", str(_LARGE_EVENTS), str(_LARGE_USERS)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if ran.returncode:
        raise MeasurementError(f"large_day: exit code {ran.returncode}: {ran.stderr.decode()[-500:]}")
    outcome = json.loads(ran.stdout)
    whole = outcome["measures"]["all all"]
    users, error = whole["active_users"], whole["active_users_error"]
    if (outcome["events"], outcome["rows"]["user"]) != (_LARGE_EVENTS, _LARGE_USERS):
        counted = f"{outcome['events']:,} events of {outcome['rows']['user']:,} users"
        raise MeasurementError(f"counted {counted}, expected {_LARGE_EVENTS:,} of {_LARGE_USERS:,}")
    if abs(users - _LARGE_USERS) > error * _LARGE_USERS:
        raise MeasurementError(
            f"estimated {users:,} users, expected {_LARGE_USERS:,} within a relative error of {error}"
        )
    return Result(
        value=outcome["peak_mib"],
        unit="MiB",
        ratios={"MiB": outcome["peak_mib"]},
        targets={"MiB": most(512)},
        how=f"peak resident memory of the two processes that aggregate a day of {_LARGE_EVENTS:,} events of "
        f"{_LARGE_USERS:,} users under the music contract; no emulator holds that much, so rows are generated as the "
        f"reader yields them, and the writes are counted. It estimated {users:,} users, with an error of {error:.2%}",
    )


def _aggregate(servers: Servers, settings: Settings, expected: measures.ValueMeasures) -> float:
    """Return the seconds that the function takes for a day without aggregates."""
    _empty(settings, AGGREGATES, STATE)
    with servers.function("aggregate", AGGREGATE, settings) as function:
        _request_day(function, events.DAY - timedelta(days=400))  # opens the connections
        started = time.perf_counter()
        _request_day(function, events.DAY)
        seconds = time.perf_counter() - started
    measures.verify_stored(settings, events.DAY, expected)
    return seconds


def _request_day(function: Function, day: date) -> None:
    (body,) = events.posts([msgspec.json.encode({"date": day})])
    connection = HTTPConnection("127.0.0.1", function.port, timeout=540)
    connection.request("POST", "/", body, HEADERS)
    status = connection.getresponse().status
    connection.close()
    if not 200 <= status < 300:
        raise MeasurementError(f"aggregate answered {status}: {function.child.log_tail()}")


def _peer(servers: Servers, count: int, command: list[Any], settings: Settings | None) -> float:
    """Return the events per second that a peer aggregates."""
    target = servers.folder / "measures.json"
    environment = environment_of(settings) if settings else {}
    ran = subprocess.run(
        [*command, target], env={**os.environ, **environment}, capture_output=True, check=False, cwd=servers.folder
    )
    if ran.returncode:
        raise MeasurementError(f"{Path(command[1]).name}: exit code {ran.returncode}: {ran.stderr.decode()[-500:]}")
    seconds = float(ran.stdout)
    found = json.loads(target.read_text())
    for dimension, values in measures.of_events(events.records(count)).items():
        measures.compare(dimension, found[dimension], values, within=1e-9)
    return count / seconds


def _records_of_day() -> Iterator[dict[str, Any]]:
    return events.records(_EVENTS_OF_DAY, users=_USERS_OF_DAY)


async def _fill_rows(settings: Settings, count: int) -> None:
    """Fill the table of peer A with one row for each event."""
    rows = (
        (f"{event['userId']}#{event['timestamp']}#{event['event_id']}".encode(), [(b"event", events.encode(event))])
        for event in events.records(count)
    )
    await _write(settings, "rows", rows)


async def _fill_days(settings: Settings, days_before: int) -> None:
    """Fill `events` with the day and `days_before` earlier days, each with the same events at the same times."""
    stored: dict[str, list[tuple[bytes, bytes]]] = {}
    for event in _records_of_day():
        user, song = event.pop("userId"), event.pop("songId")
        moment = datetime.fromisoformat(event["timestamp"])
        qualifier = row_keys.cell_key_of(user, event["event_id"], moment, "day").qualifier
        value = events.encode({**event, "user_id": user, "song_id": song})
        stored.setdefault(user, []).append((qualifier, value))
    for ago in range(days_before + 1):
        other = events.DAY - timedelta(days=ago)
        name, other_name = str(events.DAY).encode(), str(other).encode()
        rows = (
            (
                row_keys.event_rows(user, other, "day")[0],
                [(qualifier, value.replace(name, other_name)) for qualifier, value in cells],
            )
            for user, cells in stored.items()
        )
        await _write(settings, EVENTS, rows)


async def _write(settings: Settings, table: str, rows: Iterable[tuple[bytes, list[tuple[bytes, bytes]]]]) -> None:
    """Write (row key, (qualifier, value) pairs) into the family `e`, many rows per call."""
    bigtable = Bigtable(settings)
    mutations = Mutations()
    for row_key, cells in rows:
        cell_keys = [(row_key, qualifier, _MICROS) for qualifier, _ in cells]
        mutations.set_cells("e", cell_keys, [value for _, value in cells])
        if len(mutations) >= _CELLS_PER_CALL:
            await bigtable.write(table, mutations)
            mutations = Mutations()
    await bigtable.write(table, mutations)
    await bigtable.close()


def _empty(settings: Settings, *tables: str) -> None:
    with grpc.insecure_channel(str(settings.bigtable_emulator)) as channel:
        admin = BigtableTableAdminClient(transport=BigtableTableAdminGrpcTransport(channel=channel))
        for table in tables:
            name = f"projects/{settings.project_id}/instances/{settings.instance_id}/tables/{table}"
            admin.drop_row_range(DropRowRangeRequest(name=name, delete_all_data_from_table=True), timeout=60)
