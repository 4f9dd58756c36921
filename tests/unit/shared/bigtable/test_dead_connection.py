"""A connection that dies silently costs at most three seconds; a slow server keeps its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from shared.bigtable.bigtable_pb2 import MutateRowsRequest, MutateRowsResponse
from shared.bigtable.client import Bigtable
from shared.bigtable.mutations import Mutations
from shared.bigtable.transport import CallError, Transport
from shared.config import Settings
from tests.support.silent_proxy import SilentProxy

INSTANCE = "projects/p/instances/i"
TABLE = f"{INSTANCE}/tables/t"


class Server(grpc.GenericRpcHandler):
    """A Bigtable that accepts every entry, after a delay."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.pings = 0
        self.writes = 0
        self.called = asyncio.Event()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        if details.method.endswith("PingAndWarm"):
            return grpc.unary_unary_rpc_method_handler(self._ping)
        return grpc.unary_stream_rpc_method_handler(self._mutate_rows)

    async def _ping(self, _request: bytes, _context: Any) -> bytes:
        self.pings += 1
        return b""

    async def _mutate_rows(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        self.writes += 1
        self.called.set()
        await asyncio.sleep(self.delay)
        response = MutateRowsResponse()
        for index in range(len(MutateRowsRequest.FromString(request).entries)):
            response.entries.add(index=index)
        yield response.SerializeToString()


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, int]]:
    handler = Server()
    server = grpc.aio.server(handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield handler, port
    await server.stop(None)


@pytest.fixture
async def proxy(server: tuple[Server, int]) -> AsyncIterator[SilentProxy]:
    async with SilentProxy(server[1]) as proxy:
        yield proxy


@pytest.fixture
async def bigtable(proxy: SilentProxy) -> AsyncIterator[Bigtable]:
    bigtable = Bigtable(Settings("p", "i", bigtable_emulator=proxy.address))
    yield bigtable
    await bigtable.close()


def one_cell() -> Mutations:
    mutations = Mutations()
    mutations.set_cell(b"row", "f", b"q", 1_000, b"v")
    return mutations


async def test_a_write_on_a_silent_connection_takes_at_most_three_seconds(
    bigtable: Bigtable, proxy: SilentProxy
) -> None:
    await bigtable.write("t", one_cell())
    proxy.silence()

    async with asyncio.timeout(3):
        await bigtable.write("t", one_cell())

    assert proxy.accepted == 2


async def test_writes_in_flight_survive_a_connection_that_falls_silent(
    bigtable: Bigtable, proxy: SilentProxy, server: tuple[Server, int]
) -> None:
    server[0].delay = 0.2
    await bigtable.write("t", one_cell())
    writes = [asyncio.create_task(bigtable.write("t", one_cell())) for _ in range(20)]
    await asyncio.sleep(0.05)
    proxy.silence()

    async with asyncio.timeout(3.5):
        await asyncio.gather(*writes)


async def test_a_slow_server_keeps_its_connection(
    bigtable: Bigtable, proxy: SilentProxy, server: tuple[Server, int]
) -> None:
    server[0].delay = 3.0

    await bigtable.write("t", one_cell())

    assert (server[0].writes, proxy.accepted) == (1, 1)
    assert server[0].pings >= 1


async def test_after_a_freeze_the_connection_is_replaced_before_use(
    proxy: SilentProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = Transport(proxy.address, INSTANCE)
    try:
        await call(transport)
        proxy.silence()
        transport._last_tick -= 60  # as after a minute without CPU

        async with asyncio.timeout(0.5):
            await call(transport)
    finally:
        await transport.close()

    assert proxy.accepted == 2


async def test_a_call_on_a_replaced_connection_fails_when_that_connection_is_dead(
    proxy: SilentProxy, server: tuple[Server, int]
) -> None:
    server[0].delay = 60.0
    transport = Transport(proxy.address, INSTANCE)
    try:
        waiting = asyncio.create_task(call(transport))
        await server[0].called.wait()
        proxy.silence()
        transport._last_tick -= 60  # as after a minute without CPU

        async with asyncio.timeout(3):
            with pytest.raises(CallError, match="the connection is dead"):
                await waiting
    finally:
        await transport.close()


async def test_a_call_on_a_replaced_connection_goes_on_when_its_server_is_slow(
    proxy: SilentProxy, server: tuple[Server, int]
) -> None:
    server[0].delay = 2.0
    transport = Transport(proxy.address, INSTANCE)
    try:
        waiting = asyncio.create_task(call(transport))
        await server[0].called.wait()
        replaced = transport._connection
        transport._last_tick -= 60

        await waiting

        assert transport._connection is not replaced
        assert server[0].pings >= 1
        await asyncio.gather(*transport._background)
        assert replaced not in transport._connections
    finally:
        await transport.close()


async def test_a_cancelled_probe_is_repeated(proxy: SilentProxy) -> None:
    transport = Transport(proxy.address, INSTANCE)
    try:
        await call(transport)
        connection = transport._connection
        ping_and_warm = connection.ping_and_warm

        async def cancelled_once(*_arguments: Any, **_options: Any) -> None:
            connection.ping_and_warm = ping_and_warm
            raise asyncio.CancelledError

        connection.ping_and_warm = cancelled_once
        proxy.silence()

        async with asyncio.timeout(4):
            with pytest.raises(CallError, match="the connection is dead"):
                await call(transport)
    finally:
        await transport.close()


async def test_a_cancelled_caller_is_cancelled(proxy: SilentProxy, server: tuple[Server, int]) -> None:
    server[0].delay = 60.0
    transport = Transport(proxy.address, INSTANCE)
    try:
        waiting = asyncio.create_task(call(transport))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    finally:
        await transport.close()


async def test_a_refused_connection_fails_at_once() -> None:
    transport = Transport("127.0.0.1:1", INSTANCE)
    try:
        with pytest.raises(CallError, match="UNAVAILABLE"):
            await call(transport)
    finally:
        await transport.close()


async def call(transport: Transport) -> None:
    async for _ in transport.mutate_rows(b"", TABLE, "", 30):
        pass
