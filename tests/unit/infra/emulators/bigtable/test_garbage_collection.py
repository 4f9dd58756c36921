"""Garbage collection rules: which cells they collect, and when."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.emulators.bigtable.admin.admin_pb2 import GcRule, Table
from infra.emulators.bigtable.clock import server_time
from infra.emulators.bigtable.storage.cell_table import SET_CELL, read_row
from infra.emulators.bigtable.storage.contents import encode_content
from infra.emulators.bigtable.storage.gc_rules import Collector, compile_rule
from infra.emulators.bigtable.storage.sweep import sweep, sweep_repeatedly
from infra.emulators.bigtable.storage.tables import Tables
from infra.emulators.bigtable.storage.transactions import create_schema
from infra.emulators.database import open_database
from infra.emulators.errors import ApiError
from tests.support.bigtable_calls import mutate, read, set_cell
from tests.support.bigtable_emulator import Clients

SECOND = 1_000_000  # microseconds
NOW = 2_000_000_000 * SECOND


def versions(count: int) -> GcRule:
    return GcRule(max_num_versions=count)


def age(seconds: float) -> GcRule:
    rule = GcRule()
    rule.max_age.FromTimedelta(timedelta(seconds=seconds))
    return rule


def union(*rules: GcRule) -> GcRule:
    return GcRule(union=GcRule.Union(rules=rules))


def intersection(*rules: GcRule) -> GcRule:
    return GcRule(intersection=GcRule.Intersection(rules=rules))


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (GcRule(), [0, 5, 10, 15]),
        (versions(1), [0]),
        (versions(3), [0, 5, 10]),
        (age(10), [0, 5, 10]),
        (age(0.001), [0]),
        (union(versions(3), age(7)), [0, 5]),
        (union(GcRule(), versions(2)), [0, 5]),
        (intersection(versions(1), age(7)), [0, 5]),
        (intersection(versions(3), age(1)), [0, 5, 10]),
        (intersection(versions(1), union(versions(3), age(12))), [0, 5, 10]),
        (intersection(GcRule(), versions(1)), [0, 5, 10, 15]),
        (union(), [0, 5, 10, 15]),
        (intersection(), [0, 5, 10, 15]),
    ],
)
def test_a_rule_keeps_cells_by_their_age_and_number(rule: GcRule, kept: list[int]) -> None:
    compiled = compile_rule(rule)
    cells = [("a", b"q", NOW - seconds * SECOND, b"") for seconds in (0, 5, 10, 15)]

    found = Collector({"a": compiled} if compiled else {}, NOW).kept(b"r", cells)

    assert [(NOW - cell[2]) // SECOND for cell in found] == kept


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (versions(0), "max_num_versions: found 0, expected 1 or more"),
        (versions(-1), "max_num_versions: found -1, expected 1 or more"),
        (age(0), "max_age: found 0 microseconds, expected 1 millisecond or more"),
        (union(versions(1), age(-1)), "max_age: found -1000000 microseconds"),
    ],
)
def test_a_limit_has_a_minimum(rule: GcRule, text: str) -> None:
    with pytest.raises(ApiError, match=text):
        compile_rule(rule)


RULES = st.recursive(
    st.just(GcRule()) | st.integers(1, 3).map(versions) | st.integers(1, 4).map(age),
    lambda rules: (
        st.lists(rules, max_size=3).map(lambda each: union(*each))
        | st.lists(rules, max_size=3).map(lambda each: intersection(*each))
    ),
    max_leaves=5,
)
CELLS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from([b"p", b"q"]), st.integers(0, 5)), unique=True, max_size=12
)


@given(rules=st.fixed_dictionaries({"a": RULES, "b": RULES}), cells=CELLS)
def test_the_check_of_a_row_agrees_with_the_check_of_its_cells(rules: dict[str, GcRule], cells: list[Any]) -> None:
    compiled = {family: rule for family, message in rules.items() if (rule := compile_rule(message))}
    row = [(family, q, NOW - seconds * SECOND, b"") for family, q, seconds in sorted(cells)]
    collector = Collector(compiled, NOW)

    expected = [cell for cell in row if not collector.collects(b"r", *cell[:3])]

    assert Collector(compiled, NOW).kept(b"r", row) == expected


async def test_calls_see_no_collected_cells(clients: Clients) -> None:
    rules = {"a": {"gc_rule": {"max_num_versions": 1}}, "b": {"gc_rule": {"max_age": {"seconds": 60}}}}
    request = {"parent": clients.instance, "table_id": "t", "table": {"column_families": rules}}
    table = (await clients.admin.create_table(request)).name
    now = server_time()
    times = [(family, now - seconds * SECOND) for family in "ab" for seconds in (0, 30, 90)]
    await mutate(clients, table, *[set_cell(b"q", b"v", micros, family) for family, micros in times])
    await mutate(clients, table, set_cell(b"q", b"v", 1000, "b"), key=b"old")

    appended = await clients.data.read_modify_write_row(
        table_name=table,
        row_key=b"old",
        rules=[{"family_name": "b", "column_qualifier": b"q", "append_value": b"new"}],
    )
    matched = await clients.data.check_and_mutate_row(
        table_name=table,
        row_key=b"r",
        predicate_filter={"timestamp_range_filter": {"end_timestamp_micros": now - 60 * SECOND}},
        true_mutations=[{"delete_from_row": {}}],
    )

    assert appended.row.families[0].columns[0].cells[0].value == b"new"
    assert not matched.predicate_matched
    assert [(cell[1], (now - cell[3]) // SECOND) for cell in await read(clients, table, rows={"row_keys": [b"r"]})] == [
        ("a", 0),
        ("b", 0),
        ("b", 30),
    ]


async def test_a_rule_that_changes_applies_to_the_next_read(clients: Clients) -> None:
    table = await clients.create_table("a")
    await mutate(clients, table, *[set_cell(b"q", b"v", micros) for micros in (1000, 2000, 3000)])

    for count in (2, 1):
        update = {"id": "a", "update": {"gc_rule": {"max_num_versions": count}}}
        await clients.admin.modify_column_families(name=table, modifications=[update])
        assert len(await read(clients, table)) == count


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = open_database()
    create_schema(connection)
    yield connection
    connection.close()


async def test_a_sweep_deletes_collected_cells(database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.emulators.bigtable.storage.cell_table._SLICE_CELLS", 2)  # columns span slices
    message = Table(name="projects/p/instances/i/tables/t")
    message.column_families["a"].gc_rule.CopyFrom(versions(3))
    message.column_families["b"].SetInParent()
    tables = Tables(database)
    table = tables.create(message, [])
    cells = [
        (table.id, key, family, b"q", -micros, encode_content(b"q", micros, b"v"))
        for key in (b"1", b"2")
        for family in "ab"
        for micros in range(5)
    ]
    database.executemany(SET_CELL, cells)

    assert await sweep(database, table) == 4
    assert await sweep(database, table) == 0

    for key in (b"1", b"2"):
        found = [(cell.family, cell.timestamp) for cell in read_row(database, table.id, key)]
        assert found == [("a", 4), ("a", 3), ("a", 2), *[("b", micros) for micros in (4, 3, 2, 1, 0)]]


async def test_sweeps_go_on_after_one_that_fails(
    database: sqlite3.Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Tables(database)
    tables.create(Table(name="projects/p/instances/i/tables/t"), [])
    errors = [ApiError(grpc.StatusCode.RESOURCE_EXHAUSTED, "database: found a full disk")]
    swept_again = asyncio.Event()

    async def fail_once(_database: sqlite3.Connection, _table: object) -> None:
        if errors:
            raise errors.pop()
        swept_again.set()

    monkeypatch.setattr("infra.emulators.bigtable.storage.sweep.sweep", fail_once)
    sweeps = asyncio.create_task(sweep_repeatedly(database, tables, every=0.001))
    await asyncio.wait_for(swept_again.wait(), 20)
    sweeps.cancel()

    assert caplog.messages == ["garbage collection: database: found a full disk"]


async def test_sweeps_go_on_after_damage_of_the_file(
    database: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    tables = Tables(database)
    message = Table(name="projects/p/instances/i/tables/t")
    message.column_families["a"].gc_rule.CopyFrom(versions(1))
    tables.create(message, [])
    database.execute("DROP TABLE bigtable_cells")
    sweeps = asyncio.create_task(sweep_repeatedly(database, tables, every=0.001))
    async with asyncio.timeout(20):
        while len(caplog.messages) < 2:  # noqa: ASYNC110 - a log record signals no event
            await asyncio.sleep(0.001)
    sweeps.cancel()

    expected = "garbage collection: database: found no such table: bigtable_cells, expected a complete transaction"
    assert set(caplog.messages) == {expected}
