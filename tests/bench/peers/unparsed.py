"""The limit of reads: ReadRows of a day without parsing, so that only gRPC and the server are measured."""

from __future__ import annotations

import asyncio
import time
from datetime import date

import grpc

from shared import row_keys
from shared.bigtable.read_rows import Scan
from shared.config import Settings

_METHOD = "/google.bigtable.v2.Bigtable/ReadRows"
_SCANS = 16


def read_all(settings: Settings, day: date) -> float:
    """Read a day's events, as many shards at once as `aggregate`, and return the seconds."""
    table = f"projects/{settings.project_id}/instances/{settings.instance_id}/tables/events"
    requests = [Scan.prefix(prefix).request(table, "") for prefix in row_keys.shard_prefixes(day)]
    return asyncio.run(_read_all(str(settings.bigtable_emulator), requests))


async def _read_all(address: str, requests: list[bytes]) -> float:
    async with grpc.aio.insecure_channel(address) as channel:
        read_rows = channel.unary_stream(_METHOD)
        remaining = iter(requests)

        async def scan() -> None:
            for request in remaining:
                async for _ in read_rows(request):
                    pass

        started = time.perf_counter()
        await asyncio.gather(*(scan() for _ in range(_SCANS)))
        return time.perf_counter() - started
