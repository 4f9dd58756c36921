"""The calls of the data API as serialized bytes, on a connection that is replaced when it is dead.

Google's generated client takes 0.6 s of CPU to import and holds 20 MiB. The rest of a function takes 1.2 s,
framework included. This module does what that client does for the calls: routing headers and timeouts.

A connection can die without a sign, for example while an instance has no CPU between requests. Two checks detect it:

- After a gap in the timer's ticks the process was frozen, and the next call uses a fresh connection.
- If calls get no byte for a second, a cheap call probes the connection. A probe without a response means that the
  connection is dead: its calls fail as UNAVAILABLE, and their retries use a fresh one. A slow server responds to the
  probe, so its calls go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import grpc
import grpc.aio

from shared.bigtable.channel import channel_factory
from shared.bigtable.wire_format import bytes_field

_SERVICE = "/google.bigtable.v2.Bigtable/"

# Seconds between two checks of the connection.
_TICK_SECONDS = 0.25
# Seconds without a tick after which the process is taken as having been frozen.
_FROZEN_SECONDS = 5.0
# Seconds without a byte for any call before a probe, and seconds for the response to the probe.
_SILENT_SECONDS, _PROBE_SECONDS = 1.0, 1.0
# Seconds that calls on a replaced connection may still take.
_REPLACED_GRACE_SECONDS = 60.0

# Results of a probe that no server sends.
_NO_RESPONSE = {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}


class CallError(Exception):
    """A call or an entry failed.

    Attributes:
        code: the gRPC status code.
        message: the error message of the server or of gRPC.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message


class Call:
    """A call in progress: an async iterator of serialized responses, which may raise CallError."""

    __slots__ = ("_connection", "_responses", "_rpc")

    def __init__(self, connection: _Connection, rpc: Any) -> None:
        self._connection = connection
        self._rpc = rpc
        self._responses = aiter(rpc)
        connection.start(self)

    def __aiter__(self) -> Call:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        try:
            response: bytes = await anext(self._responses)
        except StopAsyncIteration:
            connection.finish(self)
            raise
        except grpc.aio.AioRpcError as error:
            connection.finish(self)
            raise CallError(error.code(), error.details() or "") from error
        except asyncio.CancelledError:
            connection.finish(self)
            task = asyncio.current_task()
            if connection.dead and task is not None and not task.cancelling():
                raise CallError(grpc.StatusCode.UNAVAILABLE, "the connection is dead") from None
            self._rpc.cancel()
            raise
        connection.last_byte = connection.clock()
        return response

    def cancel(self) -> None:
        """Cancel the call."""
        self._connection.finish(self)
        self._rpc.cancel()


class _Connection:
    """A channel with the calls in progress on it.

    Attributes:
        idle: set while no call is in progress.
        last_byte: time of the last response, or of the first call after a pause.
        dead: whether a probe found it dead.
    """

    def __init__(self, channel: grpc.aio.Channel, clock: Callable[[], float]) -> None:
        self.channel = channel
        self.clock = clock
        self.mutate_rows = channel.unary_stream(f"{_SERVICE}MutateRows")
        self.read_rows = channel.unary_stream(f"{_SERVICE}ReadRows")
        self.sample_row_keys = channel.unary_stream(f"{_SERVICE}SampleRowKeys")
        self.ping_and_warm = channel.unary_unary(f"{_SERVICE}PingAndWarm")
        self.calls: set[Call] = set()
        self.idle = asyncio.Event()
        self.last_byte = 0.0
        self.probe: asyncio.Task[None] | None = None
        self.dead = False

    def start(self, call: Call) -> None:
        """Register a call."""
        if not self.calls:
            self.last_byte = self.clock()
            self.idle.clear()
        self.calls.add(call)

    def finish(self, call: Call) -> None:
        """Remove a call."""
        self.calls.discard(call)
        if not self.calls:
            self.idle.set()

    def is_silent(self) -> bool:
        """Return whether calls wait, and no byte has arrived for a while."""
        return bool(self.calls) and self.clock() - self.last_byte >= _SILENT_SECONDS


