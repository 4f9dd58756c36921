"""Laws that hold for random row filters and rows."""

from __future__ import annotations

from typing import Any

import re2
from hypothesis import given
from hypothesis import strategies as st

from infra.emulators.bigtable.cells import Cell, in_order
from infra.emulators.bigtable.column_bounds import ColumnBounds, are_exact, column_bounds
from infra.emulators.bigtable.filters import compile_filter
from infra.emulators.bigtable.patterns import compile_pattern, literal
from tests.support.row_filters import (
    BLOCK,
    PASS,
    SINK,
    STRIP,
    chain,
    column_limits,
    condition,
    family,
    interleave,
    label,
    nested,
    offset,
    per_column,
    per_row,
    qualifier,
    row_filter,
    row_limits,
    selections,
)

KEY = b"row-1"
FILTERS = nested(selections() | column_limits() | row_limits())
COUNTS = st.integers(1, 5)
ROWS = st.lists(
    st.builds(
        Cell,
        st.sampled_from(["a", "b"]),
        st.sampled_from([b"", b"x", b"y", b"\xff\0"]),
        st.integers(0, 5).map(lambda number: number * 1000),
        st.sampled_from([b"", b"one", b"two", b"\n", b"\xff"]),
    ),
    max_size=12,
    unique_by=lambda cell: cell[:3],
).map(in_order)


def apply(message: Any, row: list[Cell]) -> list[Cell]:
    return compile_filter(message)(KEY, row)


@given(FILTERS, ROWS)
def test_pass_all_is_the_identity_of_chains(message: Any, row: list[Cell]) -> None:
    assert apply(chain(message, PASS), row) == apply(chain(PASS, message), row) == apply(message, row)


@given(FILTERS, ROWS)
def test_block_all_is_the_identity_of_interleaves(message: Any, row: list[Cell]) -> None:
    assert apply(interleave(message, BLOCK), row) == apply(interleave(BLOCK, message), row) == apply(message, row)


@given(FILTERS, FILTERS, FILTERS, ROWS)
def test_composition_is_associative(one: Any, two: Any, three: Any, row: list[Cell]) -> None:
    for compose in (chain, interleave):
        assert apply(compose(compose(one, two), three), row) == apply(compose(one, compose(two, three)), row)


@given(FILTERS, FILTERS, ROWS)
def test_an_interleave_has_the_cells_of_both_in_order(one: Any, two: Any, row: list[Cell]) -> None:
    both = apply(interleave(one, two), row)

    assert both == in_order(both)
    assert sorted(both) == sorted(apply(one, row) + apply(two, row))


@given(FILTERS, ROWS)
def test_the_cells_that_pass_are_in_order_and_in_the_row(message: Any, row: list[Cell]) -> None:
    passed = apply(message, row)

    assert passed == in_order(passed)
    assert set(passed) <= set(row)


@given(FILTERS, FILTERS, ROWS)
def test_a_condition_is_one_of_its_branches(predicate: Any, message: Any, row: list[Cell]) -> None:
    expected = apply(message, row) if apply(predicate, row) else []

    assert apply(condition(predicate, message), row) == expected
    assert apply(condition(predicate, None, message), row) == ([] if apply(predicate, row) else apply(message, row))


@given(COUNTS, COUNTS, ROWS)
def test_limits_and_offsets_compose(one: int, two: int, row: list[Cell]) -> None:
    assert apply(chain(per_row(one), per_row(two)), row) == apply(per_row(min(one, two)), row)
    assert apply(chain(per_column(one), per_column(two)), row) == apply(per_column(min(one, two)), row)
    assert apply(chain(offset(one), offset(two)), row) == apply(offset(one + two), row)
    assert apply(interleave(per_row(one), offset(one)), row) == row


