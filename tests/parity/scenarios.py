"""Calls of Bigtable and what they return, for comparisons of two servers.

A scenario gets the clients of an empty instance. Its result has no names of instances and no times of the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from google.cloud.bigtable_admin_v2.types import Table

from tests.support.bigtable_calls import keys, mutate, outcome, read, set_cell, write
from tests.support.bigtable_emulator import Clients

Scenario = Callable[[Clients], Awaitable[Any]]
SCENARIOS: dict[str, Scenario] = {}
_DAY = 86_400


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


async def create_table(clients: Clients, *families: str) -> str:
    """Create a table and its families in their order, which is the order of Google's emulator in a row."""
    table = await clients.create_table()
    for family in families:
        await clients.admin.modify_column_families(name=table, modifications=[{"id": family, "create": {}}])
    return table


async def table_of_letters(clients: Clients) -> str:
    table = await create_table(clients, "a", "b")
    await write(clients, table, {bytes([letter]): [set_cell(b"q", b"v")] for letter in b"abcdefgh"})
    return table


# Reads


@scenario
async def rows_by_keys_and_ranges(clients: Clients) -> Any:
    table = await table_of_letters(clients)
    row_sets = [
        {"row_keys": [b"c", b"a", b"x", b"a"]},
        {"row_ranges": [{"start_key_closed": b"c"}]},
        {"row_ranges": [{"start_key_open": b"c", "end_key_closed": b"e"}]},
        {"row_ranges": [{"start_key_closed": b"c", "end_key_open": b"e"}, {"start_key_closed": b"d"}]},
        {"row_ranges": [{"end_key_open": b"c"}], "row_keys": [b"h", b"b"]},
        {"row_ranges": [{"end_key_open": b""}]},
        {"row_ranges": [{"start_key_open": b""}]},
        {"row_ranges": [{}]},
        {"row_ranges": [{"start_key_closed": b"d", "end_key_closed": b"d"}]},
    ]
    return [await keys(clients, table, rows=rows) for rows in row_sets]


_SOME_ROWS = {"row_ranges": [{"start_key_closed": b"b", "end_key_open": b"e"}], "row_keys": [b"g"]}


@scenario
async def reversed_rows(clients: Clients) -> Any:
    table = await table_of_letters(clients)
    await write(clients, table, {b"c": [set_cell(b"p", b"1"), set_cell(b"q", b"2", 2000)]})
    return [
        await keys(clients, table, rows=_SOME_ROWS, reversed=True),
        await keys(clients, table, rows=_SOME_ROWS, reversed=True, rows_limit=2),
        await read(clients, table, rows={"row_keys": [b"c"]}, reversed=True),
    ]


@scenario
async def limits_of_rows(clients: Clients) -> Any:
    table = await table_of_letters(clients)
    return [await keys(clients, table, rows=_SOME_ROWS, rows_limit=limit) for limit in (1, 3, 4, 100)]


@scenario
async def invalid_reads(clients: Clients) -> Any:
    table = await table_of_letters(clients)
    return [
        await keys(clients, table, rows={"row_ranges": [{"start_key_closed": b"e", "end_key_open": b"c"}]}),
        await keys(clients, f"{clients.instance}/tables/unknown"),
        await keys(clients, table, filter={"cells_per_row_limit_filter": 0}),
    ]


@scenario
async def a_range_that_ends_where_it_starts(clients: Clients) -> Any:
    table = await table_of_letters(clients)
    return await keys(clients, table, rows={"row_ranges": [{"start_key_closed": b"c", "end_key_open": b"c"}]})


@scenario
async def a_negative_limit_of_rows(clients: Clients) -> Any:
    return await keys(clients, await table_of_letters(clients), rows_limit=-1)


@scenario
async def an_empty_row_key_in_a_read(clients: Clients) -> Any:
    return await keys(clients, await table_of_letters(clients), rows={"row_keys": [b""]})


