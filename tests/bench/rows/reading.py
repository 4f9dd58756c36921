"""Row 10: the read of one user's day in a table of a million events."""

from __future__ import annotations

import random
import statistics
import time
from datetime import UTC, datetime, timedelta

import grpc
from google.cloud.bigtable_v2 import BigtableClient
from google.cloud.bigtable_v2.services.bigtable.transports import BigtableGrpcTransport
from google.cloud.bigtable_v2.types import ReadRowsRequest

from shared import row_keys
from shared.bigtable_client import BigTableClient
from shared.config import Settings
from tests.bench import events
from tests.bench.fill_events import fill_events
from tests.bench.results import MeasurementError, Result, most
from tests.bench.servers import Servers

_EVENTS, _READS, _ROUNDS = 1_000_000, 1_000, 3
_START = datetime(events.DAY.year, events.DAY.month, events.DAY.day, tzinfo=UTC)


def user_day(servers: Servers) -> Result:
    """Measure row 10: milliseconds of a read of one user's day."""
    dice = random.Random(1)
    users = [f"user_{dice.randrange(events.USERS):07d}" for _ in range(_READS)]
    wanted = set(users)
    stored: dict[str, int] = {}
    for event in events.records(_EVENTS):
        if event["userId"] in wanted:
            stored[event["userId"]] = stored.get(event["userId"], 0) + 1
    ours: list[float] = []
    bare: list[float] = []
    with servers.bigtable() as settings:
        fill_events(settings, events.lines(_EVENTS))
        for _ in range(_ROUNDS):
            ours += _client_seconds(settings, users, stored)
            bare += bare_seconds(settings, users)
    value, limit = 1_000 * statistics.median(ours), 1_000 * statistics.median(bare)
    return Result(
        value=value,
        unit="ms at the median",
        figures={"bare ReadRows": limit},
        ratios={"bare ReadRows": value / limit},
        targets={"bare ReadRows": most(2)},
        how=f"`get_user_events` of the day of each of {_READS:,} users, one after the other, in a table of {_EVENTS:,} "
        f"events of {events.USERS:,} users; the limit reads the same rows with the generated client and "
        f"ignores them; {_ROUNDS} rounds in turn",
    )


def _client_seconds(settings: Settings, users: list[str], stored: dict[str, int]) -> list[float]:
    seconds = []
    with BigTableClient(settings=settings) as client:
        client.get_user_events(user_id=users[0], start_time=_START, end_time=_START + timedelta(days=1))
        for user in users:
            started = time.perf_counter()
            found = client.get_user_events(user_id=user, start_time=_START, end_time=_START + timedelta(days=1))
            seconds.append(time.perf_counter() - started)
            if len(found) != stored[user]:
                raise MeasurementError(f"{user}: found {len(found)} events, expected {stored[user]}")
    return seconds


def bare_seconds(settings: Settings, users: list[str]) -> list[float]:
    """Return the seconds of each read of a user's day with the generated client, which ignores the rows."""
    seconds = []
    table = f"projects/{settings.project_id}/instances/{settings.instance_id}/tables/events"
    with grpc.insecure_channel(str(settings.bigtable_emulator)) as channel:
        client = BigtableClient(transport=BigtableGrpcTransport(channel=channel))
        for user in [users[0], *users]:
            (row_key,) = row_keys.event_rows(user, events.DAY, "day")
            started = time.perf_counter()
            for _ in client.read_rows(request=ReadRowsRequest(table_name=table, rows={"row_keys": [row_key]})):
                pass
            seconds.append(time.perf_counter() - started)
    return seconds[1:]
