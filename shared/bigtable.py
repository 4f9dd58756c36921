"""The connection of one process to its Bigtable instance: made on first use, kept for the process's life."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, TypeVar

import grpc
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigtable_v2 import BigtableAsyncClient
from google.cloud.bigtable_v2.services.bigtable.transports import BigtableGrpcAsyncIOTransport
from google.cloud.bigtable_v2.types import ReadRowsRequest

from shared import reader, writer
from shared.chunks import Row
from shared.config import Settings
from shared.errors import SettingsError
from shared.group_commit import GroupCommit
from shared.reader import Scan
from shared.writer import Changes

T = TypeVar("T")

EVENTS, REJECTED, AGGREGATES, STATE = "events", "rejected", "aggregates", "state"

_CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # After an outage of hours gRPC would look for the server every two minutes; a message waits for one.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A connection that died unnoticed, which happens where an instance sleeps between requests, is noticed by a ping.
    # The intervals are those of Google's own Bigtable client; servers turn away who asks more often.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]


class Bigtable:
    """Reads and writes the tables; belongs to the event loop in which it is used first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._instance = f"projects/{settings.project_id}/instances/{settings.instance_id}"
        self._client: BigtableAsyncClient | None = None
        self._commits: dict[str, GroupCommit] = {}

    @property
    def store_deadline(self) -> float:
        """Seconds until a write that isn't acknowledged is given up."""
        return self._settings.store_deadline

    async def write(self, table: str, changes: Changes) -> None:
        """Store changes; returns when Bigtable has acknowledged all of them.

        Raises:
            StoreUnavailableError, OverloadedError: another try may succeed.
            StoreRefusedError: refused for good.
        """
        await self._commit(table).commit(changes.entries(), changes.size, changes.count)

    def begin_write(self, table: str, changes: Changes, done: asyncio.Future[T], result: T) -> None:
        """Begin to store changes; `done` will have the result when all are acknowledged, or an error of `write`.

        Raises:
            OverloadedError: too much is waiting already.
        """
        self._commit(table).begin(changes.entries(), done, changes.size, changes.count, result)

    def _commit(self, table: str) -> GroupCommit:
        commit = self._commits.get(table)
        if commit is None:
            commit = self._commits[table] = GroupCommit(
                self._sender(self._name(table)), f"table {table}", deadline=self._settings.store_deadline
            )
        return commit

    def read(self, table: str, scan: Scan) -> AsyncGenerator[Row]:
        """Read rows; errors as those of `reader.read`."""
        return reader.read(
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
        """End the connection when the calls under way are done."""
        for commit in self._commits.values():
            await commit.drained()
        if self._client is not None:
            await self._client.transport.close()
            self._client = None

    def _name(self, table: str) -> str:
        return f"{self._instance}/tables/{table}"

    def _sender(self, table: str) -> Any:
        async def send(entries: Sequence[Any], timeout: float) -> list[Exception | None]:
            return await writer.send(self._connected(), table, self._settings.app_profile, entries, timeout)

        return send

    def _connected(self) -> BigtableAsyncClient:
        if self._client is None:
            emulator = self._settings.bigtable_emulator
            if emulator:
                channel = grpc.aio.insecure_channel(emulator, options=_CHANNEL)
                self._client = BigtableAsyncClient(transport=_Transport(channel=channel))
            else:
                try:
                    self._client = BigtableAsyncClient(transport=_Transport(channel=_channel))
                except GoogleAuthError as error:
                    raise SettingsError(f"credentials of Google Cloud: {error}") from None
        return self._client


class _Transport(BigtableGrpcAsyncIOTransport):  # type: ignore[misc]
    """Google's transport, but with the answers to ReadRows as bytes, of which `shared.chunks` makes rows."""

    @property
    def read_rows(self) -> Any:
        if "read_rows" not in self._stubs:
            self._stubs["read_rows"] = self.grpc_channel.unary_stream(
                "/google.bigtable.v2.Bigtable/ReadRows", request_serializer=ReadRowsRequest.serialize
            )
        return self._stubs["read_rows"]


def _channel(*args: Any, **kwargs: Any) -> grpc.aio.Channel:
    """Return the channel that the generated transport would make, with our options."""
    return BigtableGrpcAsyncIOTransport.create_channel(*args, **{**kwargs, "options": _CHANNEL})