@scenario
async def filters(clients: Clients) -> Any:
    table = await create_table(clients, "a", "b")
    cells = [set_cell(q, b"v%d" % t, t * 1000, f) for f in "ab" for q in (b"p", b"q") for t in (1, 2, 3)]
    await write(clients, table, dict.fromkeys((b"r1", b"r2"), cells))
    each: list[dict[str, Any]] = [
        {"pass_all_filter": True},
        {"block_all_filter": True},
        {"family_name_regex_filter": "b"},
        {"column_range_filter": {"family_name": "a", "start_qualifier_open": b"p"}},
        {"cells_per_column_limit_filter": 1},
        # Google's emulator counts the cells of a row by families in random order, so one family is left here.
        {"chain": {"filters": [{"family_name_regex_filter": "a"}, {"cells_per_row_limit_filter": 4}]}},
        {"chain": {"filters": [{"family_name_regex_filter": "b"}, {"cells_per_row_offset_filter": 4}]}},
        {"timestamp_range_filter": {"start_timestamp_micros": 2000, "end_timestamp_micros": 3000}},
        {"strip_value_transformer": True},
        {"apply_label_transformer": "label"},
        {"chain": {"filters": [{"column_qualifier_regex_filter": b"q"}, {"cells_per_column_limit_filter": 2}]}},
        {"interleave": {"filters": [{"family_name_regex_filter": "a"}, {"value_regex_filter": b"v3"}]}},
        {
            "condition": {
                "predicate_filter": {"row_key_regex_filter": b"r1"},
                "true_filter": {"family_name_regex_filter": "a"},
                "false_filter": {"value_range_filter": {"start_value_closed": b"v2"}},
            }
        },
    ]
    return [await read(clients, table, filter=row_filter) for row_filter in each]


@scenario
async def a_long_value(clients: Clients) -> Any:
    table = await create_table(clients, "a")
    value = bytes(range(256)) * 20_000
    await write(clients, table, {b"r": [set_cell(b"p", b"x"), set_cell(b"q", value), set_cell(b"z", b"y")]})
    return await read(clients, table) == [
        (b"r", "a", qualifier, 1000, each, []) for qualifier, each in ((b"p", b"x"), (b"q", value), (b"z", b"y"))
    ]


# Writes


@scenario
async def cells_of_a_row_in_order(clients: Clients) -> Any:
    table = await create_table(clients, "a", "b")
    mutations = [set_cell(q, b"%d" % t, t * 1000, f) for f in "ba" for q in (b"q", b"", b"\xff") for t in (2, 3, 1)]
    return [await write(clients, table, {b"r": mutations}), await read(clients, table)]


@scenario
async def a_cell_written_again(clients: Clients) -> Any:
    table = await create_table(clients, "a")
    return [
        await mutate(clients, table, set_cell(b"q", b"1"), set_cell(b"q", b"2")),
        await mutate(clients, table, set_cell(b"q", b"3")),
        await read(clients, table),
    ]


@scenario
async def deletes(clients: Clients) -> Any:
    table = await create_table(clients, "a", "b")
    cells = [set_cell(q, b"v", t * 1000, f) for f in "ab" for q in (b"p", b"q") for t in (1, 2, 3, 4)]
    column = {"family_name": "a", "column_qualifier": b"p"}
    each: list[dict[str, Any]] = [
        {"delete_from_column": column},
        {"delete_from_column": column | {"time_range": {}}},
        {"delete_from_column": column | {"time_range": {"start_timestamp_micros": 3000}}},
        {"delete_from_column": column | {"time_range": {"end_timestamp_micros": 3000}}},
        {"delete_from_column": column | {"time_range": {"start_timestamp_micros": 2000, "end_timestamp_micros": 4000}}},
        {"delete_from_family": {"family_name": "b"}},
        {"delete_from_row": {}},
    ]
    results = []
    for mutation in each:
        await mutate(clients, table, {"delete_from_row": {}}, *cells)
        results.append([await mutate(clients, table, mutation), await read(clients, table)])
    return results


@scenario
async def mutations_of_a_row_in_their_order(clients: Clients) -> Any:
    table = await create_table(clients, "a")
    await mutate(clients, table, set_cell(b"p", b"1"))
    return [
        await mutate(clients, table, {"delete_from_row": {}}, set_cell(b"q", b"2"), set_cell(b"r", b"3")),
        await mutate(clients, table, set_cell(b"s", b"4"), {"delete_from_family": {"family_name": "a"}}, key=b"s"),
        await read(clients, table),
    ]


