"""The connection of a process to its Bigtable instance; it connects on first use and stays open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Self, TypeVar

from shared.bigtable.batcher import Batcher, Send
from shared.bigtable.mutate_rows import mutate_rows
from shared.bigtable.mutations import Entry, Mutations
from shared.bigtable.read_rows import Scan, read_rows
from shared.bigtable.row_merger import Row
from shared.bigtable.sample_row_keys import sample_row_keys
from shared.bigtable.transport import Transport
from shared.config import Settings

T = TypeVar("T")

EVENTS, REJECTED, AGGREGATES, STATE = "events", "rejected", "aggregates", "state"


class Bigtable:
    """Reads and writes tables; belongs to the event loop of its first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._instance = f"projects/{settings.project_id}/instances/{settings.instance_id}"
        self._transport: Transport | None = None
        self._batchers: dict[str, Batcher] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def store_deadline(self) -> float:
        """Seconds until a write that isn't acknowledged fails."""
        return self._settings.store_deadline

    @property
    def app_profile(self) -> str:
        """The app profile of all calls; empty for the instance's default."""
        return self._settings.app_profile

    async def write(self, table: str, mutations: Mutations) -> None:
        """Write mutations; return when Bigtable has acknowledged all of them.

        Raises:
            StoreUnavailableError, OverloadedError: a retry may succeed.
            StoreRefusedError: refused permanently.
        """
        await self._batcher(table).write(mutations.entries())

    async def write_entries(self, table: str, entries: Sequence[Entry]) -> None:
        """Write entries like `write`."""
        await self._batcher(table).write(entries)

    def begin_write(self, table: str, entries: Sequence[Entry], done: asyncio.Future[T], result: T) -> None:
        """Begin to write entries; `done` gets the result when all are acknowledged, or an error of `write`.

        Raises:
            OverloadedError: too many bytes are pending.
        """
        self._batcher(table).begin_write(entries, done, result)

    def _batcher(self, table: str) -> Batcher:
        batcher = self._batchers.get(table)
        if batcher is None:
            batcher = self._batchers[table] = Batcher(
                self._send(self._name(table)),
                f"table {self._settings.resource(table)}",
                deadline=self._settings.store_deadline,
            )
        return batcher

    async def read(self, table: str, scan: Scan) -> AsyncGenerator[Row]:
        """Yield rows one by one; raises like `read_rows`."""
        async with aclosing(self.read_batches(table, scan)) as batches:
            async for rows in batches:
                for row in rows:
                    yield row

    def read_batches(self, table: str, scan: Scan) -> AsyncGenerator[list[Row]]:
        """Yield rows in batches as they arrive, cheaper than `read` for many rows; raises like `read_rows`."""
        return read_rows(
            self._connected(),
            self._name(table),
            self._settings.app_profile,
            scan,
            deadline=self._settings.store_deadline,
        )

    async def row(self, table: str, key: bytes) -> Row | None:
        """Return one row; None if it doesn't exist."""
        rows = [row async for row in self.read(table, Scan(keys=[key]))]
        return rows[0] if rows else None

    async def sample_row_keys(self, table: str) -> list[bytes]:
        """Return row keys that divide a table into parts of about the same size; raises like `sample_row_keys`."""
        return await sample_row_keys(
            self._connected(), self._name(table), self._settings.app_profile, deadline=self._settings.store_deadline
        )

    async def close(self) -> None:
        """Close the connection after the requests in flight."""
        for batcher in self._batchers.values():
            await batcher.drain()
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    def _name(self, table: str) -> str:
        return f"{self._instance}/tables/{self._settings.resource(table)}"

    def _send(self, table: str) -> Send:
        async def send(entries: Sequence[Entry], timeout: float) -> list[Exception | None]:
            return await mutate_rows(self._connected(), table, self._settings.app_profile, entries, timeout)

        return send

    def _connected(self) -> Transport:
        if self._transport is None:
            self._transport = Transport(self._settings.bigtable_emulator, self._instance)
        return self._transport
