"""Mutations that break a rule of Bigtable."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core.exceptions import FailedPrecondition, GoogleAPICallError, InvalidArgument, NotFound

from tests.support.bigtable_calls import mutate, read, set_cell
from tests.support.bigtable_emulator import Clients

COLUMN = {"family_name": "a", "column_qualifier": b"q"}


def delete(start: int = 0, end: int = 0) -> dict[str, Any]:
    time_range = {"start_timestamp_micros": start, "end_timestamp_micros": end}
    return {"delete_from_column": COLUMN | {"time_range": time_range}}


def add(**fields: Any) -> dict[str, Any]:
    cell = {
        "family_name": "sum",
        "column_qualifier": {"raw_value": b"q"},
        "timestamp": {"raw_timestamp_micros": 1000},
        "input": {"int_value": 1},
    }
    return {"add_to_cell": cell | fields}


async def aggregate_table(clients: Clients) -> str:
    families: dict[str, Any] = {
        name: {"value_type": {"aggregate_type": {"input_type": {"int64_type": {}}, field: {}}}}
        for name, field in (("sum", "sum"), ("min", "min_"), ("max", "max_"), ("hll", "hllpp_unique_count"))
    }
    request = {"parent": clients.instance, "table_id": "t", "table": {"column_families": families | {"a": {}}}}
    return str((await clients.admin.create_table(request)).name)


@pytest.mark.parametrize(
    ("key", "mutations", "error", "text"),
    [
        (b"", [set_cell(b"q", b"v")], InvalidArgument, "row_key: found an empty key, expected 1 byte or more"),
        (b"k" * 4097, [set_cell(b"q", b"v")], InvalidArgument, "row_key: found 4097 bytes, expected 4096 or fewer"),
        (b"k", [], InvalidArgument, "mutations: found none, expected 1 or more"),
        (b"k", [{}], InvalidArgument, "mutation: found none, expected set_cell or another one"),
        (b"k", [set_cell(b"q", b"v", 1)], InvalidArgument, "timestamp_micros: found 1, expected whole milliseconds"),
        (b"k", [set_cell(b"q", b"v", -2)], InvalidArgument, "timestamp_micros: found -2, expected 0 or more"),
        (b"k", [set_cell(b"q" * 16385, b"v")], InvalidArgument, "column_qualifier: found 16385 bytes, expected 16384"),
        (b"k", [set_cell(b"q", bytes((100 << 20) + 1))], InvalidArgument, "value: found 104857601 bytes, expected"),
        (b"k", [set_cell(b"q", b"v", family="x")], NotFound, "found 'x', expected a"),
        (b"k", [{"delete_from_family": {"family_name": "x"}}], NotFound, "found 'x', expected a"),
        (b"k", [{"delete_from_column": COLUMN | {"family_name": "x"}}], NotFound, "found 'x', expected a"),
        (b"k", [delete(2000, 1000)], InvalidArgument, r"time_range: found \[2000, 1000\), expected an end after"),
        (b"k", [delete(1)], InvalidArgument, "time_range.start_timestamp_micros: found 1, expected whole"),
        (b"k", [delete(0, -1)], InvalidArgument, "time_range.end_timestamp_micros: found -1, expected 0 or more"),
        (b"k", [add(family_name="x")], NotFound, "found 'x', expected"),
        (b"k", [add(family_name="a")], InvalidArgument, "family 'a': found no aggregate type, expected one of sum"),
        (b"k", [add(family_name="hll")], InvalidArgument, "family 'hll': found hllpp_unique_count, expected one of"),
        (b"k", [add(input={"raw_value": b""})], InvalidArgument, "input: found raw_value, expected int_value"),
        (
            b"k",
            [add(timestamp={"int_value": 1})],
            InvalidArgument,
            "timestamp: found int_value, expected raw_",
        ),
    ],
    ids=range(19),
)
async def test_errors_say_what_was_found_and_expected(
    clients: Clients, key: bytes, mutations: list[Any], error: type[GoogleAPICallError], text: str
) -> None:
    table = await aggregate_table(clients)

    with pytest.raises(error, match=text):
        await clients.data.mutate_row(table_name=table, row_key=key, mutations=mutations, retry=None)

    assert await read(clients, table) == []


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [
        (0, 0, []),
        (2000, 0, [1000]),
        (0, 2000, [3000, 2000]),
        (2000, 3000, [3000, 1000]),
        (1000, 4000, []),
        (4000, 0, [3000, 2000, 1000]),
    ],
)
async def test_a_delete_includes_the_start_of_its_range(
    clients: Clients, start: int, end: int, kept: list[int]
) -> None:
    table = await clients.create_table("a", "b")
    others = [set_cell(b"other", b"v", 2000), set_cell(b"q", b"v", 2000, "b")]
    await mutate(clients, table, *[set_cell(b"q", b"v", micros) for micros in (1000, 2000, 3000)], *others)

    assert await mutate(clients, table, delete(start, end)) == "OK"

    found = await read(clients, table)
    assert [cell[3] for cell in found if cell[1:3] == ("a", b"q")] == kept
    assert len(found) == len(kept) + 2


async def test_a_request_has_a_limit_of_mutations(clients: Clients) -> None:
    table = await clients.create_table("a")
    mutations = [{"delete_from_row": {}}] * 50_001
    entries = [{"row_key": key, "mutations": mutations} for key in (b"1", b"2")]

    with pytest.raises(InvalidArgument, match="mutations: found 100002 in the request, expected 100000 or fewer"):
        async for _ in await clients.data.mutate_rows(table_name=table, entries=entries, retry=None):
            pass


async def test_entries_fail_with_their_own_status(clients: Clients) -> None:
    table = await clients.create_table("a")
    entries = [
        {"row_key": b"1", "mutations": [set_cell(b"q", b"v")]},
        {"row_key": b"2", "mutations": [set_cell(b"q", b"v"), set_cell(b"q", b"v", family="x")]},
        {"row_key": b"3", "mutations": [set_cell(b"q", b"v")]},
    ]

    stream = await clients.data.mutate_rows(table_name=table, entries=entries)
    (response,) = [response async for response in stream]

    assert [(entry.index, entry.status.code) for entry in response.entries] == [(0, 0), (1, 5), (2, 0)]
    assert response.entries[1].status.message == (
        f"Requested column family not found in {table}: found 'x', expected a"
    )
    assert [cell[0] for cell in await read(clients, table)] == [b"1", b"3"]


async def test_aggregates_of_integers(clients: Clients) -> None:
    table = await aggregate_table(clients)
    merged = {
        "merge_to_cell": add(family_name="sum")["add_to_cell"]
        | {"input": {"raw_value": (-10).to_bytes(8, signed=True)}}
    }
    values = (5, -3, 4)
    mutations = [
        add(family_name=name, input={"int_value": value}) for name in ("sum", "min", "max") for value in values
    ]

    assert await mutate(clients, table, *mutations, merged) == "OK"

    found = {cell[1]: int.from_bytes(cell[4], signed=True) for cell in await read(clients, table)}
    assert found == {"sum": -4, "min": -3, "max": 5}


async def test_a_sum_wraps_around(clients: Clients) -> None:
    table = await aggregate_table(clients)

    await mutate(clients, table, *[add(input={"int_value": (1 << 63) - 1})] * 2)

    assert [int.from_bytes(cell[4], signed=True) for cell in await read(clients, table)] == [-2]


async def test_an_increment_needs_a_cell_of_eight_bytes(clients: Clients) -> None:
    table = await clients.create_table("a")
    await mutate(clients, table, set_cell(b"q", b"text"))
    rules = [COLUMN | {"column_qualifier": b"other", "append_value": b"x"}, COLUMN | {"increment_amount": 1}]

    with pytest.raises(FailedPrecondition, match="increment_amount: found a cell of 4 bytes, expected 8"):
        await clients.data.read_modify_write_row(table_name=table, row_key=b"r", rules=rules)

    assert [cell[2] for cell in await read(clients, table)] == [b"q"]


async def test_an_append_to_a_cell_of_the_future_keeps_its_time(clients: Clients) -> None:
    table = await clients.create_table("a")
    future = 4_000_000_000_000_000
    await mutate(clients, table, set_cell(b"q", b"1", future))
    rules = [COLUMN | {"append_value": b"2"}]

    await clients.data.read_modify_write_row(table_name=table, row_key=b"r", rules=rules)

    assert [cell[3:5] for cell in await read(clients, table)] == [(future, b"12")]