@scenario
async def an_entry_that_fails_alone(clients: Clients) -> Any:
    table = await create_table(clients, "a")
    codes = await write(
        clients, table, {b"1": [set_cell(b"q", b"v")], b"2": [set_cell(b"q", b"v", -5)], b"3": [set_cell(b"q", b"v")]}
    )
    return [[bool(code) for code in codes], await keys(clients, table)]


@scenario
async def a_row_that_fails_keeps_its_cells(clients: Clients) -> Any:
    table = await create_table(clients, "a")
    await mutate(clients, table, set_cell(b"q", b"1"))
    failed = await mutate(clients, table, {"delete_from_row": {}}, set_cell(b"q", b"2", family="unknown"))
    return [failed != "OK", await read(clients, table)]


@scenario
async def an_unknown_family(clients: Clients) -> Any:
    return await mutate(clients, await create_table(clients, "a"), set_cell(b"q", b"v", family="unknown"))


@scenario
async def timestamps_out_of_range(clients: Clients) -> Any:
    table = await create_table(clients, "a")
    return [await mutate(clients, table, set_cell(b"q", b"v", micros)) for micros in (-2, 1, 1001)]


@scenario
async def an_empty_row_key(clients: Clients) -> Any:
    return await mutate(clients, await create_table(clients, "a"), set_cell(b"q", b"v"), key=b"")


@scenario
async def no_mutations(clients: Clients) -> Any:
    return await mutate(clients, await create_table(clients, "a"))


@scenario
async def row_keys_and_qualifiers_over_the_limits(clients: Clients) -> Any:
    table = await create_table(clients, "a")
    return [
        await mutate(clients, table, set_cell(b"q", b"v"), key=b"k" * 4096),
        await mutate(clients, table, set_cell(b"q", b"v"), key=b"k" * 4097),
        await mutate(clients, table, set_cell(b"q" * 16384, b"v")),
        await mutate(clients, table, set_cell(b"q" * 16385, b"v")),
    ]


@scenario
async def the_time_of_the_server(clients: Clients) -> Any:
    table = await create_table(clients, "a")
    result = await mutate(clients, table, set_cell(b"q", b"v", -1))
    ((_, _, _, micros, value, _),) = await read(clients, table)
    return [result, micros > 1_700_000_000_000_000, micros % 1000, value]


@scenario
async def inverted_time_range_of_a_delete(clients: Clients) -> Any:
    table = await create_table(clients, "a")
    time_range = {"start_timestamp_micros": 3000, "end_timestamp_micros": 2000}
    column = {"family_name": "a", "column_qualifier": b"p", "time_range": time_range}
    return await mutate(clients, table, {"delete_from_column": column})


@scenario
async def check_and_mutate(clients: Clients) -> Any:
    table = await create_table(clients, "a")

    async def check(key: bytes, **request: Any) -> Any:
        result = await outcome(
            clients.data.check_and_mutate_row(
                {
                    "table_name": table,
                    "row_key": key,
                    "true_mutations": [set_cell(b"true", b"")],
                    "false_mutations": [set_cell(b"false", b"")],
                    **request,
                },
                retry=None,
            )
        )
        return result if isinstance(result, str) else result.predicate_matched

    return [
        await check(b"1"),
        await check(b"1"),
        await check(b"1", predicate_filter={"column_qualifier_regex_filter": b"nothing"}),
        await check(b"2", predicate_filter={"value_regex_filter": b"v"}, false_mutations=[]),
        await check(b"1", predicate_filter={"pass_all_filter": True}, true_mutations=[{"delete_from_row": {}}]),
        await read(clients, table),
    ]