@given(COUNTS, ROWS)
def test_a_column_keeps_its_newest_cells(count: int, row: list[Cell]) -> None:
    columns = dict.fromkeys(cell[:2] for cell in row)

    expected = [cell for column in columns for cell in [each for each in row if each[:2] == column][:count]]

    assert apply(per_column(count), row) == expected


@given(FILTERS, ROWS)
def test_strip_keeps_the_keys_and_labels_keep_the_values(message: Any, row: list[Cell]) -> None:
    passed = apply(message, row)

    assert apply(chain(message, STRIP), row) == [cell._replace(value=b"") for cell in passed]
    assert apply(chain(message, label("l")), row) == [cell._replace(labels=("l",)) for cell in passed]


@given(FILTERS, FILTERS, ROWS)
def test_a_sink_adds_a_copy_of_what_reaches_it(before: Any, after: Any, row: list[Cell]) -> None:
    reached = apply(before, row)

    assert sorted(apply(chain(before, interleave(PASS, SINK), after), row)) == sorted(reached + apply(after, reached))


@given(FILTERS, ROWS)
def test_cells_outside_of_the_column_bounds_change_nothing(message: Any, row: list[Cell]) -> None:
    for each in (message, chain(message, SINK), chain(qualifier(b"x"), message), chain(family("b"), message)):
        assert apply(each, [cell for cell in row if inside(column_bounds(each), cell)]) == apply(each, row)


@given(FILTERS, ROWS)
def test_exact_column_bounds_are_the_result(message: Any, row: list[Cell]) -> None:
    for each in (message, qualifier(b"x"), family("b"), chain(family("b"))):
        if are_exact(each):
            assert [cell for cell in row if inside(column_bounds(each), cell)] == apply(each, row)
    assert are_exact(family("b"))
    assert are_exact(qualifier(b"x"))
    assert not are_exact(chain(family("b")))
    assert not are_exact(family("b|a"))


def inside(bounds: ColumnBounds, cell: Cell) -> bool:
    below_end = bounds.end is None or cell.qualifier < bounds.end
    return bounds.family in (None, cell.family) and bounds.start <= cell.qualifier and below_end


def test_column_bounds_of_the_first_filters_of_a_chain() -> None:
    between = row_filter(
        column_range_filter={"family_name": "a", "start_qualifier_open": b"b", "end_qualifier_closed": b"d"}
    )

    assert column_bounds(chain(family("a"), qualifier(b"x"), per_column(1))) == ("a", b"x", b"x\0")
    assert column_bounds(chain(chain(between, STRIP), per_row(1))) == ("a", b"b\0", b"d\0")
    assert column_bounds(chain(between, family("b"))) == ("a", b"", b"")
    assert column_bounds(chain(per_row(1), between)) == (None, b"", None)
    assert column_bounds(interleave(between, between)) == (None, b"", None)
    assert column_bounds(family("a.*")) == (None, b"", None)


@given(st.binary(max_size=4), st.binary(max_size=4))
def test_a_literal_pattern_matches_only_itself(pattern: bytes, text: bytes) -> None:
    if literal(pattern) is not None:
        match = compile_pattern("field", pattern)
        assert match(pattern)
        assert match(text) == (text == pattern)


@given(
    st.lists(st.sampled_from([b"a", b"\xff", b".", rb"\C", b"[^a]", b"|", b"*", b"(b)", b"$"]), max_size=6), st.binary()
)
def test_a_match_is_one_of_the_whole_text(pieces: list[bytes], text: bytes) -> None:
    options = re2.Options()
    options.encoding, options.log_errors = re2.Options.Encoding.LATIN1, False
    pattern = b"".join(pieces)
    try:
        expected = re2.compile(rb"(?:" + pattern + rb")\z", options).match(text) is not None
    except re2.error:
        return
    assert compile_pattern("field", pattern)(text) == expected


def test_a_pattern_too_large_for_a_set_matches() -> None:
    match = compile_pattern("field", b"[a-q]{1000}" * 90 + b"|b")

    assert (match(b"b"), match(b"x")) == (True, False)