class Transport:
    """Calls to Bigtable; belongs to the event loop in which it is created."""

    def __init__(self, emulator: str | None, instance: str) -> None:
        """Open a connection.

        Args:
            emulator: `host:port` of an emulator; None for Google Cloud with application default credentials.
            instance: full name of the instance, for probes.

        Raises:
            SettingsError: no credentials are found.
        """
        self._loop = asyncio.get_running_loop()
        self._open_channel = channel_factory(emulator)
        self._probe_request = bytes_field(1, instance.encode())  # PingAndWarmRequest
        self._probe_metadata = (("x-goog-request-params", urlencode({"name": instance}, safe="/")),)
        self._background: set[asyncio.Task[None]] = set()
        self._connections: set[_Connection] = set()
        self._connection = self._connect()
        self._last_tick = self._loop.time()
        self._timer = self._loop.call_later(_TICK_SECONDS, self._tick)

    def mutate_rows(self, request: bytes, table: str, app_profile: str, timeout: float) -> Call:
        """Send a serialized MutateRowsRequest.

        Args:
            request: names the same table and profile as the next arguments.
            table: full name.
            app_profile: empty for the instance's default.
            timeout: seconds for the whole call.
        """
        connection = self._usable_connection()
        metadata = (_routing(table, app_profile),)
        return Call(connection, connection.mutate_rows(request, timeout=timeout, metadata=metadata))

    def read_rows(
        self, request: bytes, table: str, app_profile: str, timeout: float, headers: Iterable[tuple[str, str]] = ()
    ) -> Call:
        """Send a serialized ReadRowsRequest with further headers; everything else is like `mutate_rows`."""
        connection = self._usable_connection()
        metadata = (_routing(table, app_profile), *headers)
        return Call(connection, connection.read_rows(request, timeout=timeout, metadata=metadata))

    def sample_row_keys(self, request: bytes, table: str, app_profile: str, timeout: float) -> Call:
        """Send a serialized SampleRowKeysRequest; everything else is like `mutate_rows`."""
        connection = self._usable_connection()
        metadata = (_routing(table, app_profile),)
        return Call(connection, connection.sample_row_keys(request, timeout=timeout, metadata=metadata))

    async def close(self) -> None:
        """Close the connection."""
        self._timer.cancel()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for connection in self._connections:
            await connection.channel.close()

    def _connect(self) -> _Connection:
        connection = _Connection(self._open_channel(), self._loop.time)
        self._connections.add(connection)
        return connection

    def _usable_connection(self) -> _Connection:
        if self._loop.time() - self._last_tick > _FROZEN_SECONDS:
            self._last_tick = self._loop.time()
            self._replace(self._connection)
        return self._connection

    def _replace(self, connection: _Connection) -> None:
        """Use a fresh connection for further calls; calls on a live one go on."""
        if connection is self._connection:
            self._connection = self._connect()
        if connection.dead:
            for call in list(connection.calls):
                call.cancel()
        self._run(self._close(connection))

    async def _close(self, connection: _Connection) -> None:
        # The channel stays open while calls are in progress: gRPC refuses probes on a channel that it is closing.
        if connection.calls:
            with suppress(TimeoutError):
                await asyncio.wait_for(connection.idle.wait(), _REPLACED_GRACE_SECONDS)
        self._connections.discard(connection)
        await connection.channel.close()

    def _tick(self) -> None:
        now = self._loop.time()
        if now - self._last_tick > _FROZEN_SECONDS:
            self._replace(self._connection)
        self._last_tick = now
        for connection in self._connections:
            if connection.is_silent() and connection.probe is None:
                connection.probe = self._run(self._probe(connection))
        self._timer = self._loop.call_later(_TICK_SECONDS, self._tick)

    async def _probe(self, connection: _Connection) -> None:
        """Replace a connection that doesn't respond."""
        before = connection.last_byte
        try:
            await connection.ping_and_warm(self._probe_request, timeout=_PROBE_SECONDS, metadata=self._probe_metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() in _NO_RESPONSE and connection.last_byte == before:
                connection.dead = True
                self._replace(connection)
        finally:
            connection.last_byte = max(connection.last_byte, self._loop.time())
            connection.probe = None

    def _run(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


@lru_cache
def _routing(table: str, app_profile: str) -> tuple[str, str]:
    """Return the routing header of a table (https://google.aip.dev/4222)."""
    parameters = {"table_name": table} | ({"app_profile_id": app_profile} if app_profile else {})
    return "x-goog-request-params", urlencode(parameters, safe="/")