@scenario
async def read_modify_write(clients: Clients) -> Any:
    table = await create_table(clients, "a", "b")

    async def modify(*rules: dict[str, Any], key: bytes = b"r") -> Any:
        result = await outcome(
            clients.data.read_modify_write_row(table_name=table, row_key=key, rules=list(rules), retry=None)
        )
        if isinstance(result, str):
            return result
        return [
            (family.name, column.qualifier, [cell.value for cell in column.cells])
            for family in result.row.families
            for column in family.columns
        ]

    column = {"family_name": "a", "column_qualifier": b"q"}
    counter = {"family_name": "b", "column_qualifier": b"n"}
    return [
        await modify(column | {"append_value": b"x"}),
        await modify(column | {"append_value": b"y"}, column | {"append_value": b"z"}),
        await modify(counter | {"increment_amount": 5}),
        await modify(counter | {"increment_amount": -7}, column | {"append_value": b"!"}),
        await modify(counter | {"increment_amount": 1 << 62}, counter | {"increment_amount": 1 << 62}),
        [cell[:3] for cell in await read(clients, table, filter={"cells_per_column_limit_filter": 1})],
    ]


@scenario
async def an_increment_of_text(clients: Clients) -> Any:
    table = await create_table(clients, "a")
    await mutate(clients, table, set_cell(b"q", b"text"))
    rule = {"family_name": "a", "column_qualifier": b"q", "increment_amount": 1}
    return await outcome(clients.data.read_modify_write_row(table_name=table, row_key=b"r", rules=[rule], retry=None))


@scenario
async def sums_of_an_aggregate_family(clients: Clients) -> Any:
    value_type = {"aggregate_type": {"input_type": {"int64_type": {}}, "sum": {}}}
    request = {
        "parent": clients.instance,
        "table_id": "sums",
        "table": {"column_families": {"a": {"value_type": value_type}}},
    }
    table = (await clients.admin.create_table(request)).name

    def add(amount: int, micros: int) -> dict[str, Any]:
        return {
            "add_to_cell": {
                "family_name": "a",
                "column_qualifier": {"raw_value": b"q"},
                "timestamp": {"raw_timestamp_micros": micros},
                "input": {"int_value": amount},
            }
        }

    return [
        await mutate(clients, table, add(5, 1000), add(7, 1000), add(1, 2000)),
        await mutate(clients, table, add(-20, 1000)),
        await read(clients, table),
    ]


# Administration


@scenario
async def create_get_list_and_delete_tables(clients: Clients) -> Any:
    names = [await clients.create_table("b", "a", table_id=table_id) for table_id in ("t2", "t1")]
    listed = [table.name async for table in await clients.admin.list_tables(parent=clients.instance)]
    got = await clients.admin.get_table(name=names[0])
    await clients.admin.delete_table(name=names[0])
    return [
        sorted(name.rpartition("/")[2] for name in listed),
        sorted(got.column_families),
        await outcome(clients.admin.get_table(name=names[0])),
        await outcome(clients.admin.delete_table(name=names[0])),
        await outcome(clients.create_table("a", table_id="t1")),
    ]


@scenario
async def gc_rules_of_families(clients: Clients) -> Any:
    table = await clients.create_table()
    rules: dict[str, dict[str, Any]] = {
        "age": {"max_age": {"seconds": _DAY}},
        "versions": {"max_num_versions": 2},
        "union": {"union": {"rules": [{"max_age": {"seconds": 5}}, {"max_num_versions": 1}]}},
        "none": {},
    }
    modifications = [{"id": family, "create": {"gc_rule": rule}} for family, rule in rules.items()]
    await clients.admin.modify_column_families(name=table, modifications=modifications)
    updated = await clients.admin.modify_column_families(
        name=table,
        modifications=[{"id": "age", "update": {"gc_rule": {"max_num_versions": 3}}}, {"id": "none", "drop": True}],
    )
    got = await clients.admin.get_table(name=table)
    assert got.column_families == updated.column_families
    without_rule = await clients.admin.modify_column_families(
        name=table,
        modifications=[{"id": "age", "update": {"gc_rule": {}}, "update_mask": {"paths": ["gc_rule"]}}],
    )
    return [
        {family: str(column) for family, column in sorted(each.column_families.items())} for each in (got, without_rule)
    ]


