"""The connection of one process to its Bigtable instance: made on first use, kept for the process's life."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

from shared.bigtable import mutations
from shared.bigtable.batcher import Batcher, Send
from shared.bigtable.mutations import Entry, Mutations
from shared.bigtable.read_rows import Scan, read_rows
from shared.bigtable.row_merger import Row
from shared.bigtable.transport import Transport
from shared.config import Settings

T = TypeVar("T")

EVENTS, REJECTED, AGGREGATES, STATE = "events", "rejected", "aggregates", "state"


class Bigtable:
    """Reads and writes the tables; belongs to the event loop in which it is used first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._instance = f"projects/{settings.project_id}/instances/{settings.instance_id}"
        self._transport: Transport | None = None
        self._commits: dict[str, Batcher] = {}

    @property
    def store_deadline(self) -> float:
        """Seconds until a write that isn't acknowledged is given up."""
        return self._settings.store_deadline

    async def write(self, table: str, mutations: Mutations) -> None:
        """Store mutations; returns when Bigtable has acknowledged all of them.

        Raises:
            StoreUnavailableError, OverloadedError: another try may succeed.
            StoreRefusedError: refused for good.
        """
        await self._commit(table).commit(mutations.entries())

    def begin_write(self, table: str, entries: Sequence[Entry], done: asyncio.Future[T], result: T) -> None:
        """Begin to store entries; `done` will have the result when all are acknowledged, or an error of `write`.

        Raises:
            OverloadedError: too much is waiting already.
        """
        self._commit(table).begin(entries, done, result)

    def _commit(self, table: str) -> Batcher:
        commit = self._commits.get(table)
        if commit is None:
            commit = self._commits[table] = Batcher(
                self._sender(self._name(table)), f"table {table}", deadline=self._settings.store_deadline
            )
        return commit

    async def read(self, table: str, scan: Scan) -> AsyncGenerator[Row]:
        """Read rows; errors as those of `reader.read`."""
        async with aclosing(self.read_batches(table, scan)) as batches:
            async for rows in batches:
                for row in rows:
                    yield row

    def read_batches(self, table: str, scan: Scan) -> AsyncGenerator[list[Row]]:
        """Read rows, some at once as they come, which is cheaper for who reads very many; errors as with `read`."""
        return read_rows(
            self._connected(),
            self._name(table),
            self._settings.app_profile,
            scan,
            deadline=self._settings.store_deadline,
        )

    async def row(self, table: str, key: bytes) -> Row | None:
        """Read one row; None if there is none."""
        rows = [row async for row in self.read(table, Scan(keys=[key]))]
        return rows[0] if rows else None

    async def close(self) -> None:
        """End the connection when the transport under way are done."""
        for commit in self._commits.values():
            await commit.drained()
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    def _name(self, table: str) -> str:
        return f"{self._instance}/tables/{table}"

    def _sender(self, table: str) -> Send:
        async def send(entries: Sequence[Entry], timeout: float) -> list[Exception | None]:
            return await mutations.send(self._connected(), table, self._settings.app_profile, entries, timeout)

        return send

    def _connected(self) -> Transport:
        if self._transport is None:
            self._transport = Transport(self._settings.bigtable_emulator)
        return self._transport
