"""The emulator returns what a dict of cells would."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.bigtable_calls import mutate, read, set_cell
from tests.support.bigtable_emulator import connecting

KEYS = st.sampled_from([b"\0", b"a", b"a\0", b"aa", b"b", b"\xff", b"\xff\xff"])
FAMILIES = st.sampled_from(["a", "b"])
QUALIFIERS = st.sampled_from([b"", b"\xff"])
MICROS = st.integers(0, 3).map(lambda millis: millis * 1000)
Model = dict[tuple[bytes, str, bytes, int], bytes]

set_cells = st.builds(set_cell, QUALIFIERS, st.binary(max_size=4), MICROS, FAMILIES)
delete_columns = st.builds(
    lambda family, qualifier, start, length: {
        "delete_from_column": {
            "family_name": family,
            "column_qualifier": qualifier,
            "time_range": {
                "start_timestamp_micros": start,
                "end_timestamp_micros": start + length if length else 0,
            },
        }
    },
    FAMILIES,
    QUALIFIERS,
    MICROS,
    MICROS,
)
delete_families = FAMILIES.map(lambda family: {"delete_from_family": {"family_name": family}})
MUTATIONS = st.lists(
    st.one_of(set_cells, set_cells, set_cells, delete_columns, delete_families, st.just({"delete_from_row": {}})),
    min_size=1,
    max_size=12,
)
BOUNDS = st.none() | KEYS
RANGES = st.tuples(BOUNDS, st.booleans(), BOUNDS, st.booleans()).filter(
    lambda bounds: not bounds[0] or not bounds[2] or bounds[0] <= bounds[2]
)
ROW_SETS = st.tuples(st.lists(KEYS, max_size=3), st.lists(RANGES, max_size=3))


def apply(model: Model, key: bytes, mutation: dict[str, Any]) -> None:
    ((kind, fields),) = mutation.items()
    if kind == "set_cell":
        model[key, fields["family_name"], fields["column_qualifier"], fields["timestamp_micros"]] = fields["value"]
        return
    for cell in [cell for cell in model if cell[0] == key]:
        _, family, qualifier, micros = cell
        if kind != "delete_from_row" and family != fields["family_name"]:
            continue
        if kind == "delete_from_column":
            start, end = fields["time_range"].values()
            if qualifier != fields["column_qualifier"] or micros < start or (end and micros >= end):
                continue
        del model[cell]


def contains(row_set: tuple[list[bytes], list[Any]], key: bytes) -> bool:
    keys, ranges = row_set
    if not keys and not ranges:
        return True
    return key in keys or any(
        (start is None or key > start or (start_closed and key == start))
        and (end is None or key < end or (end_closed and key == end))
        for start, start_closed, end, end_closed in ranges
    )


def row_set_message(row_set: tuple[list[bytes], list[Any]]) -> dict[str, Any]:
    keys, ranges = row_set
    messages = []
    for start, start_closed, end, end_closed in ranges:
        message = {}
        if start is not None:
            message["start_key_closed" if start_closed else "start_key_open"] = start
        if end is not None:
            message["end_key_closed" if end_closed else "end_key_open"] = end
        messages.append(message)
    return {"row_keys": keys, "row_ranges": messages}


@given(
    writes=st.lists(st.tuples(KEYS, MUTATIONS), max_size=12),
    reads=st.lists(st.tuples(ROW_SETS, st.integers(0, 4), st.booleans()), min_size=1, max_size=4),
)
async def test_reads_return_what_was_written(address: str, writes: Any, reads: Any) -> None:
    model: Model = {}
    async with connecting(address) as clients:
        table = await clients.create_table("a", "b")
        for key, mutations in writes:
            assert await mutate(clients, table, *mutations, key=key) == "OK"
            for mutation in mutations:
                apply(model, key, mutation)

        for row_set, limit, descending in reads:
            request = {"rows": row_set_message(row_set), "rows_limit": limit, "reversed": descending}
            assert await read(clients, table, **request) == expected_cells(model, row_set, limit, descending)


def expected_cells(model: Model, row_set: Any, limit: int, descending: bool) -> list[Any]:
    keys = sorted({key for key, *_ in model if contains(row_set, key)}, reverse=descending)[: limit or None]
    return [
        (*cell, model[cell], [])
        for key in keys
        for cell in sorted((cell for cell in model if cell[0] == key), key=lambda cell: (*cell[:3], -cell[3]))
    ]