@scenario
async def invalid_modifications_of_families(clients: Clients) -> Any:
    table = await clients.create_table("a")

    async def modify(*modifications: dict[str, Any]) -> Any:
        result = await outcome(clients.admin.modify_column_families(name=table, modifications=list(modifications)))
        return result if isinstance(result, str) else sorted(result.column_families)

    return [
        await modify({"id": "a", "create": {}}),
        await modify({"id": "unknown", "drop": True}),
        await modify({"id": "unknown", "update": {"gc_rule": {"max_num_versions": 1}}}),
        await modify({"id": "b", "create": {}}, {"id": "b", "drop": True}, {"id": "c", "create": {}}),
    ]


@scenario
async def a_modification_that_fails_after_others(clients: Clients) -> Any:
    table = await clients.create_table("a")
    modifications = [{"id": "b", "create": {}}, {"id": "a", "create": {}}]
    result = await outcome(clients.admin.modify_column_families(name=table, modifications=modifications))
    return [result, sorted((await clients.admin.get_table(name=table)).column_families)]


@scenario
async def a_dropped_family_loses_its_cells(clients: Clients) -> Any:
    table = await clients.create_table("a", "b")
    await mutate(clients, table, set_cell(b"q", b"1"), set_cell(b"q", b"2", family="b"))
    await clients.admin.modify_column_families(name=table, modifications=[{"id": "a", "drop": True}])
    await clients.admin.modify_column_families(name=table, modifications=[{"id": "a", "create": {}}])
    return await read(clients, table)


@scenario
async def drop_row_range(clients: Clients) -> Any:
    table = await clients.create_table("a")
    await write(clients, table, {key: [set_cell(b"q", b"v")] for key in (b"a", b"ab", b"b", b"\xff", b"\xff\xff")})
    results = []
    for target in ({"row_key_prefix": b"a"}, {"row_key_prefix": b"\xff"}, {"delete_all_data_from_table": True}):
        await clients.admin.drop_row_range({"name": table, **target})
        results.append(await keys(clients, table))
    return results


@scenario
async def a_deleted_table_loses_its_cells(clients: Clients) -> Any:
    table = await clients.create_table("a")
    await mutate(clients, table, set_cell(b"q", b"1"))
    await clients.admin.delete_table(name=table)
    return await read(clients, await clients.create_table("a"))


@scenario
async def deletion_protection(clients: Clients) -> Any:
    table = await clients.create_table("a")

    async def protect(flag: bool) -> Any:
        request = {
            "table": {"name": table, "deletion_protection": flag},
            "update_mask": {"paths": ["deletion_protection"]},
        }
        operation = await clients.admin.update_table(request)
        return [operation.operation.done, (await clients.admin.get_table(name=table)).deletion_protection]

    return [
        await protect(True),
        await outcome(clients.admin.delete_table(name=table)),
        await protect(False),
        await outcome(clients.admin.delete_table(name=table)),
    ]


@scenario
async def consistency_tokens(clients: Clients) -> Any:
    table = await clients.create_table("a")
    token = (await clients.admin.generate_consistency_token(name=table)).consistency_token
    checked = await clients.admin.check_consistency(name=table, consistency_token=token)
    return [checked.consistent, await outcome(clients.admin.check_consistency(name=table, consistency_token="other"))]


@scenario
async def invalid_names(clients: Clients) -> Any:
    return [
        await outcome(clients.create_table("a", table_id=table_id)) is not None
        for table_id in ("", "a/b", "t" * 51, "ä")
    ]


@scenario
async def the_last_sample_is_the_end_of_the_table(clients: Clients) -> Any:
    table = await clients.create_table("a", initial_splits=[{"key": b"m"}, {"key": b"f"}])
    # One row: Google's emulator samples its last row, and others at random.
    await write(clients, table, {b"h": [set_cell(b"q", b"v")]})
    stream = await clients.data.sample_row_keys(table_name=table)
    return [sample.row_key async for sample in stream]


@scenario
async def views_of_a_table(clients: Clients) -> Any:
    table = await clients.create_table("a")
    return [
        sorted((await clients.admin.get_table({"name": table, "view": view})).column_families)
        for view in (Table.View.VIEW_UNSPECIFIED, Table.View.NAME_ONLY, Table.View.SCHEMA_VIEW, Table.View.FULL)
    ]


@scenario
async def ping_and_warm(clients: Clients) -> Any:
    return await outcome(clients.data.ping_and_warm(name=clients.instance)) is not None
