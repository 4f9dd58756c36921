"""Every row filter, on one row."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from infra.emulators.bigtable import simple_filters
from infra.emulators.bigtable.cells import Cell
from infra.emulators.bigtable.filters import compile_filter
from infra.emulators.errors import ApiError
from tests.support.row_filters import (
    BLOCK,
    PASS,
    SINK,
    STRIP,
    chain,
    condition,
    family,
    interleave,
    label,
    offset,
    per_column,
    per_row,
    qualifier,
    row_filter,
    value,
)

KEY = b"user#1\n\xff"
CELLS = [
    Cell("a", b"", 5000, b""),
    Cell("a", b"q", 3000, b"new"),
    Cell("a", b"q", 2000, b"old\n"),
    Cell("a", b"q\xe9", 1000, b"\xf0\x0f"),
    Cell("b.c", b"q", 2000, b"old"),
    Cell("b.c", b"r", 0, b"\xff\xff"),
]


def passing(message: Any) -> list[int]:
    """Return the indices of the cells that pass."""
    return [CELLS.index(cell) for cell in compile_filter(message)(KEY, CELLS)]


def columns(name: str = "a", **bounds: bytes) -> Any:
    return row_filter(column_range_filter={"family_name": name, **bounds})


def values(**bounds: bytes) -> Any:
    return row_filter(value_range_filter=bounds)


def times(start: int = 0, end: int = 0) -> Any:
    return row_filter(timestamp_range_filter={"start_timestamp_micros": start, "end_timestamp_micros": end})


def key(pattern: bytes) -> Any:
    return row_filter(row_key_regex_filter=pattern)


def bitmask(mask: bytes) -> Any:
    return row_filter(value_bitmask_filter={"mask": mask})


ALL = [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(row_filter(), ALL, id="unset"),
        pytest.param(PASS, ALL, id="pass_all"),
        pytest.param(BLOCK, [], id="block_all"),
        pytest.param(SINK, ALL, id="sink"),
        pytest.param(key(rb"user#\d\n\C"), ALL, id="row key matches"),
        pytest.param(key(rb"user#\d"), [], id="row key is matched in full"),
        pytest.param(key(rb"user.*"), [], id="a dot matches no newline"),
        pytest.param(key(rb"user\C*"), ALL, id="any byte matches a newline"),
        pytest.param(key(KEY), ALL, id="row key literally"),
        pytest.param(family("a"), [0, 1, 2, 3], id="family literally"),
        pytest.param(family("b.c"), [4, 5], id="family with a dot"),
        pytest.param(family("a|z"), [0, 1, 2, 3], id="family alternatives"),
        pytest.param(family("b"), [], id="family is matched in full"),
        pytest.param(family(""), [], id="empty family pattern"),
        pytest.param(qualifier(b"q"), [1, 2, 4], id="qualifier literally"),
        pytest.param(qualifier(b"q."), [3], id="a dot matches a byte beyond ASCII"),
        pytest.param(qualifier(b"q\xe9"), [3], id="qualifier of bytes beyond ASCII"),
        pytest.param(qualifier(rb"q\xe9"), [3], id="escaped byte"),
        pytest.param(qualifier(b""), [0], id="empty qualifier"),
        pytest.param(qualifier(b"[qr]"), [1, 2, 4, 5], id="qualifier class"),
        pytest.param(value(b"old"), [4], id="value literally"),
        pytest.param(value(rb"old\C?"), [2, 4], id="value with any byte"),
        pytest.param(value(b"(?i)NEW"), [1], id="value without case"),
        pytest.param(value(b""), [0], id="empty value"),
        pytest.param(value(b"new|old"), [1, 4], id="alternatives are matched in full"),
        pytest.param(columns(), [0, 1, 2, 3], id="columns of a family"),
        pytest.param(columns(start_qualifier_closed=b"q"), [1, 2, 3], id="columns from"),
        pytest.param(columns(start_qualifier_open=b"q"), [3], id="columns after"),
        pytest.param(columns(end_qualifier_closed=b"q"), [0, 1, 2], id="columns through"),
        pytest.param(columns(end_qualifier_open=b"q"), [0], id="columns before"),
        pytest.param(columns(start_qualifier_open=b""), [1, 2, 3], id="columns after the empty one"),
        pytest.param(columns(end_qualifier_closed=b""), [0], id="columns through the empty one"),
        pytest.param(columns(end_qualifier_open=b""), [], id="columns before the empty one"),
        pytest.param(columns("b.c", start_qualifier_closed=b"r", end_qualifier_open=b"s"), [5], id="columns between"),
        pytest.param(columns(start_qualifier_closed=b"r", end_qualifier_open=b"a"), [], id="columns reversed"),
        pytest.param(columns(""), [], id="columns of no family"),
        pytest.param(values(), ALL, id="values"),
        pytest.param(values(start_value_closed=b"old"), [2, 3, 4, 5], id="values from"),
        pytest.param(values(start_value_open=b"old"), [2, 3, 5], id="values after"),
        pytest.param(values(end_value_closed=b"old"), [0, 1, 4], id="values through"),
        pytest.param(values(end_value_open=b"old"), [0, 1], id="values before"),
        pytest.param(values(start_value_open=b"", end_value_closed=b"old\n"), [1, 2, 4], id="values between"),
        pytest.param(times(), ALL, id="times"),
        pytest.param(times(2000), [0, 1, 2, 4], id="times from"),
        pytest.param(times(end=2000), [3, 5], id="times before"),
        pytest.param(times(1000, 3000), [2, 3, 4], id="times between"),
        pytest.param(times(1999, 2001), [2, 4], id="times between microseconds"),
        pytest.param(times(3000, 1000), [], id="times reversed"),
        pytest.param(bitmask(b"\xf0\x01"), [3, 5], id="bitmask"),
        pytest.param(bitmask(b"\xf0\x11"), [5], id="bitmask with a bit that one value lacks"),
        pytest.param(bitmask(b"\0\0\0"), [1, 4], id="bitmask of three bytes"),
        pytest.param(offset(0), ALL, id="offset 0"),
        pytest.param(offset(4), [4, 5], id="offset"),
        pytest.param(offset(7), [], id="offset beyond the row"),
        pytest.param(per_row(2), [0, 1], id="row limit"),
        pytest.param(per_row(7), ALL, id="row limit beyond the row"),
        pytest.param(per_column(1), [0, 1, 3, 4, 5], id="column limit 1"),
        pytest.param(per_column(2), ALL, id="column limit 2"),
        pytest.param(per_column(9), ALL, id="column limit beyond the row"),
        pytest.param(chain(qualifier(b"q"), per_row(2)), [1, 2], id="chain"),
        pytest.param(chain(per_row(2), qualifier(b"q")), [1], id="chain in the other order"),
        pytest.param(chain(PASS, chain(family("a"), offset(3))), [3], id="chain in a chain"),
        pytest.param(interleave(qualifier(b"r"), qualifier(b"")), [0, 5], id="interleave in order"),
        pytest.param(interleave(per_row(2), offset(1)), [0, 1, 1, 2, 3, 4, 5], id="interleave keeps duplicates"),
        pytest.param(
            chain(interleave(PASS, PASS), per_column(2)), [0, 0, 1, 1, 3, 3, 4, 4, 5, 5], id="limits count copies"
        ),
        pytest.param(condition(value(b"new"), family("a"), BLOCK), [0, 1, 2, 3], id="condition holds"),
        pytest.param(condition(value(b"none"), PASS, family("b.c")), [4, 5], id="condition fails"),
        pytest.param(condition(value(b"new"), None, PASS), [], id="condition without true_filter"),
        pytest.param(condition(BLOCK, PASS), [], id="condition without false_filter"),
        pytest.param(condition(PASS), [], id="condition without both"),
        pytest.param(
            chain(family("a"), condition(qualifier(b"r"), PASS, per_row(1))), [0], id="condition on a chain's row"
        ),
    ],
)
def test_the_cells_that_pass(message: Any, expected: list[int]) -> None:
    assert passing(message) == expected


def test_strip_empties_the_values_and_keeps_labels() -> None:
    stripped = compile_filter(chain(label("l"), STRIP))(KEY, CELLS)

    assert stripped == [cell._replace(value=b"", labels=("l",)) for cell in CELLS]
    assert all(type(cell) is Cell for cell in stripped)


def test_branches_of_an_interleave_have_labels_of_their_own() -> None:
    message = interleave(chain(family("a"), per_row(1), label("one")), chain(per_row(1), label("two-2")), per_row(1))

    assert compile_filter(message)(KEY, CELLS) == [
        CELLS[0]._replace(labels=("one",)),
        CELLS[0]._replace(labels=("two-2",)),
        CELLS[0],
    ]


def test_sunk_cells_bypass_the_rest_of_the_chain() -> None:
    """The example of the comment at `sink` in google/bigtable/v2/data.proto."""
    cells = [Cell("A", b"A", 1, b"w"), Cell("A", b"B", 2, b"x"), Cell("B", b"B", 4, b"z")]
    message = chain(family("A"), interleave(PASS, chain(label("foo"), SINK)), qualifier(b"B"))

    passed = compile_filter(message)(KEY, cells)

    assert passed == [cells[0]._replace(labels=("foo",)), cells[1], cells[1]._replace(labels=("foo",))]


def test_interleaved_cells_are_merged() -> None:
    """The example of the comment at `Interleave` in google/bigtable/v2/data.proto, families in order of their names."""
    far_bar, far_blah = Cell("far", b"bar", 7, b"a"), Cell("far", b"blah", 5, b"x")
    foo_bar_z, foo_bar_x = Cell("foo", b"bar", 10, b"z"), Cell("foo", b"bar", 10, b"x")
    foo_blah = Cell("foo", b"blah", 11, b"z")
    first = chain(family("foo"), offset(1))  # foo_bar_x, foo_blah
    second = chain(offset(1), per_row(2))  # far_blah, foo_bar_z
    third = family("far")  # far_bar, far_blah

    merged = compile_filter(interleave(first, second, third))(KEY, [far_bar, far_blah, foo_bar_z, foo_bar_x, foo_blah])

    assert merged == [far_bar, far_blah, far_blah, foo_bar_x, foo_bar_z, foo_blah]


def test_nothing_follows_a_sink_in_its_chain() -> None:
    assert compile_filter(chain(SINK, label("never")))(KEY, CELLS) == CELLS


def test_sunk_cells_of_a_row_stay_out_of_the_next_row() -> None:
    sink_first = compile_filter(chain(per_row(1), SINK))

    assert sink_first(KEY, CELLS) == CELLS[:1]
    assert sink_first(b"other", CELLS[3:]) == CELLS[3:4]


def test_a_row_sample_decides_for_a_whole_row(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([0.29, 0.3, 0.31])
    monkeypatch.setattr(simple_filters.random, "random", lambda: next(draws))
    sample = compile_filter(row_filter(row_sample_filter=0.3))

    assert [sample(KEY, CELLS) for _ in range(3)] == [CELLS, [], []]


@pytest.mark.parametrize("message", [PASS, STRIP, per_column(1), chain(PASS, SINK), interleave(PASS, PASS), label("l")])
def test_the_cells_of_the_row_stay_unchanged(message: Any) -> None:
    cells = list(CELLS)

    compile_filter(message)(KEY, cells)

    assert cells == CELLS


@pytest.mark.parametrize("message", [per_column(2), offset(1), condition(PASS, None, PASS), interleave(PASS, STRIP)])
def test_an_empty_row_stays_empty_except_for_a_condition(message: Any) -> None:
    assert compile_filter(message)(KEY, []) == []


def nested_chains(depth: int) -> Any:
    message = PASS
    for _ in range(depth - 1):
        message = chain(message, PASS)
    return message


def test_filters_at_the_limits_compile() -> None:
    assert passing(nested_chains(20)) == ALL
    assert passing(value(b"x" * 20_476)) == []  # 20,480 bytes with tag and length
    assert compile_filter(label("abcdefghij-1234"))(KEY, CELLS[:1])[0].labels == ("abcdefghij-1234",)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (value(b"x" * 20_477), "filter: found 20481 bytes, expected 20480 at most"),
        (nested_chains(21), "filter: found filters nested more than 20 deep, expected 20 at most"),
        (chain(), "chain: found 0 filters, expected 2 at least"),
        (chain(PASS), "chain: found 1 filters, expected 2 at least"),
        (interleave(PASS), "interleave: found 1 filters, expected 2 at least"),
        (condition(BLOCK, chain(PASS)), "chain: found 1 filters, expected 2 at least"),
        (
            chain(label("a"), interleave(PASS, chain(PASS, label("b")))),
            "chain: found 2 filters with an apply_label_transformer, expected 1 at most",
        ),
        (row_filter(condition={"true_filter": PASS}), "condition: found no predicate_filter, expected one"),
        (
            condition(chain(PASS, SINK), PASS),
            "condition: found a sink in it, expected sinks outside of conditions only",
        ),
        (condition(PASS, SINK), "condition: found a sink in it, expected sinks outside of conditions only"),
        (condition(PASS, PASS, SINK), "condition: found a sink in it, expected sinks outside of conditions only"),
        (row_filter(sink=False), "sink: found false, expected true or another filter"),
        (row_filter(pass_all_filter=False), "pass_all_filter: found false, expected true or another filter"),
        (row_filter(block_all_filter=False), "block_all_filter: found false, expected true or another filter"),
        (
            row_filter(strip_value_transformer=False),
            "strip_value_transformer: found false, expected true or another filter",
        ),
        (key(b""), "row_key_regex_filter: found an empty pattern, expected another, as no row key is empty"),
        (key(b"("), "row_key_regex_filter: found b'(', expected a pattern of RE2: missing ): ("),
        (
            family("[b-a]"),
            "family_name_regex_filter: found b'[b-a]', expected a pattern of RE2: invalid character class range: b-a",
        ),
        (family("a|:"), "family_name_regex_filter: found 'a|:', expected a pattern without a colon"),
        (
            qualifier(b"\xff\\"),
            r"column_qualifier_regex_filter: found b'\xff\\', expected a pattern of RE2: trailing " + "\\",
        ),
        (value(b"(?=x)"), "value_regex_filter: found b'(?=x)', expected a pattern of RE2: invalid perl operator: (?="),
        (bitmask(b""), "value_bitmask_filter: found an empty mask, expected one as long as the values"),
        (row_filter(row_sample_filter=0.0), "row_sample_filter: found 0.0, expected more than 0 and less than 1"),
        (row_filter(row_sample_filter=1.0), "row_sample_filter: found 1.0, expected more than 0 and less than 1"),
        (
            row_filter(row_sample_filter=float("nan")),
            "row_sample_filter: found nan, expected more than 0 and less than 1",
        ),
        (offset(-1), "cells_per_row_offset_filter: found -1, expected 0 or more"),
        (per_row(0), "cells_per_row_limit_filter: found 0, expected 1 or more"),
        (per_column(0), "cells_per_column_limit_filter: found 0, expected 1 or more"),
        (label(""), "apply_label_transformer: found '', expected 1 to 15 of the characters a-z, 0-9 and -"),
        (
            label("a" * 16),
            f"apply_label_transformer: found '{'a' * 16}', expected 1 to 15 of the characters a-z, 0-9 and -",
        ),
        (label("A"), "apply_label_transformer: found 'A', expected 1 to 15 of the characters a-z, 0-9 and -"),
        (label("a\n"), r"apply_label_transformer: found 'a\n', expected 1 to 15 of the characters a-z, 0-9 and -"),
    ],
)
def test_an_invalid_filter_is_refused(message: Any, text: str) -> None:
    with pytest.raises(ApiError) as error:
        compile_filter(message)

    assert (error.value.code, error.value.text) == (grpc.StatusCode.INVALID_ARGUMENT, text)
