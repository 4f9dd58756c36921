"""Data in a file: after a restart, a kill, a full disk and a damage of the file."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest
from google.api_core.exceptions import GoogleAPICallError, ResourceExhausted

from infra.emulators.database import open_database
from infra.local.ports import accepts
from tests.support.bigtable_calls import keys, mutate, read, set_cell, write
from tests.support.bigtable_emulator import Clients, connecting, serving, serving_database
from tests.support.processes import eventually, free_port, started
from tests.support.samples import ROOT

INSTANCE = "projects/p/instances/i"


@asynccontextmanager
async def restarted(file: Path) -> AsyncIterator[Clients]:
    async with serving(file) as address, connecting(address) as clients:
        clients.instance = INSTANCE
        yield clients


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "bigtable.db"
    async with restarted(file) as clients:
        table = await clients.create_table("a", initial_splits=[{"key": b"m"}])
        deleted = await clients.create_table("a", table_id="deleted")
        create = {"id": "b", "create": {"gc_rule": {"max_num_versions": 1}}}
        before = await clients.admin.modify_column_families(name=table, modifications=[create])
        await mutate(clients, table, set_cell(b"q", b"1", 1000, "b"), set_cell(b"q", b"2", 2000, "b"))
        await mutate(clients, deleted, set_cell(b"q", b"1"))
        await clients.admin.delete_table(name=deleted)

    async with restarted(file) as clients:
        assert await clients.admin.get_table(name=table) == before
        assert await read(clients, table) == [(b"r", "b", b"q", 2000, b"2", [])]
        assert [sample.row_key async for sample in await clients.data.sample_row_keys(table_name=table)] == [b"m", b""]
        assert await read(clients, await clients.create_table("a", table_id="deleted")) == []


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    file, port = tmp_path / "bigtable.db", free_port()
    command = [sys.executable, "-m", "tests.support.bigtable_emulator", "--file", str(file), "--port", str(port)]
    acknowledged: set[bytes] = set()
    enough = asyncio.Event()

    async def write_until_it_ends(clients: Clients, table: str, writer: int) -> None:
        for call in range(10_000):
            rows = {b"w%d#%05d#%03d" % (writer, call, row): [set_cell(b"q", b"v")] for row in range(20)}
            try:
                await write(clients, table, rows)
            except GoogleAPICallError:
                return
            acknowledged.update(rows)
            if len(acknowledged) >= 1000:
                enough.set()

    with started(command, cwd=ROOT) as process:
        assert eventually(partial(accepts, port))
        async with connecting(f"127.0.0.1:{port}") as clients:
            clients.instance = INSTANCE
            table = await clients.create_table("a")
            writers = [asyncio.create_task(write_until_it_ends(clients, table, writer)) for writer in range(3)]
            await enough.wait()
            os.killpg(process.pid, signal.SIGKILL)
            await asyncio.gather(*writers)

    async with restarted(file) as clients:
        found = await keys(clients, table)
    assert acknowledged <= set(found)
    assert len(found) % 20 == 0  # a call is written as a whole or not at all


async def test_a_damaged_file_is_an_error_of_the_call(tmp_path: Path) -> None:
    file = tmp_path / "bigtable.db"
    async with restarted(file) as clients:
        table = await clients.create_table("a")
        for row in range(20):
            await mutate(clients, table, set_cell(b"q", bytes(3000)), key=b"r%d" % row)
    content = file.read_bytes()
    file.write_bytes(content[: 8 * 4096] + b"\xff" * (len(content) - 8 * 4096))  # the first pages have the tables

    async with restarted(file) as clients:
        with pytest.raises(GoogleAPICallError, match="database: found database disk image is malformed") as error:
            async for _ in await clients.data.read_rows(request={"table_name": table}, retry=None):
                pass
        assert error.value.grpc_status_code is grpc.StatusCode.DATA_LOSS


async def test_a_full_disk_is_an_error_of_the_call_and_loses_nothing(tmp_path: Path) -> None:
    database = open_database(tmp_path / "bigtable.db")
    async with serving_database(database) as address, connecting(address) as clients:
        table = await clients.create_table("a")
        await mutate(clients, table, set_cell(b"q", b"small"))
        ((pages,),) = database.execute("PRAGMA page_count").fetchall()
        database.execute(f"PRAGMA max_page_count = {pages + 10}").fetchall()

        with pytest.raises(ResourceExhausted, match="database: found database or disk is full, expected"):
            await clients.data.mutate_row(
                table_name=table, row_key=b"s", mutations=[set_cell(b"q", bytes(1 << 20))], retry=None
            )

        assert [cell[4] for cell in await read(clients, table)] == [b"small"]
        assert await mutate(clients, table, set_cell(b"q", b"other"), key=b"t") == "OK"
    database.close()
