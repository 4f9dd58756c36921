"""Reads of many rows, long rows and long values."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from google.api_core import exceptions

from infra.emulators.bigtable.admin.admin_pb2 import Table
from infra.emulators.bigtable.data.read_rows import read_rows
from infra.emulators.bigtable.storage.cell_table import DELETE_ROW, SET_CELL
from infra.emulators.bigtable.storage.contents import encode_content
from infra.emulators.bigtable.storage.tables import Tables
from infra.emulators.bigtable.storage.transactions import create_schema
from infra.emulators.database import open_database
from shared.bigtable.bigtable_pb2 import ReadRowsRequest, ReadRowsResponse
from tests.support.bigtable_calls import keys, read, set_cell, write
from tests.support.bigtable_emulator import Clients


def numbered_rows(count: int, cells: int = 1) -> dict[bytes, list[dict[str, Any]]]:
    return {b"r%06d" % row: [set_cell(b"q%06d" % cell, b"%d" % cell) for cell in range(cells)] for row in range(count)}


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("rows", "cells"), [(3500, 1), (1, 3500), (7, 999), (3, 1000)])
async def test_slices_and_responses_join_seamlessly(clients: Clients, rows: int, cells: int, descending: bool) -> None:
    table = await clients.create_table("a")
    written = numbered_rows(rows, cells)
    await write(clients, table, written)

    found = await read(clients, table, reversed=descending)

    assert [cell[:3] for cell in found] == [
        (key, "a", b"q%06d" % cell) for key in sorted(written, reverse=descending) for cell in range(cells)
    ]


async def test_many_single_keys_are_read_in_their_order(clients: Clients) -> None:
    table = await clients.create_table("a")
    await write(clients, table, numbered_rows(2500))
    wanted = [b"r%06d" % row for row in range(0, 5000, 2)]

    assert await keys(clients, table, rows={"row_keys": wanted[::-1]}) == wanted[:1250]


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 5])
async def test_a_long_value_is_split_into_chunks(clients: Clients, size: int) -> None:
    table = await clients.create_table("a")
    value = bytes(size)
    await write(clients, table, {b"r": [set_cell(b"p", b"1"), set_cell(b"q", value), set_cell(b"r", value)]})

    stream = await clients.data.read_rows(table_name=table)
    responses = [response async for response in stream]

    chunks = [chunk for response in responses for chunk in response.chunks]
    assert max(len(chunk.value) for chunk in chunks) <= 1 << 20
    assert [chunk.value_size for chunk in chunks if chunk.value_size] == [size] * (2 * ((size - 1) >> 20))
    assert [chunk.commit_row for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert [len(cell[4]) for cell in await read(clients, table)] == [1, size, size]


async def test_a_filter_that_leaves_no_cell_leaves_no_row(clients: Clients) -> None:
    table = await clients.create_table("a")
    await write(clients, table, {b"1": [set_cell(b"p", b"")], b"2": [set_cell(b"q", b"")]})

    assert await keys(clients, table, filter={"column_qualifier_regex_filter": b"q"}, rows_limit=1) == [b"2"]


async def test_labels_are_those_of_their_cells(clients: Clients) -> None:
    table = await clients.create_table("a")
    await write(clients, table, {b"r": [set_cell(b"p", b"1"), set_cell(b"q", b"2")]})
    labelled = {"chain": {"filters": [{"value_regex_filter": b"2"}, {"apply_label_transformer": "two"}]}}

    found = await read(clients, table, filter={"interleave": {"filters": [labelled, {"pass_all_filter": True}]}})

    assert [(cell[2], cell[5]) for cell in found] == [(b"p", []), (b"q", ["two"]), (b"q", [])]


async def test_changes_during_a_read_leave_rows_complete() -> None:
    database = open_database()
    create_schema(database)
    message = Table(name="projects/p/instances/i/tables/t")
    message.column_families["a"].SetInParent()
    table = Tables(database).create(message, [])
    rows, cells = (b"1", b"2", b"3", b"4"), range(700)  # two rows are a slice, of two responses
    content = encode_content(b"q", 1000, b"v")
    parameters = [(table.id, key, "a", b"%03d" % cell, -1000, content) for key in rows for cell in cells]
    database.executemany(SET_CELL, parameters)

    responses = read_rows(database, table, ReadRowsRequest())
    found = [await anext(responses)]
    database.executemany(DELETE_ROW, [(table.id, b"2"), (table.id, b"3")])
    database.execute(SET_CELL, (table.id, b"4", "a", b"new", -1000, content))
    found += [response async for response in responses]

    chunks = [chunk for response in found for chunk in ReadRowsResponse.FromString(response).chunks]
    assert [chunk.row_key for chunk in chunks if chunk.row_key] == [b"1", b"2", b"4"]
    assert len(chunks) == 3 * 700 + 1
    database.close()


async def test_other_calls_run_during_a_long_read(clients: Clients) -> None:
    table = await clients.create_table("a")
    await write(clients, table, numbered_rows(10_000))
    order = []

    async def note(name: str, call: Any) -> None:
        await call
        order.append(name)

    nothing = {"value_regex_filter": json.dumps("no such value").encode()}
    await asyncio.gather(
        note("long", keys(clients, table, filter=nothing)), note("short", keys(clients, table, rows_limit=1))
    )

    assert order == ["short", "long"]


@pytest.mark.parametrize("descending", [False, True])
async def test_a_row_beyond_the_limit_is_an_error_after_the_rows_before_it(
    clients: Clients, monkeypatch: pytest.MonkeyPatch, descending: bool
) -> None:
    monkeypatch.setattr("infra.emulators.bigtable.limits.MAX_ROW", 2 << 20)
    table = await clients.create_table("a")
    value = bytes(1 << 20)
    large = [set_cell(qualifier, value) for qualifier in (b"1", b"2")]
    await write(clients, table, {b"a": [set_cell(b"q", b"1")], b"large": large, b"z": [set_cell(b"q", b"1")]})

    stream = await clients.data.read_rows(request={"table_name": table, "reversed": descending})
    found: list[bytes] = []

    with pytest.raises(exceptions.FailedPrecondition, match="found more than 2097152 bytes to return") as error:
        await _collect_keys(stream, found)

    assert found == [b"z" if descending else b"a"]
    assert error.value.reason == "LargeRowReadError"
    assert error.value.metadata == {"rowKeyBase64Encoded": base64.b64encode(b"large").decode()}
    one = {"column_qualifier_regex_filter": b"1"}
    assert await keys(clients, table, filter=one) == [b"large"]
    assert await keys(clients, table, rows={"row_keys": [b"a", b"z"]}) == [b"a", b"z"]


async def _collect_keys(stream: Any, found: list[bytes]) -> None:
    async for response in stream:
        found += [chunk.row_key for chunk in response.chunks if chunk.commit_row]
